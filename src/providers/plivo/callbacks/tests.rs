use proptest::prelude::*;

use super::*;
use crate::call::{Band, RecordingState};
use crate::providers::plivo::parse_form;

const CALL: &str = "11111111-2222-3333-4444-555555555555";
const WEBHOOKS: &str = include_str!("../../../../tests/fixtures/plivo/webhooks.jsonl");

fn form(name: &str) -> Form {
    let body = WEBHOOKS
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|row| row["name"] == name)
        .unwrap_or_else(|| panic!("no webhook {name}"));
    Form::new(parse_form(body["body"].as_str().unwrap().as_bytes()))
}

fn subject(news: &News) -> (&CallFacts, CallStatus, Option<DateTime<Utc>>) {
    match &news.subject {
        Subject::Seen {
            facts,
            status,
            started_at,
        } => (facts, *status, *started_at),
        Subject::Known { .. } | Subject::Texted { .. } => panic!("{news:?}"),
    }
}

fn status(status: CallStatus) -> Fact {
    Fact::StatusChanged {
        status,
        source: Source::Webhook,
    }
}

fn transferred(state: &str, reason: Option<&str>) -> Fact {
    Fact::Transferred {
        to: "+15559990000".into(),
        state: state.into(),
        reason: reason.map(str::to_owned),
    }
}

#[test]
fn an_incoming_call_is_seen_with_whole_numbers_and_utc_start() {
    let AnswerNews::Answer(request) = AnswerNews::read(&form("answer_inbound")).unwrap() else {
        panic!()
    };
    let news = request.news();
    let (facts, seen, started_at) = subject(&news);
    assert_eq!(facts.carrier_call_id.as_deref(), Some(CALL));
    assert_eq!(facts.direction, Direction::Inbound);
    assert_eq!(
        (facts.from.as_str(), facts.to.as_str()),
        ("+15551230000", "+15557650000")
    );
    assert_eq!(seen, CallStatus::Ringing);
    assert!(
        started_at
            .unwrap()
            .to_rfc3339()
            .starts_with("2026-11-21T04:00:00.123")
    );
    assert_eq!(news.facts, [status(CallStatus::Ringing)]);
}

#[test]
fn a_call_of_ours_is_answered_and_known_by_its_request() {
    let request = AnswerRequest::read(&form("answer_outbound")).unwrap();
    assert_eq!(request.call.request_uuid.as_deref(), Some(CALL));
    assert_eq!(request.news().facts, [status(CallStatus::InProgress)]);
    let fallback = request.fallback_news();
    assert!(
        matches!(&fallback.facts[1], Fact::TroubleNoted { code, .. } if code == "plivo_fallback")
    );
    let ring = RingCallback::read(&form("ring")).unwrap();
    assert_eq!(ring.news().facts, [status(CallStatus::Ringing)]);
}

#[test]
fn a_machine_known_at_the_answer_is_told_at_once() {
    let mut pairs = parse_form(b"CallUUID=11111111&CallStatus=in-progress&Machine=true");
    let news = AnswerRequest::read(&Form::new(pairs.clone()))
        .unwrap()
        .news();
    assert_eq!(
        news.facts[1],
        Fact::AnsweredBy {
            verdict: AnsweredBy::MachineStart,
            took_ms: None
        }
    );
    pairs.pop();
    assert_eq!(
        AnswerRequest::read(&Form::new(pairs))
            .unwrap()
            .news()
            .facts
            .len(),
        1
    );
}

#[test]
fn the_end_says_how_why_by_whom_how_long_and_for_how_much() {
    let AnswerNews::Hangup(hangup) = AnswerNews::read(&form("hangup")).unwrap() else {
        panic!("a hangup at the answer URL is a hangup")
    };
    let news = hangup.news();
    assert_eq!(
        news.facts,
        [
            Fact::CallEnded {
                status: CallStatus::Completed,
                ended_by: Some("callee".into()),
                cause: Some("Normal Hangup (4000 NORMAL_CLEARING)".into()),
                duration_s: Some(47),
                source: Source::Webhook,
            },
            Fact::Costed {
                usd: 0.0085,
                source: "plivo".into()
            },
        ]
    );
    assert_eq!(subject(&news).1, CallStatus::InProgress);
    assert_eq!(hangup.content_key(), format!("{CALL}/hangup"));
}

