//! What breaks in every combination of carrier and agent: the call goes on or falls back, it is
//! shown, and nobody is dropped.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use wallboard::call::{AgentLink, Fact, MediaLink};
use wallboard::simulator::elevenlabs::AgentFaults;
use wallboard::simulator::line::{CutHow, StreamCut};
use wallboard::simulator::openai::OpenAiSimConfig;
use wallboard::simulator::plivo::{PlivoCall, sign_post};
use wallboard::simulator::speech::{Cut, Ending, Line, Script};
use wallboard::simulator::twilio::TestCall;

use crate::it::support::peers::SECRET;

use super::house::{CUSTOMER, House, Wishes};
use super::{conversation, said};

const AGENTS: [&str; 2] = ["openai", "elevenlabs"];

fn with_faults(faults: AgentFaults) -> Wishes {
    Wishes {
        openai: OpenAiSimConfig {
            faults,
            ..OpenAiSimConfig::default()
        },
        ..Wishes::default()
    }
}

fn talk(turns: usize) -> Script {
    Script::tones("t", turns, 300).with_ending(Ending::Nobody)
}

fn both(house: &House) -> (PlivoCall, TestCall) {
    (house.call_plivo(), house.call_twilio())
}

#[tokio::test]
async fn an_agent_whose_socket_breaks_is_followed_by_another_in_every_combination() {
    for agent in AGENTS {
        let mut script = talk(5);
        let die = Line::Die {
            how: Cut::Reset,
            for_good: false,
        };
        script.lines.insert(2, die);
        let house = House::new(script, agent).await;
        let (plivo, twilio) = both(&house);
        for id in [plivo.uuid(), twilio.sid()] {
            let board = house
                .board(id, |call| {
                    call.agent_link == AgentLink::Connected
                        && said(call).iter().any(|(_, text)| text == "Agent line 1")
                })
                .await;
            assert!(board.is_live(), "{agent}");
        }
        assert!(plivo.view().stream_open && twilio.view().stream_open);
        assert_eq!((plivo.view().streams, twilio.view().streams), (1, 1));
    }
}

#[tokio::test]
async fn garbage_of_an_agent_is_counted_and_the_conversation_goes_on() {
    for agent in AGENTS {
        let faults = AgentFaults {
            garbage_pct: 30.0,
            ..AgentFaults::default()
        };
        let house = House::with(talk(5), agent, with_faults(faults)).await;
        let (plivo, twilio) = both(&house);
        for id in [plivo.uuid(), twilio.sid()] {
            house.board(id, |call| said(call) == conversation()).await;
        }
    }
}

#[tokio::test]
async fn a_carrier_whose_socket_breaks_goes_on_with_the_fallback() {
    for agent in AGENTS {
        let house = House::new(talk(3), agent).await;
        let (plivo, twilio) = both(&house);
        plivo.wait_heard(200).await.unwrap();
        twilio.wait_heard(200).await.unwrap();
        let cut = StreamCut {
            how: CutHow::Reset,
            after_s: 0,
            reopen_after_ms: None,
        };
        plivo.cut(cut);
        twilio.cut(cut);
        let view = plivo.wait_over().await.unwrap();
        assert_eq!(view.steps, ["Stream", "Speak", "Hangup"], "{agent}");
        let view = twilio.wait_over().await.unwrap();
        assert!(view.verbs.contains(&"Say"), "{agent}: {view:?}");
        for id in [plivo.uuid(), twilio.sid()] {
            let lost = house.facts_of(id).await.into_iter().any(|fact| {
                matches!(
                    fact,
                    Fact::MediaLinkChanged {
                        link: MediaLink::Lost,
                        ..
                    }
                )
            });
            assert!(lost, "{agent}: shown");
        }
        let open = house.openai.open_sockets() + house.elevenlabs.open_sockets();
        assert_eq!(open, 0, "{agent}: no conversation is left without a caller");
    }
}

#[tokio::test]
async fn an_agent_that_is_asked_too_often_leaves_the_caller_with_the_fallback_and_says_why() {
    for agent in AGENTS {
        let faults = AgentFaults {
            rate_limit_pct: 100.0,
            ..AgentFaults::default()
        };
        let house = House::with(talk(3), agent, with_faults(faults)).await;
        let (plivo, twilio) = both(&house);
        let view = plivo.wait_over().await.unwrap();
        assert_eq!(view.steps, ["Stream", "Speak", "Hangup"], "{agent}");
        let view = twilio.wait_over().await.unwrap();
        assert!(view.verbs.contains(&"Say"), "{agent}: {view:?}");
        for id in [plivo.uuid(), twilio.sid()] {
            let why = house.facts_of(id).await.into_iter().find_map(lost_because);
            assert!(why.unwrap().contains("slow down"), "{agent}");
        }
    }
}

fn lost_because(fact: Fact) -> Option<String> {
    match fact {
        Fact::AgentLinkChanged {
            link: AgentLink::Lost,
            reason,
            ..
        } => reason,
        _ => None,
    }
}

#[tokio::test]
async fn garbage_of_a_carrier_is_counted_and_the_stream_goes_on() {
    for agent in AGENTS {
        let house = House::new(talk(3), agent).await;
        let uuid = "11111111-2222-4333-8444-555555555555";
        let url = answered(&house, uuid).await;
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        let start = serde_json::json!({"event": "start", "sequenceNumber": 0, "extra_headers": "{}",
            "start": {"callId": uuid, "streamId": "s-1", "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000}}});
        let mut say = vec![start.to_string()];
        say.extend(
            [
                "{",
                "",
                "[]",
                "null",
                r#"{"event":7}"#,
                r#"{"event":"media"}"#,
                r#"{"event":"media","media":{"payload":"%%%"}}"#,
                r#"{"event":"start"}"#,
                r#"{"event":"playedStream"}"#,
                r#"{"event":"whatever","x":{"y":[1,2,3]}}"#,
            ]
            .map(str::to_owned),
        );
        say.push("x".repeat(60_000));
        for text in say {
            socket.send(Message::text(text)).await.unwrap();
        }
        socket.send(Message::binary(vec![0xFF; 400])).await.unwrap();
        let audio = tokio::time::timeout(Duration::from_secs(10), async {
            while let Some(Ok(message)) = socket.next().await {
                if message
                    .to_text()
                    .is_ok_and(|text| text.contains("playAudio"))
                {
                    return true;
                }
            }
            false
        });
        assert!(audio.await.unwrap(), "{agent}: the agent is heard");
        let board = house
            .board(uuid, |call| call.agent_link == AgentLink::Connected)
            .await;
        assert!(board.is_live() && board.media_link == MediaLink::Up);
    }
}

/// Answers a call as the carrier would have it, and returns the address of its stream.
async fn answered(house: &House, uuid: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/answer", house.url);
    let form: Vec<(String, String)> = [
        ("CallUUID", uuid),
        ("From", CUSTOMER.trim_start_matches('+')),
        ("To", "15555550200"),
        ("Direction", "inbound"),
        ("CallStatus", "ringing"),
        ("Event", "StartApp"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    let answer = http
        .post(&url)
        .form(&form)
        .header("x-plivo-signature-v3", sign_post(SECRET, &url, &form, "7"))
        .header("x-plivo-signature-v3-nonce", "7")
        .send()
        .await
        .unwrap();
    let document = answer.text().await.unwrap();
    let stream = document.split("ws://").nth(1).unwrap();
    format!("ws://{}", stream.split('<').next().unwrap())
}
