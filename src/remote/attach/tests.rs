use super::super::link::{Heard, In, Link};
use super::*;
use crate::call::{Action, Applied, Board, Call, CallFacts, CallStatus, Command, Fact, Source};
use crate::engine::LinkState;

fn at(ms: u64) -> Now {
    let wall = "2026-11-21T04:00:00Z"
        .parse::<chrono::DateTime<chrono::Utc>>()
        .unwrap();
    let mono = Duration::from_millis(ms);
    Now {
        mono,
        wall: wall + mono,
    }
}

fn epoch(n: u8) -> Epoch {
    Epoch::from_parts(u64::from(n), [n; 10])
}

fn hello(n: u8) -> In {
    heard(
        "hello",
        json!({
            "v": 1, "backend_id": "b", "epoch": epoch(n), "seq": 0, "now": "2026-11-21T04:00:00Z",
            "user": "u", "role": "operator", "verbs": ["view", "levitate"], "leads": null, "features": ["listen"],
        }),
    )
}

fn heard(event: &str, data: Value) -> In {
    In::Heard(Heard::Message {
        event: event.to_owned(),
        data,
    })
}

/// A link that is up, with its board at `seq`.
fn up(seq: u64) -> Link<Attach> {
    let mut link = Link::new(Attach::new(1), 1);
    link.step(at(0), In::Start);
    link.step(at(0), In::Heard(Heard::Up));
    link.step(at(0), hello(1));
    let outs = link.step(at(0), snapshot(1, seq, 1, 1, &[]));
    assert!(matches!(&outs[..], [Out::Tell(Update::Snapshot { .. })]));
    link
}

fn snapshot(n: u8, seq: u64, part: usize, parts: usize, calls: &[Value]) -> In {
    heard(
        "snapshot",
        json!({ "id": null, "epoch": epoch(n), "seq": seq, "part": part, "parts": parts, "calls": calls }),
    )
}

fn envelope(seq: u64) -> Value {
    json!({ "v": 1, "seq": seq, "at": "2026-11-21T04:00:00Z", "call": null, "event": { "type": "notice", "severity": "info", "code": "x", "text": "y" } })
}

fn envelopes(from: u64, to: u64) -> In {
    let items: Vec<Value> = (from + 1..=to).map(envelope).collect();
    heard(
        "envelopes",
        json!({ "from": from, "to": to, "items": items }),
    )
}

fn sent<'o>(outs: &'o [Out], wanted: &str) -> Option<&'o Value> {
    outs.iter().find_map(|out| match out {
        Out::Send { event, data } if *event == wanted => Some(data),
        _ => None,
    })
}

fn reason(outs: &[Out]) -> Option<String> {
    outs.iter().find_map(|out| match out {
        Out::Tell(Update::Link(LinkState::Down { reason, .. })) => Some(reason.clone()),
        _ => None,
    })
}

fn command(n: u8) -> Command {
    Command {
        id: CommandId::from_parts(1, [n; 10]),
        call: Some(CallId::from_parts(1, [9; 10])),
        action: Action::Terminate {},
        reason: None,
    }
}

#[test]
fn first_connection_asks_for_a_snapshot() {
    let mut link = Link::new(Attach::new(1), 1);
    link.step(at(0), In::Start);
    assert!(
        link.step(at(1), In::Heard(Heard::Up)).is_empty(),
        "up is told with the hello"
    );
    let outs = link.step(at(2), hello(1));
    assert!(matches!(outs[0], Out::Tell(Update::Link(LinkState::Up))));
    let Out::Tell(Update::Hello(hello)) = &outs[1] else {
        panic!()
    };
    assert_eq!(
        hello.verbs.len(),
        1,
        "verbs of a newer backend are passed over"
    );
    assert_eq!(sent(&outs, "resume").unwrap()["since"], Value::Null);
}

#[test]
fn snapshot_is_told_only_when_all_parts_are_there() {
    let mut link = Link::new(Attach::new(1), 1);
    link.step(at(0), In::Start);
    link.step(at(0), In::Heard(Heard::Up));
    link.step(at(0), hello(1));
    let call = Call::new(
        CallId::from_parts(1, [1; 10]),
        CallFacts::default(),
        CallStatus::Ringing,
        at(0).wall,
    );
    let call = serde_json::to_value(call).unwrap();
    let first = link.step(at(1), snapshot(1, 7, 1, 2, std::slice::from_ref(&call)));
    assert!(matches!(&first[..], [Out::Tell(Update::Alive)]));
    let unreadable = json!({ "id": 7 });
    let outs = link.step(at(2), snapshot(1, 7, 2, 2, &[call, unreadable]));
    let [Out::Tell(Update::Snapshot { seq: 7, calls, .. })] = &outs[..] else {
        panic!("{outs:?}")
    };
    assert_eq!(calls.len(), 2);
}

