use proptest::prelude::*;

use super::*;

const MESSAGES: &str = include_str!("../../../../tests/fixtures/plivo/stream.jsonl");
const STREAM: &str = "22222222-3333-4444-5555-666666666666";

fn text(text: &str) -> Wire {
    Wire::Text(text.to_owned())
}

fn started() -> PlivoCodec {
    let mut codec = PlivoCodec::new();
    codec
        .decode(&text(MESSAGES.lines().next().unwrap()))
        .unwrap();
    codec
}

fn start_of(codec: &mut PlivoCodec, message: &str) -> StreamStart {
    match codec.decode(&text(message)).unwrap() {
        CarrierIn::Start(start) => start,
        other => panic!("{other:?}"),
    }
}

#[test]
fn documented_messages_are_read() {
    let mut codec = PlivoCodec::new();
    let read: Vec<_> = MESSAGES
        .lines()
        .map(|line| codec.decode(&text(line)).unwrap())
        .collect();
    let CarrierIn::Start(start) = &read[0] else {
        panic!()
    };
    assert_eq!(start.stream_id, STREAM);
    assert_eq!(
        start.carrier_call_id,
        "11111111-2222-3333-4444-555555555555"
    );
    assert_eq!(start.account_id.as_deref(), Some("MAXXXXXXXXXXXXXXXXXX"));
    assert_eq!(start.format, MediaFormat::ULAW_8K);
    assert_eq!(start.custom["userId"], "12345");
    assert_eq!(start.custom["sessionId"], "abc");
    let audio = |index: usize| match &read[index] {
        CarrierIn::Audio(audio) => (audio.chunk, audio.timestamp_ms, audio.payload.to_vec()),
        other => panic!("{other:?}"),
    };
    assert_eq!(audio(1), (Some(1), Some(0), vec![0xff, 0x7f, 0x00]));
    assert_eq!(audio(2), (Some(2), Some(20), vec![0xff, 0xff]));
    assert_eq!(read[3], CarrierIn::Dtmf { digit: "5".into() });
    assert_eq!(
        read[4],
        CarrierIn::MarkReached {
            name: "cp-7".into()
        }
    );
    assert_eq!(read[5], CarrierIn::Cleared);
    assert_eq!(read[6], CarrierIn::Stop);
}