#[test]
fn who_hung_up_is_left_open_when_the_carrier_does_not_say() {
    let hangup = HangupCallback::read(&form("hangup_rejected")).unwrap();
    let news = hangup.news();
    let [
        Fact::CallEnded {
            status,
            ended_by,
            cause,
            ..
        },
    ] = news.facts.as_slice()
    else {
        panic!("{news:?}")
    };
    assert_eq!(*status, CallStatus::Failed);
    assert_eq!(*ended_by, None);
    assert_eq!(cause.as_deref(), Some("Rejected (3020 CALL_REJECTED)"));
    assert_eq!(subject(&news).1, CallStatus::Initiated);
}

#[test]
fn an_answer_of_ours_that_failed_is_our_trouble() {
    let news = HangupCallback::read(&form("hangup_unreachable"))
        .unwrap()
        .news();
    assert_eq!(
        news.facts[0],
        Fact::TroubleNoted {
            code: "plivo_8011".into(),
            message: "the carrier could not read our answer".into()
        }
    );
    assert!(matches!(
        &news.facts[1],
        Fact::CallEnded { status: CallStatus::Failed, ended_by: Some(by), .. } if by == "by an error"
    ));
}

#[test]
fn a_bare_ending_is_still_an_ending() {
    let words = |body: &str| {
        let form = Form::new(parse_form(body.as_bytes()));
        let hangup = HangupCallback::read(&form).unwrap();
        (hangup.status, hangup.cause_words())
    };
    assert_eq!(
        words("CallUUID=abc&CallStatus=busy"),
        (CallStatus::Busy, None)
    );
    assert_eq!(
        words("CallUUID=abc&HangupCauseCode=7011"),
        (
            CallStatus::Failed,
            Some("the carrier could not fetch our answer (7011)".into())
        )
    );
    assert_eq!(
        words("CallUUID=abc&HangupCause=USER_BUSY"),
        (CallStatus::Busy, Some("USER_BUSY".into()))
    );
    assert!(HangupCallback::read(&Form::default()).is_err());
}

#[test]
fn only_machines_are_reported() {
    let machine = MachineCallback::read(&form("machine")).unwrap();
    assert!(!machine.hangs_up);
    assert_eq!(
        machine.news(),
        News::known(
            "plivo",
            CALL,
            vec![Fact::AnsweredBy {
                verdict: AnsweredBy::MachineStart,
                took_ms: None
            }]
        )
    );
    assert!(MachineCallback::read(&form("ring")).is_err());
}

#[test]
fn a_recording_without_length_runs_and_is_not_served_before_it_is_fetched() {
    let first = RecordingCallback::read(&form("recording_first")).unwrap();
    let done = RecordingCallback::read(&form("recording_done")).unwrap();
    assert_ne!(first.content_key(), done.content_key());
    let of = |callback: &RecordingCallback| match callback.news().facts.as_slice() {
        [Fact::RecordingChanged { recording }] => recording.clone(),
        facts => panic!("{facts:?}"),
    };
    let (first, done) = (of(&first), of(&done));
    assert_eq!((first.state, first.url), (RecordingState::InProgress, None));
    assert_eq!(
        (done.state, done.duration_s),
        (RecordingState::Completed, Some(44))
    );
    assert_eq!(done.url, None);
}

#[test]
fn stream_news_is_told_once_and_troubles_always() {
    let id = "22222222-3333-4444-5555-666666666666";
    let of = |name: &str, known| StreamCallback::read(&form(name)).unwrap().news(known).facts;
    assert_eq!(
        of("stream_started", Some(id)),
        [status(CallStatus::InProgress)]
    );
    assert_eq!(
        of("stream_started", None)[1],
        Fact::StreamStarted {
            stream_id: id.into()
        }
    );
    assert!(matches!(
        &of("stream_degraded", Some(id))[..],
        [Fact::QualityChanged { quality }] if quality.band == Band::Warn && quality.source == "plivo"
    ));
    assert!(matches!(
        &of("stream_dropped", Some(id))[..],
        [Fact::TroubleNoted { .. }, Fact::StreamStopped { reason, .. }] if reason == "connection refused"
    ));
    for word in ["started", "stopped", "failed", "PlayedStream", "New"] {
        let pairs = [("CallUUID", CALL), ("StreamID", id), ("Event", word)];
        let form = Form::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let event = StreamCallback::read(&form).unwrap().event;
        assert_eq!(event == StreamEvent::Unknown, word == "New", "{word}");
    }
}

