//! The attached backend against stand-ins on loopback: the first connection, a killed and restarted
//! server, a refused token, a server that says nothing, live audio, and the older event family.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use tokio::sync::mpsc;
use wallboard::call::{
    Action, Board, CallEvent, CallId, CallStatus, Command, ErrorCode, Fact, Secret,
};
use wallboard::engine::{Backend, Clock, HistoryQuery, LinkState, Tasks, Update};
use wallboard::remote::{RemoteBackend, RemoteSettings, TokenSource};

const SID: &str = "CA1234567890abcdef1234567890abcdef";
const PATIENCE: Duration = Duration::from_secs(20);

/// A server of one run: its epoch and what it has said so far.
#[derive(Clone)]
struct Run {
    epoch: String,
    seq: Arc<AtomicU64>,
    log: Arc<Mutex<Vec<Value>>>,
    io: SocketIo,
}

impl Run {
    fn post(&self, text: &str) {
        let seq = self.seq.fetch_add(1, Ordering::SeqCst) + 1;
        let envelope = json!({ "v": 1, "seq": seq, "at": "2026-11-21T04:00:00Z", "call": null, "event": { "type": "notice", "severity": "info", "code": "test", "text": text } });
        self.log.lock().unwrap().push(envelope.clone());
        let io = self.io.clone();
        let body = json!({ "from": seq - 1, "to": seq, "items": [envelope] });
        futures_util::future::FutureExt::now_or_never(async move {
            io.of("/wallboard").unwrap().emit("envelopes", &body).await
        });
    }
}

#[derive(Debug)]
struct Turned;

impl std::fmt::Display for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unauthorized")
    }
}

/// Starts a stand-in that accepts the token "good"; returns it with its address.
async fn serve(tasks: &Tasks, epoch: u8, at: Option<SocketAddr>) -> (Run, SocketAddr) {
    let (layer, io) = SocketIo::new_layer();
    let epoch = format!("0190a000-0000-7000-8000-{epoch:012}");
    let run = Run {
        epoch,
        seq: Arc::default(),
        log: Arc::default(),
        io: io.clone(),
    };
    let inside = run.clone();
    let enter = async move |socket: SocketRef| greet(&inside, &socket);
    let door = async |TryData(auth): TryData<Value>| match auth {
        Ok(auth) if auth["token"] == "good" && auth["v"] == 1 => Ok(()),
        _ => Err(Turned),
    };
    io.ns("/wallboard", enter.with(door));
    let app = Router::new()
        .route("/api/calls/{id}/listen", get(listen))
        .route(
            "/api/tickets",
            post(|| async {
                axum::Json(json!({ "ticket": "t k", "expires_at": "2026-11-21T04:00:00Z" }))
            }),
        )
        .layer(layer);
    let listener = bind(at).await;
    let address = listener.local_addr().unwrap();
    let token = tasks.token().clone();
    tasks.spawn("stand-in", async move {
        tokio::select! {
            _ = axum::serve(listener, app) => {}
            () = token.cancelled() => io.close().await,
        }
    });
    (run, address)
}

