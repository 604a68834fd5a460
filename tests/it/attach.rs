//! Attaching to the real backend: both protocols, cut and half-open links, scope, audio. Whatever
//! happens to the link, the attached board ends up equal to the backend's, without a gap.

mod dial;
mod keys;
mod last;
mod quiet;
mod slow;
mod two;
mod version;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use wallboard::call::{
    Action, Applied, Board, Call, CallFacts, CallId, CallStatus, Command, ErrorCode, Fact, Grant,
    Role, Secret, Source, Verb,
};
use wallboard::engine::{Backend as _, Clock, LinkState, StereoFrame, Target, Tasks, Update};
use wallboard::remote::{RemoteBackend, RemoteSettings};

use crate::it::support::backend::{ADMIN, Backend, sid};

const PATIENCE: Duration = Duration::from_secs(40);

/// How the wire behaves at present.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weather {
    Fair,
    /// Open connections are cut, new ones are refused.
    Cut,
    /// Connections stay open and nothing passes.
    HalfOpen,
}

/// A wire to the backend that can be cut.
async fn wire(tasks: &Tasks, to: &str) -> (SocketAddr, watch::Sender<Weather>) {
    let to: SocketAddr = to.trim_start_matches("http://").parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, weather) = watch::channel(Weather::Fair);
    let branch = tasks.clone();
    tasks.spawn("wire", async move {
        while let Ok((near, _)) = listener.accept().await {
            if branch.token().is_cancelled() {
                return;
            }
            branch.spawn("wire connection", carry(near, to, weather.clone()));
        }
    });
    (address, sender)
}

async fn carry(mut near: TcpStream, to: SocketAddr, mut weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Cut {
        return;
    }
    let mut far = TcpStream::connect(to).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        _ = weather.wait_for(|weather| *weather != Weather::Fair) => {}
    }
    if *weather.borrow() == Weather::HalfOpen {
        // Held open until the next change, or until the test is over.
        let _over = weather.changed().await;
    }
}

fn attach(address: impl std::fmt::Display, token: &str, tasks: &Tasks) -> Arc<RemoteBackend> {
    let settings = RemoteSettings::new(&format!("http://{address}")).unwrap();
    let token = Secret::new(token);
    let source = Arc::new(move || Some(token.clone()));
    RemoteBackend::attach(&settings, source, tasks, Clock::start()).unwrap()
}

async fn see(backend: &Backend, number: u32, lead: Option<&str>) -> CallId {
    let facts = CallFacts {
        carrier: "twilio".into(),
        carrier_call_id: Some(sid("CA", number)),
        from: "+14155550134".into(),
        lead_id: lead.map(str::to_owned),
        ..CallFacts::default()
    };
    let target = Target::Carrier {
        facts,
        status: CallStatus::Ringing,
        started_at: None,
    };
    let status = Fact::StatusChanged {
        status: CallStatus::InProgress,
        source: Source::Webhook,
    };
    backend
        .core
        .switchboard
        .post(target, vec![status])
        .await
        .unwrap()
        .call
        .unwrap()
}

/// A screen: it folds what it is told and never accepts a gap.
struct Screen {
    updates: mpsc::Receiver<Update>,
    board: Board,
    snapshots: u32,
}

impl Screen {
    fn of(backend: &RemoteBackend) -> Self {
        Self {
            updates: backend.subscribe(),
            board: Board::new(),
            snapshots: 0,
        }
    }

