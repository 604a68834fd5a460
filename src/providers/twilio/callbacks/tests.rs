use super::*;
use crate::providers::twilio::parse_form;

const CALL: &str = "CA1234567890abcdef1234567890abcdef";

fn form(body: &str) -> Form {
    Form::new(parse_form(body.as_bytes()))
}

fn status(body: &str) -> StatusCallback {
    StatusCallback::read(&form(body)).unwrap()
}

const COMPLETED: &str = "AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ApiVersion=2010-04-01&CallSid=CA1234567890abcdef1234567890abcdef&CallStatus=completed&CallDuration=47&Duration=1&CallbackSource=call-progress-events&SequenceNumber=3&Timestamp=Sat%2C+21+Nov+2026+04%3A01%3A10+%2B0000&Direction=outbound-api&From=%2B15557650000&To=%2B15551230000&Caller=%2B15557650000&Called=%2B15551230000&FromCountry=US&ToCountry=US&FromCity=&ToCity=&SipResponseCode=200";

#[test]
fn completed_call_has_seconds_cause_and_no_guessed_culprit() {
    let news = status(COMPLETED).news();
    assert_eq!(
        news.facts,
        [Fact::CallEnded {
            status: CallStatus::Completed,
            ended_by: None,
            cause: Some("normal end".into()),
            duration_s: Some(47),
            source: Source::Webhook,
        }]
    );
    let Subject::Seen {
        facts,
        status,
        started_at,
    } = news.subject
    else {
        panic!()
    };
    assert_eq!(status, CallStatus::InProgress);
    assert_eq!(facts.direction, Direction::Outbound);
    assert_eq!(
        (facts.from.as_str(), facts.to.as_str()),
        ("+15557650000", "+15551230000")
    );
    assert_eq!(
        started_at.unwrap().to_rfc3339(),
        "2026-11-21T04:00:23+00:00"
    );
}

#[test]
fn each_status_word_becomes_its_fact() {
    for word in ["initiated", "queued", "ringing", "in-progress"] {
        let news = status(&format!("CallSid={CALL}&CallStatus={word}")).news();
        let status = CallStatus::parse(word).unwrap();
        assert_eq!(
            news.facts,
            [Fact::StatusChanged {
                status,
                source: Source::Webhook
            }]
        );
    }
    for (word, sip) in [
        ("busy", 486),
        ("no-answer", 487),
        ("failed", 404),
        ("canceled", 487),
    ] {
        let body = format!("CallSid={CALL}&CallStatus={word}&SipResponseCode={sip}");
        let Fact::CallEnded {
            status,
            ended_by,
            cause,
            ..
        } = &status(&body).news().facts[0]
        else {
            panic!("{word}")
        };
        assert_eq!(status.as_str(), word);
        assert_eq!(
            (ended_by, cause.as_deref()),
            (&None, Some(sip_text(sip).as_str()))
        );
    }
    assert!(
        status(&format!("CallSid={CALL}&CallStatus=levitating"))
            .news()
            .facts
            .is_empty()
    );
}

#[test]
fn a_dialled_leg_is_news_of_its_parent() {
    let news = status(&format!(
        "CallSid=CAchild&ParentCallSid={CALL}&CallStatus=busy&To=%2B15550001111&SipResponseCode=486"
    ))
    .news();
    let fact = Fact::Transferred {
        to: "+15550001111".into(),
        state: "failed".into(),
        reason: Some("SIP 486 busy".into()),
    };
    assert_eq!(news, News::known(CARRIER, CALL, vec![fact]));
}

#[test]
fn incoming_call_is_seen_with_its_caller() {
    let body = format!(
        "CallSid={CALL}&From=%2B15551230000&To=%2B15557650000&CallStatus=ringing&Direction=inbound&CallerName=JOE%1b%5B2J+DOE"
    );
    let news = VoiceRequest::read(&form(&body)).unwrap().news();
    let Subject::Seen { facts, status, .. } = news.subject else {
        panic!()
    };
    assert_eq!(status, CallStatus::Ringing);
    assert_eq!(facts.name.as_deref(), Some("JOE DOE"));
}