async fn bind(at: Option<SocketAddr>) -> tokio::net::TcpListener {
    let at = at.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
    // The port of a server that was just killed may take a moment to be free.
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let Ok(listener) = tokio::net::TcpListener::bind(at).await {
                return listener;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap()
}

fn greet(run: &Run, socket: &SocketRef) {
    let hello = json!({
        "v": 1, "backend_id": "stand-in", "epoch": run.epoch, "seq": run.seq.load(Ordering::SeqCst), "now": "2026-11-21T04:00:00Z",
        "user": "ann", "role": "operator", "verbs": ["view", "listen", "terminate"], "leads": null, "features": ["listen"],
    });
    let resumed = run.clone();
    socket.on("resume", async move |socket: SocketRef, Data::<Value>(ask)| {
        socket.emit("reply", &json!({ "id": ask["id"], "ok": true })).unwrap();
        let log = resumed.log.lock().unwrap().clone();
        match ask["since"].as_u64().filter(|_| ask["epoch"] == resumed.epoch) {
            Some(since) => {
                let items: Vec<&Value> = log.iter().skip(since as usize).collect();
                socket.emit("envelopes", &json!({ "from": since, "to": log.len(), "items": items })).unwrap();
            }
            None => socket
                .emit("snapshot", &json!({ "id": ask["id"], "epoch": resumed.epoch, "seq": log.len(), "part": 1, "parts": 1, "calls": [] }))
                .unwrap(),
        }
    });
    socket.on("command", async |socket: SocketRef, Data::<Value>(ask)| {
        socket
            .emit(
                "reply",
                &json!({ "id": ask["id"], "ok": true, "state": "accepted" }),
            )
            .unwrap();
    });
    socket.on("history", async |socket: SocketRef, Data::<Value>(ask)| {
        socket
            .emit(
                "reply",
                &json!({ "id": ask["id"], "ok": true, "result": { "items": [], "next": "more" } }),
            )
            .unwrap();
    });
    socket.on("ping", async |socket: SocketRef, Data::<Value>(ask)| {
        socket
            .emit("reply", &json!({ "id": ask["id"], "ok": true }))
            .unwrap();
    });
    socket.emit("hello", &hello).unwrap();
}

async fn listen(headers: HeaderMap, upgrade: WebSocketUpgrade) -> axum::response::Response {
    if headers
        .get("authorization")
        .is_none_or(|value| value != "Bearer good")
    {
        let body = json!({ "success": false, "error": { "code": "forbidden", "message": "not you", "hint": "ask" } });
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    }
    upgrade.on_upgrade(|mut socket| async move {
        let frame: Vec<u8> = [1_u8, 2].repeat(160);
        for _ in 0..3 {
            socket
                .send(Message::Binary(frame.clone().into()))
                .await
                .unwrap();
        }
        // Until the listener leaves.
        while let Some(Ok(_)) = socket.recv().await {}
    })
}

fn token(text: &'static str) -> TokenSource {
    Arc::new(move || Some(Secret::new(text)))
}

fn attach(address: SocketAddr, text: &'static str, tasks: &Tasks) -> Arc<RemoteBackend> {
    let settings = RemoteSettings::new(&format!("http://{address}")).unwrap();
    RemoteBackend::attach(&settings, token(text), tasks, Clock::start()).unwrap()
}

/// Waits for an update that satisfies `wanted`.
async fn until<T>(
    updates: &mut mpsc::Receiver<Update>,
    what: &str,
    mut wanted: impl FnMut(Update) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            if let Some(found) = wanted(updates.recv().await.expect("the backend lives")) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited for {what}"))
}

/// Folds updates until the board has reached `seq`; it must never show a gap.
async fn fold_to(updates: &mut mpsc::Receiver<Update>, board: &mut Board, seq: u64) {
    until(updates, "the board", |update| {
        match update {
            Update::Snapshot { seq, calls, .. } => *board = Board::from_snapshot(seq, calls),
            Update::Envelopes { to, items } => {
                for item in &items {
                    assert_eq!(board.apply(item), wallboard::call::Applied::New);
                }
                assert_eq!(board.seq(), to);
            }
            _ => {}
        }
        (board.seq() == seq).then_some(())
    })
    .await;
}

fn terminate(clock: Clock, call: CallId) -> Command {
    Command {
        id: clock.command_id(),
        call: Some(call),
        action: Action::Terminate {},
        reason: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attached_screen_follows_a_backend_through_cuts_and_a_restart() {
    let (tasks, first, second) = (Tasks::new(), Tasks::new(), Tasks::new());
    let (run, address) = serve(&first, 1, None).await;
    run.post("before");
    let backend = attach(address, "good", &tasks);
    let mut updates = backend.subscribe();
    let mut board = Board::new();
    let hello = until(&mut updates, "hello", |update| match update {
        Update::Hello(hello) => Some(hello),
        _ => None,
    })
    .await;
    assert_eq!(
        (hello.backend_id.as_str(), hello.verbs.len()),
        ("stand-in", 3)
    );
    fold_to(&mut updates, &mut board, 1).await;
    run.post("live");
    fold_to(&mut updates, &mut board, 2).await;

    // Every socket is cut; the backend goes on and says something meanwhile.
    run.io.of("/wallboard").unwrap().disconnect().await.unwrap();
    run.post("unheard");
    fold_to(&mut updates, &mut board, 3).await;

    // Killed and started anew: another epoch, an empty board.
    first.cancel();
    until(&mut updates, "down", |update| {
        matches!(update, Update::Link(LinkState::Down { .. })).then_some(())
    })
    .await;
    let (run, _) = serve(&second, 2, Some(address)).await;
    run.post("new");
    fold_to(&mut updates, &mut board, 1).await;
    tasks.cancel();
    second.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_history_and_tickets_are_answered() {
    let tasks = Tasks::new();
    let (_run, address) = serve(&tasks, 1, None).await;
    let backend = attach(address, "good", &tasks);
    let clock = Clock::start();
    let call = clock.call_id();
    assert_eq!(
        backend.send(terminate(clock, call)).unwrap_err().code,
        ErrorCode::Unavailable
    );
    let mut updates = backend.subscribe();
    until(&mut updates, "snapshot", |update| {
        matches!(update, Update::Snapshot { .. }).then_some(())
    })
    .await;
    let command = terminate(clock, call);
    backend.send(command.clone()).unwrap();
    let reply = until(&mut updates, "reply", |update| match update {
        Update::Reply(reply) => Some(reply),
        _ => None,
    })
    .await;
    assert_eq!((reply.id, reply.ok), (command.id, true));
    let page = backend.history(HistoryQuery::default()).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("more"));
    let url = backend.listen_url(call).await.unwrap();
    assert_eq!(url, format!("http://{address}/listen/{call}?ticket=t+k"));
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_audio_arrives_and_a_refusal_says_why() {
    let tasks = Tasks::new();
    let (_run, address) = serve(&tasks, 1, None).await;
    let call = Clock::start().call_id();
    let backend = attach(address, "good", &tasks);
    let mut stream = backend.listen(call).await.unwrap();
    let frame = tokio::time::timeout(PATIENCE, stream.frames.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        frame.caller.iter().all(|byte| *byte == 1) && frame.agent.iter().all(|byte| *byte == 2)
    );
    let refusal = attach(address, "bad", &tasks)
        .listen(call)
        .await
        .unwrap_err();
    assert_eq!(
        (refusal.code, refusal.message.as_str()),
        (ErrorCode::Forbidden, "not you")
    );
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_told_and_a_new_one_is_used() {
    let tasks = Tasks::new();
    let (_run, address) = serve(&tasks, 1, None).await;
    let given = Arc::new(Mutex::new("bad"));
    let asked = Arc::clone(&given);
    let source: TokenSource = Arc::new(move || Some(Secret::new(*asked.lock().unwrap())));
    let settings = RemoteSettings::new(&format!("http://{address}")).unwrap();
    let backend = RemoteBackend::attach(&settings, source, &tasks, Clock::start()).unwrap();
    let mut updates = backend.subscribe();
    let refusal = until(&mut updates, "refusal", |update| match update {
        Update::Link(LinkState::Refused(refusal)) => Some(refusal),
        _ => None,
    })
    .await;
    assert_eq!(refusal.code, ErrorCode::Unauthorized);
    *given.lock().unwrap() = "good";
    until(&mut updates, "up", |update| {
        matches!(update, Update::Link(LinkState::Up)).then_some(())
    })
    .await;
    tasks.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let tasks = Tasks::new();
    let listener = bind(None).await;
    let backend = attach(listener.local_addr().unwrap(), "good", &tasks);
    let mut updates = backend.subscribe();
    let (reason, attempt) = until(&mut updates, "down", |update| match update {
        Update::Link(LinkState::Down {
            reason, attempt, ..
        }) => Some((reason, attempt)),
        _ => None,
    })
    .await;
    assert_eq!(
        (reason.as_str(), attempt),
        ("the backend does not answer", 1)
    );
    until(&mut updates, "the next attempt", |update| {
        matches!(update, Update::Link(LinkState::Connecting { attempt: 2 })).then_some(())
    })
    .await;
    tasks.cancel();
}

/// A backend of the older family: a list, then an ending when its REST is told so.
async fn serve_family(tasks: &Tasks) -> SocketAddr {
    let (layer, io) = SocketIo::new_layer();
    let list = |status: &str| json!([{ "sid": SID, "status": status, "to": "+15551230000", "from": "+15557650000", "answeredBy": "unknown" }]);
    io.ns("/", async move |socket: SocketRef| {
        // One array as the only argument, as the family sends it.
        socket
            .emit("active_calls", &(list("in-progress"),))
            .unwrap();
        socket.on("subscribe_to_transcripts", async |socket: SocketRef| {
            socket
                .emit(
                    "transcript_message",
                    &json!({ "callSid": SID, "message": { "role": "user", "message": "hello" } }),
                )
                .unwrap();
        });
    });
    let ending = io.clone();
    let terminate = async move |headers: HeaderMap| {
        if headers
            .get("authorization")
            .is_none_or(|value| value != "Bearer good")
        {
            return (
                StatusCode::UNAUTHORIZED,
                axum::Json(
                    json!({ "success": false, "error": { "code": "INVALID_API_KEY", "message": "no" } }),
                ),
            );
        }
        let update = json!({ "type": "call_ended", "callSid": SID, "data": { "status": "completed", "duration": 7 } });
        ending.emit("call_update", &update).await.unwrap();
        (
            StatusCode::OK,
            axum::Json(json!({ "success": true, "data": { "success": true, "callSid": SID } })),
        )
    };
    let app = Router::new()
        .route("/api/calls/{sid}/terminate", post(terminate))
        .layer(layer);
    let listener = bind(None).await;
    let address = listener.local_addr().unwrap();
    let token = tasks.token().clone();
    tasks.spawn("stand-in", async move {
        tokio::select! {
            _ = axum::serve(listener, app) => {}
            () = token.cancelled() => io.close().await,
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_of_the_older_family_is_watched_and_its_calls_ended() {
    let tasks = Tasks::new();
    let address = serve_family(&tasks).await;
    let settings = RemoteSettings::new(&format!("http://{address}")).unwrap();
    let clock = Clock::start();
    let backend = RemoteBackend::attach_compat(&settings, token("good"), &tasks, clock).unwrap();
    let mut updates = backend.subscribe();
    let mut board = Board::new();
    let mut facts = Vec::new();
    let mut fold = |update: Update, board: &mut Board| {
        if let Update::Envelopes { items, .. } = update {
            for item in items {
                assert_eq!(board.apply(&item), wallboard::call::Applied::New);
                if let CallEvent::Known(fact) = &item.event {
                    facts.push(fact.clone());
                }
            }
        }
        facts.clone()
    };
    let call = until(&mut updates, "the card and its words", |update| {
        fold(update, &mut board);
        board
            .find(SID)
            .filter(|call| call.lines.len() == 1)
            .map(|call| call.id)
    })
    .await;
    assert_eq!(
        backend.listen(call).await.unwrap_err().code,
        ErrorCode::Unsupported
    );
    backend.send(terminate(clock, call)).unwrap();
    until(&mut updates, "the end", |update| {
        let facts = fold(update, &mut board);
        facts
            .iter()
            .any(|fact| matches!(fact, Fact::CommandDone { .. }))
            .then_some(())
    })
    .await;
    let call = board.get(call).unwrap();
    assert_eq!(
        (call.status, call.duration_s),
        (CallStatus::Completed, Some(7))
    );
    tasks.cancel();
}