#[test]
fn a_transfer_rings_connects_or_fails() {
    let query = TransferRequest::query("+15559990000");
    let asked = TransferRequest::read(&form("answer_outbound"), &query).unwrap();
    assert_eq!(asked.news().facts, [transferred("ringing", None)]);
    let leg = DialLegCallback::read(&form("dial_answered")).unwrap();
    assert_eq!(leg.news("?").facts, [transferred("connected", None)]);
    let busy = DialResult::read(&form("dial_busy")).unwrap();
    assert!(!busy.connected());
    assert_eq!(
        busy.news("+15559990000").facts,
        [transferred("failed", Some("busy"))]
    );
    let done = DialResult::read(&form("dial_completed")).unwrap();
    assert!(done.connected());
    assert_eq!(
        done.news("15559990000").facts,
        [transferred("connected", None)]
    );
    let form = form("answer_outbound");
    for hostile in [
        "",
        "to=",
        "to=%3CDial%3E",
        "to=1,2",
        "to=sip%3Aa%22b",
        "to=javascript",
    ] {
        assert!(TransferRequest::read(&form, hostile).is_err(), "{hostile}");
    }
    assert!(TransferRequest::read(&form, "to=sip%3Adesk%40phone.plivo.com").is_ok());
}

#[test]
fn our_own_words_in_an_answer_url_come_back() {
    let asked = AnswerQuery {
        call: Some(CallId::from_parts(7, [7; 10])),
        record: true,
    };
    let text = asked.write();
    assert_eq!(AnswerQuery::read(text.strip_prefix('?').unwrap()), asked);
    assert_eq!(AnswerQuery::default().write(), "");
    assert_eq!(
        AnswerQuery::read("call=nonsense&x=1"),
        AnswerQuery::default()
    );
}

#[test]
fn the_same_news_has_the_same_key() {
    for name in ["ring", "machine", "hangup"] {
        let (one, two) = (form(name), form(name));
        let key = |form: &Form| match name {
            "ring" => RingCallback::read(form).unwrap().content_key(),
            "machine" => MachineCallback::read(form).unwrap().content_key(),
            _ => HangupCallback::read(form).unwrap().content_key(),
        };
        assert_eq!(key(&one), key(&two));
    }
}

proptest! {
    #[test]
    fn arbitrary_forms_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200), value in "\\PC{0,20}") {
        let mut pairs = parse_form(&body);
        for key in ["CallUUID", "StreamID", "RecordingID", "HangupCauseCode", "Duration", "SessionStart", "TotalCost", "From", "Event", "DialStatus"] {
            pairs.push((key.to_owned(), value.clone()));
        }
        for fixed in [false, true] {
            if fixed {
                for key in ["CallUUID", "StreamID", "RecordingID"] {
                    pairs.insert(0, (key.to_owned(), "abc".to_owned()));
                }
            }
            let form = Form::new(pairs.clone());
            drop(AnswerNews::read(&form).map(|news| match news {
                AnswerNews::Answer(request) => request.news(),
                AnswerNews::Hangup(hangup) => hangup.news(),
            }));
            drop(HangupCallback::read(&form).map(|c| c.news()));
            drop(RingCallback::read(&form).map(|c| c.news()));
            drop(MachineCallback::read(&form).map(|c| c.news()));
            drop(RecordingCallback::read(&form).map(|c| c.news()));
            drop(StreamCallback::read(&form).map(|c| c.news(None)));
            drop(DialResult::read(&form).map(|c| c.news("1")));
            drop(DialLegCallback::read(&form).map(|c| c.news("1")));
            drop(TransferRequest::read(&form, &value).map(|c| c.news()));
        }
    }
}