#[test]
fn envelopes_are_taken_once_and_in_order() {
    let mut link = up(4);
    let outs = link.step(at(1), envelopes(4, 6));
    assert!(
        matches!(&outs[..], [Out::Tell(Update::Envelopes { to: 6, items })] if items.len() == 2)
    );
    let outs = link.step(at(1), envelopes(4, 6));
    assert!(
        matches!(&outs[..], [Out::Tell(Update::Alive)]),
        "a repetition is no news"
    );
    let outs = link.step(at(1), envelopes(5, 8));
    assert!(
        matches!(&outs[..], [Out::Tell(Update::Envelopes { to: 8, items })] if items.len() == 2)
    );
    let scoped = heard(
        "envelopes",
        json!({ "from": 8, "to": 12, "items": [envelope(11)] }),
    );
    let outs = link.step(at(1), scoped);
    assert!(
        matches!(&outs[..], [Out::Tell(Update::Envelopes { to: 12, items })] if items.len() == 1)
    );
}

#[test]
fn a_gap_and_being_told_of_lag_both_resume_from_where_we_are() {
    let mut link = up(4);
    let outs = link.step(at(1), envelopes(6, 8));
    assert_eq!(sent(&outs, "resume").unwrap()["since"], 4);
    let outs = link.step(at(2), envelopes(8, 9));
    assert!(sent(&outs, "resume").is_none(), "one resume is under way");
    let outs = link.step(at(3), envelopes(4, 9));
    assert!(matches!(
        &outs[..],
        [Out::Tell(Update::Envelopes { to: 9, .. })]
    ));
    let outs = link.step(at(4), heard("lagged", json!({ "from": 9, "to": 90 })));
    assert_eq!(sent(&outs, "resume").unwrap()["since"], 9);
    let outs = link.step(at(5), In::Overflow);
    assert_eq!(sent(&outs, "resume").unwrap()["since"], 9);
}

#[test]
fn another_run_of_the_backend_gets_no_since() {
    let mut link = up(4);
    link.step(at(1), In::Heard(Heard::Down("x".into())));
    link.step(at(60_000), In::Tick);
    link.step(at(60_000), In::Heard(Heard::Up));
    let outs = link.step(at(60_000), hello(2));
    assert_eq!(sent(&outs, "resume").unwrap()["since"], Value::Null);
    let mut link = up(4);
    link.step(at(1), In::Heard(Heard::Down("x".into())));
    link.step(at(60_000), In::Tick);
    link.step(at(60_000), In::Heard(Heard::Up));
    let outs = link.step(at(60_000), hello(1));
    assert_eq!(sent(&outs, "resume").unwrap()["since"], 4);
}

#[test]
fn heartbeat_asks_every_five_seconds_and_gives_up_after_ten() {
    let mut link = up(0);
    let outs = link.step(at(5_000), In::Tick);
    assert!(sent(&outs, "ping").is_some());
    let id = sent(&outs, "ping").unwrap()["id"].clone();
    link.step(at(5_100), heard("reply", json!({ "id": id, "ok": true })));
    assert!(reason(&link.step(at(12_000), In::Tick)).is_none());
    assert_eq!(
        reason(&link.step(at(15_100), In::Tick)).as_deref(),
        Some("nothing was heard for 10 s")
    );
}

#[test]
fn a_backend_that_never_says_hello_or_sends_no_calls_is_given_up() {
    let mut link = Link::new(Attach::new(1), 1);
    link.step(at(0), In::Start);
    link.step(at(0), In::Heard(Heard::Up));
    assert!(reason(&link.step(at(5_000), In::Tick)).is_some());
    let mut link = Link::new(Attach::new(1), 1);
    link.step(at(0), In::Start);
    link.step(at(0), In::Heard(Heard::Up));
    link.step(at(0), hello(1));
    for ms in [4_000, 8_000] {
        link.step(at(ms), heard("gauges", json!({ "calls": [] })));
    }
    assert_eq!(
        reason(&link.step(at(10_000), In::Tick)).as_deref(),
        Some("the backend did not send its calls")
    );
}