#[test]
fn amd_verdict_needs_nothing_but_the_call() {
    let body = format!(
        "AccountSid=AC1&CallSid={CALL}&AnsweredBy=machine_end_beep&MachineDetectionDuration=8120"
    );
    let news = AmdCallback::read(&form(&body)).unwrap().news();
    let fact = Fact::AnsweredBy {
        verdict: AnsweredBy::MachineEndBeep,
        took_ms: Some(8120),
    };
    assert_eq!(news, News::known(CARRIER, CALL, vec![fact]));
    assert!(AmdCallback::read(&form(&format!("CallSid={CALL}"))).is_err());
}

#[test]
fn a_recordings_url_is_not_taken_from_the_carrier() {
    let body = format!(
        "CallSid={CALL}&RecordingSid=REaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&RecordingStatus=completed&RecordingDuration=45&RecordingUrl=http%3A%2F%2F169.254.169.254%2F"
    );
    let news = RecordingCallback::read(&form(&body)).unwrap().news();
    let Fact::RecordingChanged { recording } = &news.facts[0] else {
        panic!()
    };
    assert_eq!(recording.url, None);
    assert_eq!(recording.duration_s, Some(45));
    assert!(!format!("{news:?}").contains("169.254"));
}

#[test]
fn absent_recording_says_why() {
    let body = format!("CallSid={CALL}&RecordingSid=RE1&RecordingStatus=absent&ErrorCode=16101");
    let news = RecordingCallback::read(&form(&body)).unwrap().news();
    let Fact::RecordingChanged { recording } = &news.facts[0] else {
        panic!()
    };
    assert_eq!(recording.state, RecordingState::Absent);
    assert_eq!(
        recording.error.as_deref(),
        Some("16101 the recording is too short")
    );
    assert_eq!(recording.url, None);
}

#[test]
fn stream_news_is_not_told_twice() {
    let read = |event: &str| {
        let body = format!(
            "CallSid={CALL}&StreamSid=MZ1&StreamEvent={event}&StreamError=31920%3A+handshake"
        );
        StreamCallback::read(&form(&body)).unwrap()
    };
    assert!(read("stream-started").news(Some("MZ1")).facts.is_empty());
    assert_eq!(
        read("stream-started").news(None).facts,
        [Fact::StreamStarted {
            stream_id: "MZ1".into()
        }]
    );
    assert!(read("stream-stopped").news(Some("MZ2")).facts.is_empty());
    let Fact::TroubleNoted { code, .. } = &read("stream-error").news(None).facts[0] else {
        panic!()
    };
    assert_eq!(code, "twilio_31920");
}

#[test]
fn dial_result_tells_whether_the_caller_was_taken() {
    let read = |word: &str| {
        DialResult::read(&form(&format!("CallSid={CALL}&DialCallStatus={word}"))).unwrap()
    };
    assert!(read("completed").connected() && !read("no-answer").connected());
    let Fact::Transferred { state, reason, .. } = &read("busy").news("+1555").facts[0] else {
        panic!()
    };
    assert_eq!(
        (state.as_str(), reason.as_deref()),
        ("failed", Some("busy"))
    );
}

#[test]
fn ids_that_are_not_ids_are_refused() {
    for id in ["", "..%2F..%2Fetc", "CA 1", "CA1%0d%0aX: y"] {
        assert!(StatusCallback::read(&form(&format!("CallSid={id}&CallStatus=ringing"))).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn any_form_is_read_or_refused(pairs in proptest::collection::vec(("[A-Za-z]{0,12}", ".{0,40}"), 0..12)) {
        let mut pairs = pairs;
        pairs.push(("CallSid".into(), CALL.into()));
        let form = Form::new(pairs);
        let _news = StatusCallback::read(&form).unwrap().news();
        let _news = VoiceRequest::read(&form).unwrap().news();
        let _maybe = (AmdCallback::read(&form), RecordingCallback::read(&form), StreamCallback::read(&form), ConferenceCallback::read(&form));
    }
}
