use super::*;

fn code(body: &str) -> u32 {
    parse(Some("text/xml"), body).map_or_else(|error| error.code, |_| 0)
}

#[test]
fn the_agent_stream_document_is_read_with_its_parameters() {
    let body = r#"<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream name="agent" statusCallback="https://wb.example.com/stream-status-callback" statusCallbackMethod="POST" url="wss://wb.example.com/outbound-media-stream"><Parameter name="call_id" value="wb-1" /><Parameter name="first_message" value="Hi &quot;Bob&quot; &amp; &lt;co&gt;" /></Stream></Connect><Say voice="Polly.Joanna">We're sorry.</Say><Hangup /></Response>"#;
    let verbs = parse(Some("text/xml; charset=utf-8"), body).unwrap();
    let Verb::ConnectStream(stream) = &verbs[0] else {
        panic!("{verbs:?}")
    };
    assert_eq!(stream.url, "wss://wb.example.com/outbound-media-stream");
    assert_eq!(stream.parameters[1].1, "Hi \"Bob\" & <co>");
    assert_eq!(
        verbs[1],
        Verb::Say {
            text: "We're sorry.".to_owned()
        }
    );
    assert_eq!(verbs[2], Verb::Hangup);
}

#[test]
fn every_other_document_of_the_official_builder_is_read() {
    for body in [
        r#"<Response><Start><Stream name="mon" track="both_tracks" url="wss://wb.example.com/monitor" /></Start><Pause length="3600" /></Response>"#,
        r#"<Response><Stop><Stream name="mon" /></Stop></Response>"#,
        r#"<Response><Say>Connecting you now.</Say><Dial action="https://wb.example.com/dial-result" answerOnBridge="true" callerId="+15557650000" method="POST" record="record-from-answer-dual" timeout="20"><Number statusCallback="https://wb.example.com/call-status-callback" statusCallbackEvent="initiated ringing answered completed" url="https://wb.example.com/whisper">+15559990000</Number></Dial></Response>"#,
        r#"<Response><Dial><Conference beep="false" endConferenceOnExit="true">wb-CA1234</Conference></Dial></Response>"#,
        r#"<Response><Start><Recording channels="dual" recordingStatusCallback="https://wb.example.com/recording-status-callback" recordingStatusCallbackEvent="in-progress completed absent" recordingStatusCallbackMethod="POST" track="both" trim="do-not-trim" /></Start></Response>"#,
        r#"<Response><Redirect method="POST">https://wb.example.com/next</Redirect></Response>"#,
        r#"<Response><Reject reason="busy" /></Response>"#,
        "<Response/>",
    ] {
        assert_eq!(code(body), 0, "{body}");
    }
}

#[test]
fn what_the_carrier_refuses_is_refused() {
    let stream = |attrs: &str| format!("<Response><Connect><Stream {attrs}/></Connect></Response>");
    for (body, expected) in [
        ("<Response><Say>a & b</Say></Response>".to_owned(), 12_100),
        ("<Response><Say>a</Response>".to_owned(), 12_100),
        ("<Response></Response><x/>".to_owned(), 12_100),
        ("{\"success\":true}".to_owned(), 12_100),
        (
            "<Response><Say a=\"1\" a=\"2\"/></Response>".to_owned(),
            12_100,
        ),
        (
            "<Response><Say>\u{1b}[2J</Say></Response>".to_owned(),
            12_100,
        ),
        (
            "<Response><Say>&#27;[2J</Say></Response>".to_owned(),
            12_100,
        ),
        ("<response/>".to_owned(), 12_200),
        ("<Response><say>hi</say></Response>".to_owned(), 12_200),
        (
            "<Response><Hangup now=\"1\"/></Response>".to_owned(),
            12_200,
        ),
        ("<Response>hello</Response>".to_owned(), 12_200),
        (stream("url=\"https://wb.example.com/s\""), 11_100),
        (stream("url=\"ws://wb.example.com/s\""), 11_100),
        (stream("url=\"ws://127.0.0.1:9/s\""), 0),
        (stream("url=\"wss://wb.example.com/s?x=1\""), 31_920),
        (stream("url=\"wss://h/s\" track=\"both_tracks\""), 31_941),
        (stream("url=\"wss://h/s\" audioFormat=\"l16\""), 12_200),
    ] {
        assert_eq!(code(&body), expected, "{body}");
    }
    let json = parse(Some("application/json"), "<Response/>").unwrap_err();
    assert_eq!(json.code, 12_300);
    let long = "x".repeat(499);
    let body = format!(
        "<Response><Connect><Stream url=\"wss://h/s\"><Parameter name=\"p\" value=\"{long}\"/></Stream></Connect></Response>"
    );
    assert_eq!(code(&body), 0);
    assert_eq!(code(&body.replace("\"p\"", "\"pp\"")), 12_200);
}