#[test]
fn commands_are_answered_exactly_once() {
    let mut link = up(0);
    let outs = link.step(at(1), In::Ask(Ask::Command(command(1))));
    let data = sent(&outs, "command").unwrap();
    assert_eq!(
        (data["verb"].as_str(), data["args"].clone()),
        (Some("terminate"), json!({}))
    );
    let answer = || {
        heard(
            "reply",
            json!({ "id": command(1).id, "ok": true, "state": "accepted" }),
        )
    };
    let outs = link.step(at(2), answer());
    assert!(matches!(&outs[..], [Out::Tell(Update::Reply(reply))] if reply.ok));
    assert!(matches!(
        &link.step(at(3), answer())[..],
        [Out::Tell(Update::Alive)]
    ));
    link.step(at(4), In::Ask(Ask::Command(command(2))));
    let outs = link.step(at(10_004), In::Tick);
    assert!(outs.iter().any(|out| matches!(out, Out::Tell(Update::Reply(reply)) if reply.error.as_ref().is_some_and(|error| error.code == ErrorCode::Timeout))));
}

#[test]
fn an_unanswered_command_is_repeated_to_the_same_run_only() {
    for (run, repeated) in [(1, true), (2, false)] {
        let mut link = up(0);
        link.step(at(1), In::Ask(Ask::Command(command(1))));
        link.step(at(2), In::Heard(Heard::Down("x".into())));
        link.step(at(500), In::Tick);
        link.step(at(500), In::Heard(Heard::Up));
        let outs = link.step(at(500), hello(run));
        assert_eq!(sent(&outs, "command").is_some(), repeated);
        let refused = outs
            .iter()
            .any(|out| matches!(out, Out::Tell(Update::Reply(reply)) if !reply.ok));
        assert_eq!(refused, !repeated);
    }
}

#[test]
fn unknown_refusals_and_odd_replies_are_survived() {
    let mut link = up(0);
    link.step(at(1), In::Ask(Ask::Command(command(1))));
    let outs = link.step(at(2), heard("reply", json!({ "id": command(1).id, "ok": false, "error": { "code": "novel", "message": "m" } })));
    assert!(
        matches!(&outs[..], [Out::Tell(Update::Reply(reply))] if reply.error.as_ref().unwrap().message == "m")
    );
    for odd in [Value::Null, json!(7), json!({ "id": "x" }), json!([])] {
        assert!(matches!(
            &link.step(at(3), heard("reply", odd))[..],
            [Out::Tell(Update::Alive)]
        ));
    }
}

#[test]
fn watched_calls_are_named_again_after_a_reconnect() {
    let mut link = up(0);
    let call = CallId::from_parts(1, [9; 10]);
    assert!(sent(&link.step(at(1), In::Ask(Ask::Watch(vec![call]))), "watch").is_some());
    link.step(at(2), In::Heard(Heard::Down("x".into())));
    link.step(at(60_000), In::Tick);
    link.step(at(60_000), In::Heard(Heard::Up));
    let outs = link.step(at(60_000), hello(1));
    assert_eq!(sent(&outs, "watch").unwrap()["calls"], json!([call]));
}

#[test]
fn history_is_asked_and_a_lost_link_answers_it() {
    let mut link = up(0);
    let id = CommandId::from_parts(5, [5; 10]);
    let query = HistoryQuery {
        text: Some("refund".into()),
        limit: 20,
        ..HistoryQuery::default()
    };
    let outs = link.step(
        at(1),
        In::Ask(Ask::History {
            id,
            query: query.clone(),
        }),
    );
    assert_eq!(sent(&outs, "history").unwrap()["query"]["text"], "refund");
    let outs = link.step(
        at(2),
        heard(
            "reply",
            json!({ "id": id, "ok": true, "result": { "items": [{}], "next": "c" } }),
        ),
    );
    assert!(
        matches!(&outs[..], [Out::History { result: Ok(page), .. }] if page.next.as_deref() == Some("c") && page.items.is_empty())
    );
    link.step(at(3), In::Ask(Ask::History { id, query }));
    let outs = link.step(at(4), In::Heard(Heard::Down("x".into())));
    assert!(
        outs.iter()
            .any(|out| matches!(out, Out::History { result: Err(_), .. }))
    );
}

/// A backend that loses, repeats and delays what it says, and is restarted now and then.
struct Faulty {
    run: u8,
    log: Vec<Value>,
    /// What this connection was told up to.
    told: u64,
}

impl Faulty {
    fn post(&mut self, n: u8) {
        let seq = self.log.len() as u64 + 1;
        let call = CallId::from_parts(1, [n % 4; 10]);
        let fact = if n.is_multiple_of(3) {
            let facts = CallFacts {
                from: format!("+{n}"),
                ..CallFacts::default()
            };
            Fact::CallSeen {
                facts,
                status: CallStatus::Ringing,
                started_at: None,
            }
        } else {
            Fact::StatusChanged {
                status: CallStatus::InProgress,
                source: Source::Webhook,
            }
        };
        let envelope = Envelope {
            v: 1,
            seq,
            at: at(seq).wall,
            call: Some(call),
            event: fact.into(),
        };
        self.log.push(serde_json::to_value(envelope).unwrap());
    }

