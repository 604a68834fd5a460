mod failures;
mod tools;
mod wire;

use super::*;
use crate::bridge::{AgentBrief, Usage};
use crate::providers::openai::{Dialect, Prices, SESSION_MAX, Tool};

const SERVER: &str = include_str!("../../../../tests/fixtures/openai/server.jsonl");

fn settings() -> OpenAiSettings {
    OpenAiSettings::default()
}

fn hear(codec: &mut OpenAiCodec, message: Value) -> Vec<AgentIn> {
    codec.decode(&Wire::Text(message.to_string())).unwrap()
}

fn told(codec: &mut OpenAiCodec, out: &AgentOut) -> Vec<Value> {
    codec
        .encode(out)
        .into_iter()
        .map(|wire| match wire {
            Wire::Text(text) => serde_json::from_str(&text).unwrap(),
            Wire::Binary(_) => panic!("text only"),
        })
        .collect()
}

/// A conversation that is open and has greeted nobody.
fn open_with(settings: OpenAiSettings) -> OpenAiCodec {
    let mut codec = OpenAiCodec::new(settings);
    told(
        &mut codec,
        &AgentOut::Begin(AgentBrief {
            first_message: Some(String::new()),
            ..AgentBrief::default()
        }),
    );
    hear(
        &mut codec,
        json!({"type": "session.created", "session": {"id": "sess_1"}}),
    );
    let ready = hear(
        &mut codec,
        json!({"type": "session.updated", "session": {}}),
    );
    assert!(
        matches!(&ready[..], [AgentIn::Ready { conversation_id, .. }, AgentIn::Lasts { max }]
            if conversation_id == "sess_1" && *max == SESSION_MAX)
    );
    codec
}

#[test]
fn a_conversation_lasts_as_long_as_the_vendor_says() {
    let lasts = |opened_at: Option<i64>, created: Value, updated: Value| {
        let mut codec = OpenAiCodec::new(settings());
        if let Some(opened_at) = opened_at {
            codec = codec.opened_at(opened_at);
        }
        told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
        let session = |kind: &str, at: &Value| json!({"type": kind, "session": {"expires_at": at}});
        hear(&mut codec, session("session.created", &created));
        let ready = hear(&mut codec, session("session.updated", &updated));
        ready.into_iter().find_map(|word| match word {
            AgentIn::Lasts { max } => Some(max.as_secs()),
            _ => None,
        })
    };
    let (none, opened) = (Value::Null, 1_795_219_200);
    for (opened_at, created, updated, wanted) in [
        (Some(opened), json!(opened + 1_801), none.clone(), 1_800),
        (Some(opened), none.clone(), json!(opened + 2_401), 2_400),
        // Nor longer than is configured.
        (Some(opened), none.clone(), json!(opened + 7_201), 3_600),
        // The later word counts.
        (
            Some(opened),
            json!(opened + 1_801),
            json!(opened + 901),
            900,
        ),
        // No word, no clock, and clocks that cannot be right.
        (Some(opened), none.clone(), none.clone(), 3_600),
        (None, json!(opened + 1_801), none.clone(), 3_600),
        (Some(opened), json!(opened - 60), none.clone(), 3_600),
        (Some(opened), json!(opened + 3), none.clone(), 3_600),
        (Some(opened), json!(opened + 200_000), none.clone(), 3_600),
        (Some(opened), json!(i64::MIN), none.clone(), 3_600),
        (Some(opened), json!("soon"), json!({}), 3_600),
    ] {
        let told = format!("{created} {updated}");
        assert_eq!(lasts(opened_at, created, updated), Some(wanted), "{told}");
    }
}

fn open() -> OpenAiCodec {
    open_with(settings())
}

fn began(codec: &mut OpenAiCodec, id: &str) {
    hear(
        codec,
        json!({"type": "response.created", "response": {"id": id}}),
    );
}

fn ended(codec: &mut OpenAiCodec, id: &str, status: &str) -> Vec<AgentIn> {
    hear(
        codec,
        json!({"type": "response.done", "response": {"id": id, "status": status}}),
    )
}

fn audio(codec: &mut OpenAiCodec, response: &str, item: &str, ms: usize) -> Vec<AgentIn> {
    let delta = STANDARD.encode(vec![7; ms * 8]);
    hear(
        codec,
        json!({"type": "response.output_audio.delta", "response_id": response, "item_id": item,
            "output_index": 0, "content_index": 0, "delta": delta}),
    )
}