#[test]
fn numbers_and_custom_data_are_taken_in_every_spelling() {
    let mut codec = PlivoCodec::new();
    let message = r#"{"event":"start","sequenceNumber":"0","start":{"callId":"c","streamId":"s","accountId":"","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-l16;rate=16000","sampleRate":"16000"}},"extra_headers":"{\"wb\":\"t\",\"n\":7}"}"#;
    let start = start_of(&mut codec, message);
    assert_eq!(start.format, MediaFormat::PCM_16K);
    assert_eq!(
        (start.custom["wb"].as_str(), start.custom["n"].as_str()),
        ("t", "7")
    );
    for (headers, expected) in [
        (r#""a=1,b=2""#, Some("1")),
        (r#""a = 1 ; b""#, Some("1")),
        (r#"{"a":"1"}"#, Some("1")),
        ("null", None),
        ("7", None),
        (r#""{broken""#, None),
    ] {
        let message = format!(
            r#"{{"event":"start","start":{{"callId":"c","streamId":"s"}},"extra_headers":{headers}}}"#
        );
        let start = start_of(&mut PlivoCodec::new(), &message);
        assert_eq!(
            start.custom.get("a").map(String::as_str),
            expected,
            "{headers}"
        );
    }
    let media = r#"{"event":"media","media":{"track":"inbound","chunk":"7","timestamp":140,"payload":"\/\/8="}}"#;
    let CarrierIn::Audio(audio) = codec.decode(&text(media)).unwrap() else {
        panic!()
    };
    assert_eq!((audio.chunk, audio.timestamp_ms), (Some(7), Some(140)));
    let key = r#"{"event":"dtmf","dtmf":{"digit":5}}"#;
    assert_eq!(
        codec.decode(&text(key)).unwrap(),
        CarrierIn::Dtmf { digit: "5".into() }
    );
}

#[test]
fn the_streams_own_url_beats_the_extra_headers() {
    let mut codec = PlivoCodec::with_query("wb=signed&lead=42");
    let message = r#"{"event":"start","start":{"callId":"c","streamId":"s"},"extra_headers":"wb=forged;x=1"}"#;
    let start = start_of(&mut codec, message);
    assert_eq!(start.custom["wb"], "signed");
    assert_eq!(
        (start.custom["lead"].as_str(), start.custom["x"].as_str()),
        ("42", "1")
    );
}

#[test]
fn nothing_is_said_before_start_and_then_in_the_streams_own_format() {
    let mut codec = PlivoCodec::new();
    let audio = CarrierOut::Audio(Bytes::from_static(&[0xff, 0x7f, 0x00]));
    assert_eq!(codec.encode(&audio), None);
    let mut codec = started();
    assert_eq!(
        codec.encode(&audio),
        Some(text(
            r#"{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"/38A"}}"#
        ))
    );
    let mark = CarrierOut::Mark {
        name: "wb-\"7\"".into(),
    };
    assert_eq!(
        codec.encode(&mark),
        Some(text(&format!(
            r#"{{"event":"checkpoint","streamId":"{STREAM}","name":"wb-\"7\""}}"#
        )))
    );
    assert_eq!(
        codec.encode(&CarrierOut::Clear),
        Some(text(&format!(
            r#"{{"event":"clearAudio","streamId":"{STREAM}"}}"#
        )))
    );
    let l16 = r#"{"event":"start","start":{"callId":"c","streamId":"s","mediaFormat":{"encoding":"audio/x-l16","sampleRate":16000}}}"#;
    start_of(&mut codec, l16);
    let Some(Wire::Text(said)) = codec.encode(&audio) else {
        panic!()
    };
    assert!(said.contains(r#""contentType":"audio/x-l16","sampleRate":16000"#));
}

#[test]
fn complaints_are_troubles_and_new_events_are_named() {
    let mut codec = started();
    let failed = r#"{"event":"playFailed","reason":"buffer full"}"#;
    assert_eq!(
        codec.decode(&text(failed)).unwrap(),
        CarrierIn::Trouble {
            code: "plivo_play_failed".into(),
            message: "buffer full".into()
        }
    );
    let error = r#"{"event":"error"}"#;
    assert!(matches!(
        codec.decode(&text(error)).unwrap(),
        CarrierIn::Trouble { code, .. } if code == "plivo_stream"
    ));
    assert_eq!(
        codec
            .decode(&text(r#"{"event":"novelty","x":[1]}"#))
            .unwrap(),
        CarrierIn::Unknown {
            event: "novelty".into()
        }
    );
    let outbound = r#"{"event":"media","media":{"track":"outbound","payload":"/w=="}}"#;
    assert!(matches!(
        codec.decode(&text(outbound)).unwrap(),
        CarrierIn::Echo(_)
    ));
}

#[test]
fn nonsense_is_refused_and_the_next_message_is_read() {
    let mut codec = started();
    for nonsense in [
        "",
        "{",
        "null",
        "[]",
        r#"{"event":7}"#,
        r#"{"event":"media"}"#,
        r#"{"event":"media","media":{"payload":"%%%"}}"#,
        r#"{"event":"start"}"#,
        r#"{"event":"start","start":{"streamId":"s"}}"#,
        r#"{"event":"playedStream"}"#,
        r#"{"event":"dtmf"}"#,
    ] {
        assert!(codec.decode(&text(nonsense)).is_err(), "{nonsense}");
    }
    assert!(
        codec
            .decode(&Wire::Binary(Bytes::from_static(b"x")))
            .is_err()
    );
    assert!(
        codec
            .decode(&text(MESSAGES.lines().nth(1).unwrap()))
            .is_ok()
    );
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(message in "\\PC{0,120}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut codec = started();
        drop(codec.decode(&text(&message)));
        drop(codec.decode(&text(&String::from_utf8_lossy(&bytes))));
        drop(codec.decode(&Wire::Binary(bytes.into())));
        for event in ["start", "media", "dtmf", "playedStream", "error"] {
            let quoted = serde_json::Value::from(message.as_str());
            drop(codec.decode(&text(&format!(r#"{{"event":"{event}","media":{{"payload":{quoted},"timestamp":{quoted}}},"start":{{"callId":{quoted},"streamId":{quoted}}},"name":{quoted},"extra_headers":{quoted}}}"#))));
        }
    }

    #[test]
    fn audio_survives_the_way_out_and_in(payload in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut codec = started();
        let out = codec.encode(&CarrierOut::Audio(payload.clone().into())).unwrap();
        let Wire::Text(said) = out else { panic!() };
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        let back = base64_audio(value["media"]["payload"].as_str().unwrap()).unwrap();
        prop_assert_eq!(back, payload);
    }
}