    fn board(&self) -> Board {
        let mut board = Board::new();
        for envelope in &self.log {
            board.apply(&serde_json::from_value(envelope.clone()).unwrap());
        }
        board
    }

    fn batch(&mut self) -> In {
        let (from, to) = (self.told, self.log.len() as u64);
        self.told = to;
        let items: Vec<Value> = self.log.iter().skip(from as usize).cloned().collect();
        heard(
            "envelopes",
            json!({ "from": from, "to": to, "items": items }),
        )
    }

    fn resume(&mut self, data: &Value) -> Vec<In> {
        let reply = heard("reply", json!({ "id": data["id"], "ok": true }));
        let known = data["epoch"] == json!(epoch(self.run));
        if let Some(since) = data["since"].as_u64().filter(|_| known) {
            self.told = since;
            return vec![reply, self.batch()];
        }
        let board = self.board();
        let calls: Vec<Value> = board
            .calls()
            .map(|call| serde_json::to_value(call).unwrap())
            .collect();
        self.told = self.log.len() as u64;
        let (first, second) = calls.split_at(calls.len() / 2);
        vec![
            reply,
            snapshot(self.run, self.told, 1, 2, first),
            snapshot(self.run, self.told, 2, 2, second),
        ]
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_lost_the_board_ends_up_equal(seed in 0u64.., steps in proptest::collection::vec((0u8..12, 0u8..), 1..120)) {
        let mut server = Faulty { run: 1, log: Vec::new(), told: 0 };
        let mut link = Link::new(Attach::new(seed), seed);
        let mut board = Board::new();
        let mut now = 0;
        let mut script: Vec<(u8, u8)> = steps;
        // In the end the line is good and one more fact comes.
        script.extend([(10, 0), (11, 0), (0, 1), (2, 0), (2, 0)]);
        let mut inputs = std::collections::VecDeque::from([In::Start, In::Heard(Heard::Up), hello(1)]);
        let mut lose = 0;
        for (kind, n) in script {
            match kind {
                0 | 1 => server.post(n),
                2 | 3 => { let batch = server.batch(); inputs.push_back(batch); }
                4 => { let _lost = server.batch(); }
                5 => { let told = server.told; let batch = server.batch(); inputs.push_back(batch); server.told = told; }
                6 => inputs.push_back(heard("lagged", json!({ "from": 0, "to": 1 }))),
                7 => lose = 2,
                8 => inputs.push_back(In::Heard(Heard::Down("cut".into()))),
                9 => { server = Faulty { run: server.run.wrapping_add(1), log: Vec::new(), told: 0 }; inputs.push_back(In::Heard(Heard::Down("killed".into()))); }
                10 => { lose = 0; inputs.push_back(In::Heard(Heard::Down("cut".into()))); }
                _ => { now += 60_000; inputs.push_back(In::Tick); inputs.push_back(In::Heard(Heard::Up)); inputs.push_back(hello(server.run)); }
            }
            while let Some(input) = inputs.pop_front() {
                now += 1;
                for out in link.step(at(now), input) {
                    match out {
                        Out::Send { event: "resume", data } => {
                            let answers = server.resume(&data);
                            if lose > 0 { lose -= 1; } else { inputs.extend(answers); }
                        }
                        Out::Tell(Update::Snapshot { seq, calls, .. }) => board = Board::from_snapshot(seq, calls),
                        Out::Tell(Update::Envelopes { to, items }) => {
                            for item in items { proptest::prop_assert_eq!(board.apply(&item), Applied::New); }
                            proptest::prop_assert_eq!(board.seq(), to);
                        }
                        _ => {}
                    }
                }
            }
        }
        let wanted = server.board();
        proptest::prop_assert_eq!(board.seq(), wanted.seq());
        let calls = |board: &Board| board.calls().cloned().collect::<Vec<_>>();
        proptest::prop_assert_eq!(calls(&board), calls(&wanted));
    }

    #[test]
    fn no_message_however_odd_is_fatal(event in "(hello|snapshot|envelopes|reply|gauges|bye|lagged|x)", body in ".{0,60}", number in 0u64..) {
        let mut link = up(3);
        for data in [Value::Null, json!(body), json!({ "from": number, "to": number, "items": [body] }), json!({ "epoch": epoch(1), "seq": number, "part": number, "parts": number, "calls": [number] })] {
            link.step(at(1), heard(&event, data));
        }
    }
}
