//! Hands on the call: taking over, handing back, given words, tools and limits.

use bytes::Bytes;

use super::rig::{Rig, is_audio_out, plan};
use crate::bridge::*;
use crate::call::{AgentLink, Fact, Track};

fn taken() -> Rig {
    let mut rig = Rig::talking();
    rig.says(1, 4_000, "Well, as I was saying");
    rig.run(200);
    rig.order(BridgeOrder::TakeOver).expect("possible");
    rig
}

fn contexts(rig: &Rig) -> Vec<String> {
    let contexts = rig.to_agent().into_iter().filter_map(|out| match out {
        AgentOut::Context { text } => Some(text.clone()),
        _ => None,
    });
    contexts.collect()
}

#[test]
fn who_takes_over_silences_the_agent_at_once_and_still_reads_the_caller() {
    let mut rig = taken();
    let at =
        |wanted: &dyn Fn(&Effect) -> bool| rig.log.iter().rposition(|(_, effect)| wanted(effect));
    let cleared = at(&|effect| *effect == Effect::ToCarrier(CarrierOut::Clear));
    let cancelled = at(&|effect| *effect == Effect::ToAgent(AgentOut::Cancel));
    let hushed = at(&|effect| *effect == Effect::ToAgent(AgentOut::Hush));
    assert!(cleared.is_some() && cleared < cancelled && cancelled < hushed);
    rig.log.clear();
    rig.talking = true;
    rig.says(2, 1_000, "Hello? Are you there?");
    rig.agent(AgentIn::CallerText {
        utterance: 9,
        text: "I want a person".into(),
        interim: false,
    });
    rig.run(400);
    assert_eq!(rig.count(is_audio_out), 0, "nothing of the agent is heard");
    let heard = rig.caller_bytes_forwarded();
    assert!(
        heard.iter().any(|byte| *byte != 0xFF),
        "the caller is still listened to"
    );
    let said: Vec<_> = rig
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::UtteranceFinal { track, text, .. } => Some((*track, text.as_str())),
            _ => None,
        })
        .collect();
    assert!(said.contains(&(Track::FromCaller, "I want a person")));
}

fn cuts(rig: &Rig) -> Vec<(u32, &str, u32, Option<Track>)> {
    let cuts = rig.facts().into_iter().filter_map(|fact| match fact {
        Fact::UtteranceTruncated {
            turn,
            heard,
            cut_at_ms,
            by,
            ..
        } => Some((*turn, heard.as_str(), *cut_at_ms, *by)),
        _ => None,
    });
    cuts.collect()
}

#[test]
fn what_was_not_heard_of_the_agent_is_shown_as_not_heard() {
    let by = Some(Track::FromOperator);
    let mut rig = taken();
    let mine = cuts(&rig);
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert!(mine[0].2 <= 200 && mine[0].3 == by, "{mine:?}");
    assert!(rig.to_agent().into_iter().any(|out| matches!(
        out,
        AgentOut::Truncate { utterance: 1, heard_ms } if *heard_ms <= 200
    )));
    assert!(
        !rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::BargedIn { .. })),
        "nobody broke in"
    );
    // Sound first or words first: an answer made meanwhile is unheard, and stays so.
    rig.log.clear();
    rig.says(2, 1_000, "Hello? Are you there?");
    rig.agent(AgentIn::AgentText {
        utterance: 3,
        text: "Hello again".into(),
        interim: false,
    });
    rig.says(3, 1_000, "Hello again");
    rig.agent(AgentIn::AgentCorrection {
        utterance: 2,
        original: "Hello? Are you there?".into(),
        corrected: "Hello? Are".into(),
    });
    let unheard = cuts(&rig);
    assert!(unheard.len() >= 2, "{unheard:?}");
    assert!(
        unheard
            .iter()
            .all(|(_, heard, at, whose)| heard.is_empty() && *at == 0 && *whose == by),
        "{unheard:?}"
    );
}

#[test]
fn words_that_were_there_before_their_sound_are_unheard_too() {
    let mut rig = Rig::talking();
    rig.agent(AgentIn::AgentText {
        utterance: 1,
        text: "Let me see".into(),
        interim: false,
    });
    rig.order(BridgeOrder::TakeOver).expect("possible");
    assert!(cuts(&rig).is_empty(), "its sound may have been heard");
    rig.agent(AgentIn::Audio {
        utterance: 1,
        payload: Bytes::from(vec![1; 800]),
    });
    assert_eq!(cuts(&rig), [(1, "", 0, Some(Track::FromOperator))]);
}

