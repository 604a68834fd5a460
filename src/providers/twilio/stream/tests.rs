use super::*;

const MESSAGES: &str = include_str!("../../../../tests/fixtures/twilio/stream.jsonl");

fn text(text: &str) -> Wire {
    Wire::Text(text.to_owned())
}

fn started() -> TwilioCodec {
    let mut codec = TwilioCodec::new();
    for line in MESSAGES.lines().take(2) {
        codec.decode(&text(line)).unwrap();
    }
    codec
}

#[test]
fn documented_messages_are_read() {
    let mut codec = TwilioCodec::new();
    let read: Vec<_> = MESSAGES
        .lines()
        .map(|line| codec.decode(&text(line)).unwrap())
        .collect();
    assert_eq!(read[0], CarrierIn::Connected);
    let CarrierIn::Start(start) = &read[1] else {
        panic!()
    };
    assert_eq!(start.stream_id, "MZaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!(start.carrier_call_id, "CA1234567890abcdef1234567890abcdef");
    assert_eq!(start.format, ULAW_8K);
    assert_eq!(start.custom["call_id"], "wb-1");
    let CarrierIn::Audio(audio) = &read[2] else {
        panic!()
    };
    assert_eq!((audio.chunk, audio.timestamp_ms), (Some(1), Some(5)));
    assert_eq!(audio.payload.as_ref(), [0xff, 0x7f, 0x00]);
    assert_eq!(read[3], CarrierIn::Dtmf { digit: "1".into() });
    assert_eq!(
        read[4],
        CarrierIn::MarkReached {
            name: "cp-7".into()
        }
    );
    assert_eq!(read[5], CarrierIn::Stop);
}

#[test]
fn numbers_may_be_numbers_and_slashes_escaped() {
    let mut codec = started();
    let media = r#"{"event":"media","media":{"chunk":7,"timestamp":140,"payload":"\/\/8="},"x":1}"#;
    let CarrierIn::Audio(audio) = codec.decode(&text(media)).unwrap() else {
        panic!()
    };
    assert_eq!((audio.chunk, audio.timestamp_ms), (Some(7), Some(140)));
    assert_eq!(audio.payload.as_ref(), [0xff, 0xff]);
}

#[test]
fn nothing_is_said_before_start() {
    let mut codec = TwilioCodec::new();
    assert_eq!(codec.encode(&CarrierOut::Clear), None);
    assert_eq!(
        codec.encode(&CarrierOut::Audio(Bytes::from_static(b"x"))),
        None
    );
}

#[test]
fn outgoing_messages_have_the_documented_shape() {
    let mut codec = started();
    let id = "MZaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let cases = [
        (
            CarrierOut::Audio(Bytes::from_static(&[0xff, 0x7f, 0x00])),
            format!(r#"{{"event":"media","streamSid":"{id}","media":{{"payload":"/38A"}}}}"#),
        ),
        (
            CarrierOut::Mark {
                name: "cp-\"7".into(),
            },
            format!(r#"{{"event":"mark","streamSid":"{id}","mark":{{"name":"cp-\"7"}}}}"#),
        ),
        (
            CarrierOut::Clear,
            format!(r#"{{"event":"clear","streamSid":"{id}"}}"#),
        ),
    ];
    for (out, wanted) in cases {
        assert_eq!(codec.encode(&out), Some(Wire::Text(wanted)));
    }
}

#[test]
fn broken_messages_are_refused_and_the_next_one_is_read() {
    let mut codec = started();
    for broken in [
        "",
        "{",
        "[]",
        "null",
        r#"{"event":"media"}"#,
        r#"{"event":"media","media":{"payload":"**"}}"#,
        r#"{"event":7}"#,
        r#"{"event":"start","start":{}}"#,
    ] {
        assert!(codec.decode(&text(broken)).is_err(), "{broken}");
    }
    assert!(
        codec
            .decode(&Wire::Binary(Bytes::from_static(b"\xff")))
            .is_err()
    );
    let odd = codec
        .decode(&text(r#"{"event":"novelty","novelty":{}}"#))
        .unwrap();
    assert_eq!(
        odd,
        CarrierIn::Unknown {
            event: "novelty".into()
        }
    );
}

#[test]
fn our_own_voice_is_not_taken_for_the_callers() {
    let media = r#"{"event":"media","media":{"track":"outbound","payload":"/w=="}}"#;
    assert!(matches!(
        started().decode(&text(media)).unwrap(),
        CarrierIn::Echo(_)
    ));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(any in ".{0,200}", event in "(media|start|mark|dtmf|stop)", inner in "[\\[\\]{}\",:a-z0-9]{0,60}") {
        let mut codec = started();
        let _either = codec.decode(&text(&any));
        let _either = codec.decode(&text(&format!(r#"{{"event":"{event}","{event}":{inner}}}"#)));
    }

    #[test]
    fn audio_survives_the_round_trip(audio in proptest::collection::vec(0u8.., 0..700)) {
        let mut codec = started();
        let Some(Wire::Text(sent)) = codec.encode(&CarrierOut::Audio(Bytes::from(audio.clone()))) else { panic!() };
        let CarrierIn::Audio(back) = codec.decode(&Wire::Text(sent)).unwrap() else { panic!() };
        proptest::prop_assert_eq!(back.payload.as_ref(), audio.as_slice());
    }
}
