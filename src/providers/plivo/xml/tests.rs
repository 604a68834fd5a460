use proptest::prelude::*;

use super::*;

/// Written by the official builder.
const VECTORS: &str = include_str!("../../../../tests/fixtures/plivo/xml.xmls");

fn is_vector(xml: &str) {
    assert!(VECTORS.lines().any(|line| line == xml), "{xml}");
}

#[test]
fn what_we_answer_is_byte_equal_to_the_official_builder() {
    let stream = Stream {
        url: "wss://wb.example.com/media-stream?wb=abc_-1&x=1".into(),
        status_callback: Some("https://wb.example.com/stream-status".into()),
        extra_headers: vec![("wb".into(), "abc_-1".into()), ("lead".into(), "42".into())],
    };
    is_vector(&connect_stream(
        &stream,
        Some("https://wb.example.com/recording#rc=3&rp=all"),
        &After::Say("We are sorry & \"x\" <y>".into()),
    ));
    is_vector(&transfer(
        None,
        &Dial {
            to: "+15559990000".into(),
            caller_id: Some("+15557650000".into()),
            action: Some("https://wb.example.com/dial-action".into()),
            callback: Some("https://wb.example.com/dial-status".into()),
            timeout_s: Some(25),
        },
    ));
    is_vector(&transfer(
        None,
        &Dial {
            to: "sip:a@phone.plivo.com".into(),
            timeout_s: Some(25),
            ..Dial::default()
        },
    ));
    is_vector(&redirect("https://wb.example.com/a?b=1&c=2"));
    is_vector(&wait(5));
    is_vector(&reject("busy"));
    is_vector(&hang_up());
    is_vector(&empty());
}

#[test]
fn other_elements_of_the_builder_can_be_written_too() {
    is_vector(&document([Element::new("Stream")
        .with("bidirectional", "true")
        .with("audioTrack", "inbound")
        .with("streamTimeout", "3600")
        .with("statusCallbackUrl", "https://wb.example.com/stream-status")
        .with("statusCallbackMethod", "POST")
        .with("contentType", STREAM_AUDIO)
        .with("extraHeaders", "callId=abc,lead=42")
        .with("keepCallAlive", "true")
        .text("wss://wb.example.com/media-stream?cid=1&t=a")]));
    is_vector(&document([
        speak("Connecting you"),
        Element::new("Dial")
            .with("action", "https://wb.example.com/dial-action")
            .with("method", "POST")
            .with("timeout", "20")
            .with("callerId", "15557650000")
            .with("confirmSound", "https://wb.example.com/whisper.xml")
            .with("confirmKey", "1")
            .with("callbackUrl", "https://wb.example.com/dial-cb")
            .with("callbackMethod", "POST")
            .child(Element::new("Number").text("15559990000")),
    ]));
    is_vector(&document([Element::new("Conference")
        .with("muted", "true")
        .with("startConferenceOnEnter", "true")
        .with("endConferenceOnExit", "false")
        .with("stayAlone", "true")
        .with("record", "true")
        .with("callbackUrl", "https://wb.example.com/conf")
        .text("wb-room")]));
    is_vector(&document([Element::new("MultiPartyCall")
        .with("role", "supervisor")
        .with("coachMode", "true")
        .with("mute", "true")
        .with("startMpcOnEnter", "true")
        .with("endMpcOnExit", "false")
        .with("statusCallbackUrl", "https://wb.example.com/mpc")
        .with("statusCallbackMethod", "POST")
        .text("wb-mpc")]));
    is_vector(&document([hangup()
        .with("reason", "busy")
        .with("schedule", "10")]));
}

#[test]
fn a_dead_bridge_falls_through_to_the_next_element() {
    let stream = Stream {
        url: "wss://h/s".into(),
        ..Stream::default()
    };
    let dial = Dial {
        to: "+15550001111".into(),
        timeout_s: Some(20),
        ..Dial::default()
    };
    let xml = connect_stream(&stream, None, &After::Dial(dial));
    assert!(
        xml.ends_with(
            r#"keepCallAlive="true">wss://h/s</Stream><Dial timeout="20"><Number>15550001111</Number></Dial></Response>"#
        ),
        "{xml}"
    );
    let xml = connect_stream(&stream, None, &After::Redirect("https://h/answer".into()));
    assert!(xml.ends_with(r#"<Redirect method="POST">https://h/answer</Redirect></Response>"#));
    let xml = connect_stream(&stream, None, &After::HangUp);
    assert!(xml.ends_with("</Stream><Hangup/></Response>"));
}

#[test]
fn extra_headers_stay_within_the_carriers_limit() {
    let mut stream = Stream {
        extra_headers: vec![("a,b".into(), "1;2=3".into())],
        ..Stream::default()
    };
    assert_eq!(stream.headers(), "ab=123");
    stream.extra_headers.push(("long".into(), "x".repeat(600)));
    assert_eq!(stream.headers(), "ab=123");
}

proptest! {
    #[test]
    fn hostile_text_stays_text(text in "\\PC{0,40}|(<|>|&|\"|\u{0}|\u{1b}){0,20}") {
        let xml = say_and_hang_up(&text);
        let inner = xml.strip_prefix("<Response><Speak").unwrap();
        prop_assert!(inner.ends_with("<Hangup/></Response>"));
        prop_assert_eq!(xml.matches('<').count(), if text_is_kept(&text) { 5 } else { 4 });
        prop_assert!(!xml.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && (c as u32) < 0x20));
    }
}

fn text_is_kept(text: &str) -> bool {
    !text.is_empty()
}