#[test]
fn every_message_of_the_vendors_types_is_read() {
    let mut codec = OpenAiCodec::new(settings());
    told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
    let mut said = Vec::new();
    for line in SERVER.lines() {
        let words = codec.decode(&Wire::Text(line.to_owned())).unwrap();
        assert!(
            !words
                .iter()
                .any(|word| matches!(word, AgentIn::Unknown { .. })),
            "{line}"
        );
        said.extend(words);
    }
    let has = |wanted: &dyn Fn(&AgentIn) -> bool| said.iter().any(wanted);
    assert!(has(
        &|word| matches!(word, AgentIn::Ready { conversation_id, .. } if conversation_id == "sess_1")
    ));
    assert!(has(&|word| *word == AgentIn::CallerSpeechStarted));
    assert!(has(&|word| *word == AgentIn::CallerSpeechStopped));
    let caller = |text: &str, interim| AgentIn::CallerText {
        utterance: 1,
        text: text.into(),
        interim,
    };
    assert!(has(&|word| *word == caller("hel", true)));
    assert!(has(&|word| *word == caller("hello", false)));
    let agent = |text: &str, interim| AgentIn::AgentText {
        utterance: 2,
        text: text.into(),
        interim,
    };
    assert!(has(&|word| *word == agent("Hel", true)));
    assert!(has(&|word| *word == agent("Hello", false)));
    assert!(has(
        &|word| matches!(word, AgentIn::Audio { utterance: 2, payload } if payload.len() == 5)
    ));
    let calls: Vec<_> = said
        .iter()
        .filter(|word| matches!(word, AgentIn::ToolCall { .. }))
        .collect();
    assert_eq!(
        calls,
        [&AgentIn::ToolCall {
            tool_call_id: "call_1".into(),
            name: "transfer_call".into(),
            args: r#"{"reason":"asked"}"#.into()
        }]
    );
    assert!(has(
        &|word| matches!(word, AgentIn::Trouble { code, .. } if code == "invalid_value")
    ));
    assert!(has(&|word| matches!(
        word,
        AgentIn::Usage {
            usage: Usage {
                text_in: 55,
                audio_out: 91,
                ..
            },
            usd: None
        }
    )));
}

#[test]
fn the_first_words_are_asked_for_once_the_settings_are_in_force() {
    let mut codec = OpenAiCodec::new(settings());
    let brief = AgentBrief {
        first_message: Some("Hi {{name}}, \"Bob\" here.".into()),
        variables: std::collections::BTreeMap::from([("name".into(), "Ana".into())]),
        ..AgentBrief::default()
    };
    let begin = told(&mut codec, &AgentOut::Begin(brief));
    assert_eq!(begin[0]["type"], "session.update");
    assert_eq!(begin.len(), 1);
    assert!(
        hear(
            &mut codec,
            json!({"type": "session.created", "session": {"id": "s"}})
        )
        .is_empty()
    );
    let ready = hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "s"}}),
    );
    assert!(matches!(
        ready[..],
        [AgentIn::Ready { .. }, AgentIn::Lasts { .. }, AgentIn::Owing]
    ));
    let asked = told(&mut codec, &AgentOut::Owed);
    assert_eq!(asked[0]["type"], "response.create");
    let words = asked[0]["response"]["instructions"].as_str().unwrap();
    assert!(words.ends_with(r#": "Hi Ana, \"Bob\" here.""#), "{words}");
    assert!(told(&mut codec, &AgentOut::Owed).is_empty());
    // Told again: the conversation is open already.
    let again = hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "s"}}),
    );
    assert!(again.is_empty());
}

#[test]
fn an_agent_without_first_words_begins_by_itself() {
    let mut codec = OpenAiCodec::new(settings());
    told(&mut codec, &AgentOut::Begin(AgentBrief::default()));
    hear(
        &mut codec,
        json!({"type": "session.updated", "session": {"id": "s"}}),
    );
    let asked = told(&mut codec, &AgentOut::Owed);
    assert_eq!(
        asked[0],
        json!({"type": "response.create", "event_id": "wb-answer-1"})
    );
}

#[test]
fn the_callers_line_stands_before_the_answer_however_late_its_words_come() {
    let mut codec = open();
    hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_started", "item_id": "item_c"}),
    );
    hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_stopped", "item_id": "item_c"}),
    );
    let taken = hear(
        &mut codec,
        json!({"type": "input_audio_buffer.committed", "item_id": "item_c"}),
    );
    assert_eq!(
        taken,
        [AgentIn::CallerText {
            utterance: 1,
            text: "…".into(),
            interim: true
        }]
    );
    began(&mut codec, "resp_1");
    let answer = audio(&mut codec, "resp_1", "item_a", 20);
    assert!(matches!(answer[..], [AgentIn::Audio { utterance: 2, .. }]));
    let written = hear(
        &mut codec,
        json!({"type": "conversation.item.input_audio_transcription.completed",
            "item_id": "item_c", "transcript": " hello \n",
            "usage": {"type": "duration", "seconds": 1.7}}),
    );
    assert_eq!(
        written[0],
        AgentIn::CallerText {
            utterance: 1,
            text: "hello".into(),
            interim: false
        }
    );
    assert!(matches!(written[1], AgentIn::Usage { .. }));
}

