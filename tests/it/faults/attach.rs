//! The attached screen over a line that breaks and a server that dies: no gap, nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use wallboard::call::{Applied, Board, Call, ErrorCode, Role, Secret};
use wallboard::engine::{Backend as _, Clock, LinkState, Tasks, Update};
use wallboard::remote::{RemoteBackend, RemoteSettings};
use wallboard::simulator::line::Timing;

use super::process::{Extra, Serve};
use super::rig::{ADMIN, House, Peers, Plot, Proxy, chat};

/// An attached screen without a screen: folds what it is told and counts what it must not see.
struct Screen {
    backend: Arc<RemoteBackend>,
    updates: mpsc::Receiver<Update>,
    board: Board,
    snapshots: usize,
    downs: usize,
}

impl Screen {
    fn attach(url: &str, token: &str, tasks: &Tasks) -> Self {
        let settings = RemoteSettings::new(url).unwrap();
        let secret = Secret::new(token);
        let source: wallboard::remote::TokenSource = Arc::new(move || Some(secret.clone()));
        let backend = RemoteBackend::attach(&settings, source, tasks, Clock::start()).unwrap();
        Self {
            updates: backend.subscribe(),
            backend,
            board: Board::new(),
            snapshots: 0,
            downs: 0,
        }
    }

    /// Takes updates in until the board, or a link state, is as wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Board, Option<&LinkState>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A nudge now and then, because the other side of a comparison moves as well.
            let wait = left.min(Duration::from_millis(50));
            let mut link = None;
            if let Ok(update) = tokio::time::timeout(wait, self.updates.recv()).await {
                link = self.take(update.expect("the backend lives"));
            }
            if wanted(&self.board, link.as_ref()) {
                return;
            }
            assert!(
                !left.is_zero(),
                "not in time: {what}\nseq {}",
                self.board.seq()
            );
        }
    }

    fn take(&mut self, update: Update) -> Option<LinkState> {
        match update {
            Update::Snapshot { seq, calls, .. } => {
                self.snapshots += 1;
                self.board = Board::from_snapshot(seq, calls);
            }
            Update::Envelopes { to, items } => {
                for item in &items {
                    assert_eq!(
                        self.board.apply(item),
                        Applied::New,
                        "a gap, or twice the same"
                    );
                }
                assert_eq!(self.board.seq(), to);
            }
            Update::Link(link) => {
                self.downs += usize::from(matches!(link, LinkState::Down { .. }));
                return Some(link);
            }
            _ => {}
        }
        None
    }
}

/// What must be equal on both sides.
fn essence<'a>(calls: impl Iterator<Item = &'a Call>) -> BTreeMap<String, String> {
    calls
        .map(|call| {
            let said = call.lines.last().map(|line| format!("{:?}", line.body));
            let facts = format!(
                "{:?} {:?} {:?} {} {:?} {said:?}",
                call.status, call.media_link, call.agent_link, call.seq, call.listeners
            );
            (call.id.to_string(), facts)
        })
        .collect()
}