#[test]
fn an_answer_after_the_operators_is_not_timed_from_before_it() {
    for given in [false, true] {
        let mut rig = taken();
        rig.agent(AgentIn::CallerText {
            utterance: 9,
            text: "Is it Tuesday?".into(),
            interim: false,
        });
        if given {
            let (text, audio) = ("Yes".to_owned(), Bytes::from(vec![7; 800]));
            rig.order(BridgeOrder::Play { text, audio })
                .expect("possible");
        }
        rig.run(12_000);
        rig.order(BridgeOrder::HandBack { note: "n".into() })
            .expect("possible");
        rig.log.clear();
        rig.says(20, 600, "Anything else?");
        rig.run(1_000);
        assert!(rig.count(is_audio_out) > 0);
        let timed = |fact: &&&Fact| matches!(fact, Fact::TurnTimed { .. });
        assert_eq!(
            rig.facts().iter().filter(timed).count(),
            0,
            "given: {given}"
        );
    }
}

#[test]
fn a_caller_who_writes_does_not_cut_the_operator_off() {
    let mut rig = taken();
    let (text, audio) = ("One moment".to_owned(), Bytes::from(vec![7; 8_000]));
    rig.order(BridgeOrder::Play { text, audio })
        .expect("possible");
    rig.run(200);
    rig.log.clear();
    rig.give(Input::Carrier(CarrierIn::Typed {
        text: "hello?".into(),
    }));
    rig.run(1_000);
    assert!(rig.count(is_audio_out) >= 30, "{}", rig.count(is_audio_out));
    assert_eq!(
        rig.count(|effect| *effect == Effect::ToCarrier(CarrierOut::Clear)),
        0
    );
}

#[test]
fn typed_words_are_heard_as_the_operators_and_a_cough_does_not_cut_them() {
    let mut rig = taken();
    rig.agent(AgentIn::Given { utterance: 5 });
    rig.log.clear();
    rig.says(5, 2_000, "I am Ana from the team");
    rig.run(300);
    rig.agent(AgentIn::CallerSpeechStarted);
    rig.run(2_000);
    assert!(rig.count(is_audio_out) >= 95, "{}", rig.count(is_audio_out));
    let lines = rig.facts();
    assert!(
        lines
            .iter()
            .any(|fact| matches!(fact, Fact::UtteranceFinal {
        track: Track::FromOperator, text, ..
    } if text == "I am Ana from the team"))
    );
    assert!(
        !lines
            .iter()
            .any(|fact| matches!(fact, Fact::BargedIn { .. }))
    );
}

#[test]
fn speech_made_elsewhere_is_played_word_for_word() {
    let mut rig = taken();
    rig.log.clear();
    let play = |text: &str| BridgeOrder::Play {
        text: text.into(),
        audio: Bytes::from(vec![7; 8_000]),
    };
    rig.order(play("One moment")).expect("possible");
    rig.order(play("I look it up")).expect("possible");
    rig.run(2_400);
    assert_eq!(rig.count(is_audio_out), 100);
    assert!(
        contexts(&rig).is_empty(),
        "the agent is told at the hand-back"
    );
    rig.order(BridgeOrder::HandBack { note: "n".into() })
        .expect("possible");
    rig.order(play("Goodbye")).expect("possible");
    assert!(contexts(&rig).iter().any(|text| text.ends_with("Goodbye")));
}

#[test]
fn handed_back_the_agent_knows_and_answers_only_who_waits() {
    for caller_last in [false, true] {
        let mut rig = taken();
        if caller_last {
            rig.agent(AgentIn::CallerText {
                utterance: 9,
                text: "and now?".into(),
                interim: false,
            });
        } else {
            rig.order(BridgeOrder::Play {
                text: "All done".into(),
                audio: Bytes::from(vec![7; 800]),
            })
            .expect("possible");
        }
        rig.log.clear();
        let note = "Ana promised a credit of 20 EUR.".to_owned();
        rig.order(BridgeOrder::HandBack { note }).expect("possible");
        let told = contexts(&rig);
        assert!(
            told[0].contains("20 EUR") && told[0].contains("Do not greet"),
            "{told:?}"
        );
        assert!(rig.to_agent().contains(&&AgentOut::Unhush {
            answer: caller_last
        }));
        rig.log.clear();
        rig.says(2, 1_000, "made while nobody listened");
        rig.says(12, 400, "Anything else?");
        rig.run(1_000);
        // Audio of before the hand-back stays void where the vendor had begun it.
        assert!(rig.count(is_audio_out) > 0);
    }
}