#[test]
fn what_nobody_could_write_down_is_marked_and_not_invented() {
    let mut codec = open();
    let failed = hear(
        &mut codec,
        json!({"type": "conversation.item.input_audio_transcription.failed", "item_id": "item_c",
            "error": {"type": "server_error", "code": null, "message": "try later"}}),
    );
    assert_eq!(
        failed,
        [
            AgentIn::Trouble {
                code: "server_error".into(),
                message: "try later".into()
            },
            AgentIn::CallerText {
                utterance: 1,
                text: "…".into(),
                interim: false
            },
        ]
    );
    let mut deaf = open_with(OpenAiSettings {
        transcription_model: None,
        ..settings()
    });
    let taken = hear(
        &mut deaf,
        json!({"type": "input_audio_buffer.committed", "item_id": "x"}),
    );
    assert!(taken.is_empty());
}

#[test]
fn speech_voids_the_answer_the_vendor_cancelled_and_nothing_is_cancelled_twice() {
    let mut codec = open();
    began(&mut codec, "resp_1");
    audio(&mut codec, "resp_1", "item_a", 1_000);
    hear(
        &mut codec,
        json!({"type": "response.output_audio_transcript.delta", "response_id": "resp_1",
            "item_id": "item_a", "delta": "Our office is open"}),
    );
    let heard = hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_started", "item_id": "item_c"}),
    );
    assert_eq!(heard, [AgentIn::CallerSpeechStarted]);
    assert!(told(&mut codec, &AgentOut::Cancel).is_empty());
    let cut = told(
        &mut codec,
        &AgentOut::Truncate {
            utterance: 1,
            heard_ms: 460,
        },
    );
    assert_eq!(
        cut,
        [
            json!({"type": "conversation.item.truncate", "event_id": "wb-late-1", "item_id": "item_a",
            "content_index": 0, "audio_end_ms": 460})
        ]
    );
    assert!(audio(&mut codec, "resp_1", "item_a", 200).is_empty());
    let stale = hear(
        &mut codec,
        json!({"type": "response.output_audio_transcript.delta", "response_id": "resp_1",
            "item_id": "item_a", "delta": " from nine"}),
    );
    assert!(stale.is_empty());
    let done = ended(&mut codec, "resp_1", "cancelled");
    assert_eq!(
        done,
        [AgentIn::AgentText {
            utterance: 1,
            text: "Our office is open from nine".into(),
            interim: false
        }]
    );
    began(&mut codec, "resp_2");
    assert_eq!(audio(&mut codec, "resp_2", "item_b", 20).len(), 1);
}

#[test]
fn where_the_vendor_does_not_stop_by_itself_it_is_told_to() {
    let mut codec = open_with(OpenAiSettings {
        interrupts: false,
        ..settings()
    });
    began(&mut codec, "resp_1");
    audio(&mut codec, "resp_1", "item_a", 100);
    hear(
        &mut codec,
        json!({"type": "input_audio_buffer.speech_started", "item_id": "item_c"}),
    );
    assert_eq!(
        told(&mut codec, &AgentOut::Cancel),
        [json!({"type": "response.cancel", "event_id": "wb-late-cancel", "response_id": "resp_1"})]
    );
    assert!(told(&mut codec, &AgentOut::Cancel).is_empty());
    assert!(audio(&mut codec, "resp_1", "item_a", 100).is_empty());
}

#[test]
fn an_item_is_never_cut_beyond_the_audio_that_came() {
    let mut codec = open();
    began(&mut codec, "resp_1");
    audio(&mut codec, "resp_1", "item_a", 300);
    let cut = |codec: &mut OpenAiCodec, utterance, heard_ms| {
        let cut = told(
            codec,
            &AgentOut::Truncate {
                utterance,
                heard_ms,
            },
        );
        cut.first().map(|cut| cut["audio_end_ms"].clone())
    };
    assert_eq!(cut(&mut codec, 1, 9_000), Some(json!(300)));
    assert_eq!(cut(&mut codec, 1, 0), Some(json!(0)));
    assert_eq!(cut(&mut codec, 2, 100), None);
    // And a cut that comes too late is nobody's trouble.
    let late = json!({"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value",
        "message": "Audio content is already shorter", "event_id": "wb-late-1"}});
    assert!(hear(&mut codec, late).is_empty());
}

#[test]
fn nonsense_is_refused_and_the_next_message_is_read() {
    let mut codec = open();
    for nonsense in [
        "",
        "{",
        "null",
        "[]",
        r#"{"type":7}"#,
        r#"{"type":"response.output_audio.delta"}"#,
        r#"{"type":"response.output_audio.delta","item_id":"x","delta":"%%%"}"#,
    ] {
        assert!(
            codec.decode(&Wire::Text(nonsense.into())).is_err(),
            "{nonsense}"
        );
    }
    assert!(
        codec
            .decode(&Wire::Binary(Bytes::from_static(b"x")))
            .is_err()
    );
    assert_eq!(
        hear(&mut codec, json!({"type": "brand.new", "x": [1]})),
        [AgentIn::Unknown {
            kind: "brand.new".into()
        }]
    );
    began(&mut codec, "resp_1");
    assert_eq!(audio(&mut codec, "resp_1", "item_a", 20).len(), 1);
}
