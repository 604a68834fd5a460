//! Two operators at two screens of one backend: what one does, the other sees, and what a role may
//! not do the backend refuses, whatever the screen thinks.

use wallboard::call::{Alert, Reply, Severity};

use super::*;

/// An operator's screen that has got its board.
struct Seat {
    remote: Arc<RemoteBackend>,
    screen: Screen,
}

impl Seat {
    async fn take(backend: &Backend, tasks: &Tasks, user: &str, role: Role) -> Self {
        let token = backend.token(Grant::of(user, role));
        let address = backend.url.trim_start_matches("http://").to_owned();
        let remote = attach(&address, &token, tasks);
        let mut screen = Screen::of(&remote);
        let hello = screen.until("hello", |update, _| match update {
            Update::Hello(hello) => Some(hello.clone()),
            _ => None,
        });
        assert_eq!(hello.await.user, user);
        screen
            .until("the snapshot", |update, _| {
                matches!(update, Update::Snapshot { .. }).then_some(())
            })
            .await;
        Self { remote, screen }
    }

    /// Orders, and waits for the answer.
    async fn order(&mut self, call: CallId, action: Action) -> Reply {
        let id = Clock::start().command_id();
        self.remote
            .send(Command {
                id,
                call: Some(call),
                action,
                reason: None,
            })
            .unwrap();
        self.screen
            .until("the reply", |update, _| match update {
                Update::Reply(reply) if reply.id == id => Some(reply.clone()),
                _ => None,
            })
            .await
    }

    /// Waits until this screen shows of the call what is wanted.
    async fn shows(&mut self, what: &str, call: CallId, wanted: impl Fn(&Call) -> bool) {
        if self.screen.board.get(call).is_some_and(&wanted) {
            return;
        }
        self.screen
            .until(what, |_, board| {
                board.get(call).filter(|call| wanted(call)).map(|_| ())
            })
            .await;
    }
}

fn dead_air(backend: &Backend) -> Fact {
    Fact::AlertRaised {
        alert: Alert {
            rule: "dead_air".into(),
            severity: Severity::Warn,
            reason: "dead air 5 s".into(),
            value: 5.0,
            threshold: 4.0,
            since: backend.core.clock.now(),
            evidence: vec![1],
            acknowledged_by: None,
            snoozed_until: None,
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_operator_does_the_other_sees() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    let call = see(&backend, 1, None).await;
    let mut ana = Seat::take(&backend, &tasks, "ana", Role::Operator).await;
    let mut ben = Seat::take(&backend, &tasks, "ben", Role::Operator).await;

    assert!(ana.order(call, Action::Claim {}).await.ok);
    ben.shows("the claim", call, |call| {
        call.claimed_by.as_deref() == Some("ana")
    })
    .await;
    // A call has one hand on it at a time, and the refusal says whose.
    let refused = ben.order(call, Action::Claim {}).await.error.unwrap();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert_eq!(refused.by.as_deref(), Some("ana"));
    assert!(ana.order(call, Action::Release {}).await.ok);
    ben.shows("the release", call, |call| call.claimed_by.is_none())
        .await;

    let _bridge = backend.core.taps.open(call);
    let ear = ben.remote.listen(call).await.unwrap();
    ana.shows("who listens", call, |call| {
        call.listeners.iter().any(|listener| listener.by == "ben")
    })
    .await;
    drop(ear);
    ana.shows("that nobody listens", call, |call| {
        call.listeners.is_empty()
    })
    .await;

    let flag = Action::Flag {
        label: "refund".into(),
    };
    assert!(ben.order(call, flag).await.ok);
    ana.shows("the flag", call, |call| call.flags == ["refund"])
        .await;
    let note = Action::Note {
        text: "promised a call back".into(),
    };
    assert!(ana.order(call, note).await.ok);
    ben.shows("the note", call, |call| {
        let note = call.notes.first();
        note.is_some_and(|note| note.by == "ana" && note.text == "promised a call back")
    })
    .await;

    let raised = vec![dead_air(&backend)];
    let target = Target::Call(call);
    backend.core.switchboard.post(target, raised).await.unwrap();
    for seat in [&mut ana, &mut ben] {
        seat.shows("the alert", call, |call| call.alerts.len() == 1)
            .await;
    }
    let rule = "dead_air".to_owned();
    let snooze = Action::Snooze {
        rule: rule.clone(),
        minutes: 10,
    };
    assert!(ben.order(call, snooze).await.ok);
    ana.shows("until when it is silent", call, |call| {
        call.alerts[0].snoozed_until.is_some()
    })
    .await;
    assert!(ana.order(call, Action::Acknowledge { rule }).await.ok);
    ben.shows("who has seen it", call, |call| {
        call.alerts[0].acknowledged_by.as_deref() == Some("ana")
    })
    .await;
    // In the end both have the same board.
    let seq = backend.core.switchboard.seq();
    for seat in [&mut ana, &mut ben] {
        if seat.screen.board.seq() < seq {
            seat.screen
                .until("the rest", |_, board| (board.seq() >= seq).then_some(()))
                .await;
        }
    }
    assert_eq!(ana.screen.board.get(call), ben.screen.board.get(call));
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_enforces_roles_whatever_a_screen_sends() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    let call = see(&backend, 1, None).await;
    let mut vera = Seat::take(&backend, &tasks, "vera", Role::Viewer).await;
    let mut luis = Seat::take(&backend, &tasks, "luis", Role::Listener).await;
    let note = || Action::Note { text: "x".into() };
    for action in [Action::Claim {}, Action::Terminate {}, note()] {
        for seat in [&mut vera, &mut luis] {
            let refused = seat.order(call, action.clone()).await.error.unwrap();
            assert_eq!(refused.code, ErrorCode::Forbidden);
            let words = format!("{} {}", refused.message, refused.hint);
            assert!(words.contains("operator"), "which role is missing: {words}");
        }
    }
    let _bridge = backend.core.taps.open(call);
    let refused = vera.remote.listen(call).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    luis.remote.listen(call).await.unwrap();
    let left = backend.call(&sid("CA", 1)).unwrap();
    assert!(left.claimed_by.is_none() && left.notes.is_empty() && left.is_live());
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_claim_at_the_same_moment_one_has_the_call() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    let mut ana = Seat::take(&backend, &tasks, "ana", Role::Operator).await;
    let mut ben = Seat::take(&backend, &tasks, "ben", Role::Operator).await;
    for number in 1..=8 {
        let call = see(&backend, number, None).await;
        ana.shows("the call", call, Call::is_live).await;
        ben.shows("the call", call, Call::is_live).await;
        let (one, other) = tokio::join!(
            ana.order(call, Action::Claim {}),
            ben.order(call, Action::Claim {})
        );
        assert!(one.ok != other.ok, "{one:?} {other:?}");
        let winner = if one.ok { "ana" } else { "ben" };
        let loser = if one.ok { other } else { one };
        assert_eq!(loser.error.unwrap().code, ErrorCode::Conflict);
        for seat in [&mut ana, &mut ben] {
            seat.shows("the winner", call, |call| {
                call.claimed_by.as_deref() == Some(winner)
            })
            .await;
        }
    }
    tasks.cancel();
}