#[test]
fn an_agent_that_leaves_while_a_person_speaks_does_not_end_the_call() {
    let mut rig = taken();
    rig.agent(AgentIn::HangUp {
        reason: "done".into(),
    });
    rig.give(Input::AgentClosed {
        reason: "bye".into(),
        on_purpose: Some("the agent ended the conversation".into()),
    });
    rig.run(1_000);
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::EndCall { .. })),
        0
    );
    assert_eq!(rig.links().last(), Some(&AgentLink::None));
    rig.log.clear();
    rig.order(BridgeOrder::HandBack {
        note: "go on".into(),
    })
    .expect("possible");
    assert!(rig.count(|effect| matches!(effect, Effect::ConnectAgent { .. })) == 1);
    rig.connect();
    assert!(contexts(&rig).iter().any(|text| text.contains("go on")));
}

#[test]
fn a_new_stream_of_a_held_call_is_held_too() {
    let mut rig = Rig::with(SessionPlan {
        floor: Floor::Operator,
        turns_before: 3,
        ..plan()
    });
    rig.connect();
    assert!(rig.to_agent().contains(&&AgentOut::Hush));
    rig.says(1, 400, "Hello!");
    rig.run(400);
    assert_eq!(rig.count(is_audio_out), 0);
    assert!(rig.order(BridgeOrder::PauseAgent).is_err());
}

fn with_tools() -> Rig {
    let mut rig = Rig::with(SessionPlan {
        tools: ["transfer_call", "lookup"].map(str::to_owned).into(),
        ..plan()
    });
    rig.connect();
    rig
}

fn asks(rig: &mut Rig, name: &str) {
    rig.agent(AgentIn::ToolCall {
        tool_call_id: format!("call_{name}"),
        name: name.into(),
        args: "{\"reason\":\"asked\"}".into(),
    });
}

fn ran(rig: &Rig) -> Vec<String> {
    let ran = rig.log.iter().filter_map(|(_, effect)| match effect {
        Effect::RunTool { name, .. } => Some(name.clone()),
        _ => None,
    });
    ran.collect()
}

#[test]
fn a_transfer_waits_until_the_agent_was_heard_and_its_answer_goes_back() {
    let mut rig = with_tools();
    rig.says(1, 1_000, "I put you through");
    asks(&mut rig, "lookup");
    asks(&mut rig, "transfer_call");
    assert_eq!(ran(&rig), ["lookup"], "other tools run at once");
    rig.run(600);
    assert_eq!(ran(&rig), ["lookup"], "it still speaks");
    rig.run(1_500);
    assert_eq!(ran(&rig), ["lookup", "transfer_call"]);
    rig.log.clear();
    rig.order(BridgeOrder::Transferred { closes: true })
        .expect("possible");
    let answered = rig.log.iter().position(|(_, effect)| {
        matches!(
            effect,
            Effect::ToAgent(AgentOut::ToolResult { ok: true, .. })
        )
    });
    assert!(answered.is_some());
    rig.tick(400);
    let closed = rig
        .log
        .iter()
        .position(|(_, effect)| matches!(effect, Effect::CloseAgent));
    assert!(
        answered < closed,
        "the output goes back before the socket closes"
    );
    assert!(rig.session.is_over());
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::EndCall { .. })),
        0
    );
}

#[test]
fn a_refused_transfer_leaves_the_agent_talking() {
    let mut rig = with_tools();
    asks(&mut rig, "transfer_call");
    rig.run(600);
    rig.give(Input::ToolDone {
        tool_call_id: "call_transfer_call".into(),
        name: "transfer_call".into(),
        ok: false,
        result: "no number to transfer to is configured".into(),
    });
    let told = rig.to_agent().into_iter().any(|out| {
        matches!(out, AgentOut::ToolResult { ok: false, result, .. } if result.contains("no number"))
    });
    assert!(told && !rig.session.is_over());
    rig.log.clear();
    rig.says(2, 400, "I am sorry");
    rig.run(400);
    assert!(rig.count(is_audio_out) > 0);
}

#[test]
fn a_call_that_has_cost_enough_is_ended_in_good_order() {
    let mut rig = Rig::with(SessionPlan {
        cost_max: Some(CostMax {
            usd: 0.10,
            usd_minute: 0.60,
        }),
        spent_usd: 0.05,
        ..plan()
    });
    rig.connect();
    rig.run(4_000);
    let limited = |rig: &Rig| {
        rig.facts()
            .iter()
            .any(|fact| matches!(fact, Fact::TroubleNoted { code, .. } if code == "cost_limit"))
    };
    assert!(!limited(&rig), "0.05 + 4 s at 0.60 a minute is below 0.10");
    rig.run(2_000);
    assert!(limited(&rig));
    assert_eq!(
        rig.count(|effect| matches!(effect, Effect::EndCall { .. })),
        1
    );
}