fn equals_house(house: &House, board: &Board) -> bool {
    house.core.switchboard.read(|truth| {
        truth.seq() == board.seq() && essence(truth.calls()) == essence(board.calls())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_line_is_mended_without_a_gap_or_a_repetition() {
    let house = House::start(Plot::default()).await;
    let tasks = Tasks::new();
    let proxy = Proxy::before(&house.url, &house.peers.tasks).await;
    let mut screen = Screen::attach(&proxy.url, ADMIN, &tasks);
    let (first, _) = house.talking(1, chat()).await;
    screen
        .until("the same board", |board, _| {
            board.len() == 1 && equals_house(&house, board)
        })
        .await;
    for round in 0..2_u32 {
        let cut = Instant::now();
        proxy.cut(true);
        screen
            .until("down", |_, link| {
                matches!(link, Some(LinkState::Down { .. }))
            })
            .await;
        // Meanwhile the world goes on.
        let (call, _) = house.talking(10 + round, chat()).await;
        call.hang_up();
        house
            .wait_card(call.sid(), "the end", |card| !card.is_live())
            .await;
        proxy.cut(false);
        let back = Instant::now();
        screen
            .until("the same board again", |board, _| {
                board.len() == 2 + round as usize && equals_house(&house, board)
            })
            .await;
        eprintln!(
            "attach: cut {:?} ago, board equal {:?} after the line was back",
            cut.elapsed(),
            back.elapsed()
        );
    }
    assert_eq!(screen.snapshots, 1, "each cut was mended from the ring");
    assert!(screen.downs >= 2);
    first.hang_up();
    screen
        .until("the end", |board, _| {
            board.live().count() == 0 && equals_house(&house, board)
        })
        .await;
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_and_restarted_server_gives_the_attached_board_its_truth_again() {
    let peers = Peers::start(&Plot {
        timing: Timing {
            dial_talk: Duration::from_secs(120),
            ..Timing::quick()
        },
        ..Plot::default()
    })
    .await;
    let extra = Extra {
        bridge: "transfer_number = \"+14155550199\"",
        server: "",
        tables: "",
    };
    let mut serve = Serve::start(&peers, extra).await;
    let tasks = Tasks::new();
    let mut screen = Screen::attach(&serve.url, ADMIN, &tasks);
    let calls: Vec<_> = (0..3)
        .map(|number| peers.ring(&serve.url, number, chat(), true))
        .collect();
    for call in &calls {
        call.wait_heard(100).await.unwrap();
    }
    screen
        .until("three calls with words", |board, _| {
            board.live().filter(|call| !call.lines.is_empty()).count() == 3
        })
        .await;
    serve.kill();
    calls[0].hang_up();
    screen
        .until("down", |_, link| {
            matches!(link, Some(LinkState::Down { .. }))
        })
        .await;
    let killed = Instant::now();
    serve.up().await;
    screen
        .until("two live calls, one ended", |board, _| {
            board.live().count() == 2
                && calls[1..]
                    .iter()
                    .all(|call| board.find(call.sid()).is_some_and(Call::is_live))
        })
        .await;
    eprintln!(
        "C5/C6: attached board right {:?} after the start",
        killed.elapsed()
    );
    assert!(killed.elapsed() < Duration::from_secs(15));
    for call in &calls[1..] {
        assert!(
            !screen.board.find(call.sid()).unwrap().lines.is_empty(),
            "words are kept"
        );
    }
    assert_eq!(serve.live().await.len(), 2);
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_refused_and_not_tried_again_and_again() {
    let house = House::start(Plot::default()).await;
    let tasks = Tasks::new();
    let proxy = Proxy::before(&house.url, &house.peers.tasks).await;
    let mut screen = Screen::attach(&proxy.url, "wb_wrong", &tasks);
    screen
        .until("refused", |_, link| {
            matches!(link, Some(LinkState::Refused(refusal)) if refusal.code == ErrorCode::Unauthorized)
        })
        .await;
    let tried = proxy.accepted();
    // Nothing may happen: there is no condition to wait for but time.
    let quiet = screen.until("another attempt", |_, link| {
        matches!(
            link,
            Some(LinkState::Connecting { .. } | LinkState::Down { .. })
        )
    });
    assert!(
        tokio::time::timeout(Duration::from_secs(3), quiet)
            .await
            .is_err()
    );
    assert_eq!(proxy.accepted(), tried);
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_who_listens_and_who_has_left() {
    let house = House::start(Plot::default()).await;
    let tasks = Tasks::new();
    let (call, id) = house.talking(1, chat()).await;
    let ann = house.token("ann", Role::Operator).await;
    let bob = house.token("bob", Role::Operator).await;
    let mut ann = Screen::attach(&house.url, &ann, &tasks);
    let mut bob = Screen::attach(&house.url, &bob, &tasks);
    for screen in [&mut ann, &mut bob] {
        screen
            .until("the call", |board, _| board.get(id).is_some())
            .await;
    }
    let who = |board: &Board| -> Vec<String> {
        let call = board.get(id).unwrap();
        call.listeners
            .iter()
            .map(|known| known.by.clone())
            .collect()
    };
    let mut ear = ann.backend.listen(id).await.unwrap();
    assert!(ear.frames.recv().await.is_some());
    bob.until("ann listens", |board, _| who(board) == ["ann"])
        .await;
    let second = bob.backend.listen(id).await.unwrap();
    ann.until("both listen", |board, _| who(board) == ["ann", "bob"])
        .await;
    drop(ear);
    bob.until("bob is left", |board, _| who(board) == ["bob"])
        .await;
    drop(second);
    ann.until("nobody listens", |board, _| who(board).is_empty())
        .await;
    assert!(call.view().stream_open);
    tasks.cancel();
}