    async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Update, &Board) -> Option<T>,
    ) -> T {
        let waiting = async {
            loop {
                let update = self.updates.recv().await.expect("the link lives");
                match &update {
                    Update::Snapshot { seq, calls, .. } => {
                        self.board = Board::from_snapshot(*seq, calls.iter().cloned());
                        self.snapshots += 1;
                    }
                    Update::Envelopes { to, items } => {
                        for item in items {
                            self.board.skip_to(item.seq - 1);
                            assert_eq!(self.board.apply(item), Applied::New);
                        }
                        self.board.skip_to(*to);
                    }
                    _ => {}
                }
                if let Some(found) = wanted(&update, &self.board) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("waited for {what}"))
    }

    /// Waits until the screen shows what the backend has.
    async fn level_with(&mut self, backend: &Backend) {
        let seq = backend.core.switchboard.seq();
        if self.board.seq() < seq {
            self.until("the board", |_, board| (board.seq() >= seq).then_some(()))
                .await;
        }
        let calls = |board: &Board| board.calls().cloned().collect::<Vec<_>>();
        assert_eq!(calls(&self.board), backend.core.switchboard.read(calls));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_board_follows_through_cuts_without_a_gap() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    see(&backend, 1, None).await;
    let (address, weather) = wire(&tasks, &backend.url).await;
    let remote = attach(address, ADMIN, &tasks);
    let mut screen = Screen::of(&remote);
    screen
        .until("the snapshot", |update, _| {
            matches!(update, Update::Snapshot { .. }).then_some(())
        })
        .await;
    screen.level_with(&backend).await;
    for round in 0..3 {
        weather.send_replace(Weather::Cut);
        screen
            .until("down", |update, _| {
                matches!(update, Update::Link(LinkState::Down { .. })).then_some(())
            })
            .await;
        for number in 0..20 {
            see(&backend, 100 * (round + 1) + number, None).await;
        }
        weather.send_replace(Weather::Fair);
        screen.level_with(&backend).await;
    }
    assert_eq!(screen.snapshots, 1, "what was missed came as envelopes");
    assert_eq!(screen.board.len(), 61);
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_link_is_noticed_and_left() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    let (address, weather) = wire(&tasks, &backend.url).await;
    let remote = attach(address, ADMIN, &tasks);
    let mut screen = Screen::of(&remote);
    screen
        .until("the snapshot", |update, _| {
            matches!(update, Update::Snapshot { .. }).then_some(())
        })
        .await;
    weather.send_replace(Weather::HalfOpen);
    let reason = screen.until("down", |update, _| match update {
        Update::Link(LinkState::Down { reason, .. }) => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.await, "nothing was heard for 10 s");
    see(&backend, 7, None).await;
    weather.send_replace(Weather::Fair);
    screen.level_with(&backend).await;
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scoped_token_sees_its_leads_and_is_cut_when_revoked() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    let mut grant = Grant::of("ann", Role::Viewer);
    grant.leads = Some(["L1".to_owned()].into());
    let token = backend.token(grant);
    // The backend looks at its tokens every now and then.
    let known = async {
        while !backend
            .get("/api/calls", &token)
            .await
            .status()
            .is_success()
        {}
    };
    tokio::time::timeout(PATIENCE, known)
        .await
        .expect("the token becomes known");
    let address = backend.url.trim_start_matches("http://").to_owned();
    let remote = attach(&address, &token, &tasks);
    let mut screen = Screen::of(&remote);
    screen
        .until("the snapshot", |update, _| {
            matches!(update, Update::Snapshot { .. }).then_some(())
        })
        .await;
    see(&backend, 1, Some("L2")).await;
    see(&backend, 2, Some("L1")).await;
    let seq = backend.core.switchboard.seq();
    screen
        .until("its call", |_, board| (board.seq() == seq).then_some(()))
        .await;
    let numbers: Vec<String> = screen
        .board
        .calls()
        .map(|call| call.facts.from.clone())
        .collect();
    assert_eq!(numbers.len(), 1);
    assert!(!numbers[0].contains("4155550134"), "numbers are masked");
    let now = backend.core.clock.now();
    backend.tokens.revoke("ann", now).unwrap();
    let refusal = screen.until("refusal", |update, _| match update {
        Update::Link(LinkState::Refused(refusal)) => Some(refusal.clone()),
        _ => None,
    });
    assert_eq!(refusal.await.code, ErrorCode::Unauthorized);
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_gauges_audio_and_pages_work_as_at_home() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    let call = see(&backend, 1, None).await;
    let address = backend.url.trim_start_matches("http://").to_owned();
    let remote = attach(&address, ADMIN, &tasks);
    let mut screen = Screen::of(&remote);
    let hello = screen.until("hello", |update, _| match update {
        Update::Hello(hello) => Some(hello.clone()),
        _ => None,
    });
    assert!(hello.await.verbs.contains(&Verb::Terminate));
    screen
        .until("the snapshot", |update, _| {
            matches!(update, Update::Snapshot { .. }).then_some(())
        })
        .await;

    let id = backend.core.clock.command_id();
    let action = Action::Note {
        text: "asks for a refund".into(),
    };
    remote
        .send(Command {
            id,
            call: Some(call),
            action,
            reason: None,
        })
        .unwrap();
    let reply = screen.until("the reply", |update, _| match update {
        Update::Reply(reply) if reply.id == id => Some(reply.clone()),
        _ => None,
    });
    assert!(reply.await.ok);
    screen.level_with(&backend).await;
    assert_eq!(screen.board.get(call).unwrap().notes.len(), 1);

    remote.watch(vec![call]);
    backend.core.gauges.set(wallboard::call::Gauge {
        jitter_ms: Some(4.0),
        ..wallboard::call::Gauge::blank(call)
    });
    screen
        .until("gauges", |update, _| match update {
            Update::Gauges(gauges) => gauges
                .iter()
                .any(|gauge| gauge.call == call && gauge.jitter_ms == Some(4.0))
                .then_some(()),
            _ => None,
        })
        .await;

    let tap = backend.core.taps.open(call);
    let token = tasks.token().clone();
    tasks.spawn("test audio", async move {
        while !token.is_cancelled() {
            tap.send(StereoFrame {
                caller: [1; 160],
                agent: [2; 160],
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut stream = remote.listen(call).await.unwrap();
    let frame = tokio::time::timeout(PATIENCE, stream.frames.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((frame.caller, frame.agent), ([1; 160], [2; 160]));
    let url = remote.listen_url(call).await.unwrap();
    assert!(url.starts_with(&format!("http://{address}/listen/{call}?ticket=")));
    remote
        .history(wallboard::engine::HistoryQuery::default())
        .await
        .unwrap();
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_family_of_our_own_backend_is_understood_too() {
    let (backend, tasks) = (Backend::start().await, Tasks::new());
    see(&backend, 1, None).await;
    let settings = RemoteSettings::new(&backend.url).unwrap();
    let source = Arc::new(|| Some(Secret::new(ADMIN)));
    let remote = RemoteBackend::attach_compat(&settings, source, &tasks, Clock::start()).unwrap();
    let mut screen = Screen::of(&remote);
    screen
        .until("the card", |_, board| board.find(&sid("CA", 1)).map(|_| ()))
        .await;
    see(&backend, 2, None).await;
    screen
        .until("another card", |_, board| {
            board.find(&sid("CA", 2)).map(|_| ())
        })
        .await;
    assert!(
        backend
            .status(&sid("CA", 2), "completed", "3")
            .await
            .status()
            .is_success()
    );
    let length = screen.until("its end", |_, board| {
        board
            .find(&sid("CA", 2))
            .filter(|call| call.status == CallStatus::Completed)
            .map(|call| call.duration_s)
    });
    assert_eq!(length.await, Some(47));
    assert_eq!(screen.board.live().count(), 1);
    tasks.cancel();
}
