//! One socket of namespace `/`: what it subscribed to, and passing that on, each fact once.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Grant, Numbers, Role, Verb};

use super::super::auth::{Session, public_grant};
use super::super::hub::door::session_of;
use super::super::hub::{Asked, Inbox, listen_for};
use super::super::shape::{self, stamp};
use super::super::state::App;
use super::translate::Room;
use super::translator::{FactFrame, Frame, list};

/// Single calls one socket may follow.
const FOLLOWED_MAX: usize = 1_000;
/// How often what found the queue full is tried again.
const AGAIN_EVERY: Duration = Duration::from_millis(20);
/// How often the token's end is looked at.
const CHECK_EVERY: Duration = Duration::from_millis(500);

const REQUESTS: [&str; 16] = [
    "subscribe_to_calls",
    "unsubscribe_from_calls",
    "subscribe_to_call",
    "unsubscribe_from_call",
    "subscribe_to_transcripts",
    "unsubscribe_from_transcripts",
    "subscribe_to_call_transcript",
    "unsubscribe_from_call_transcript",
    "subscribe_to_campaigns",
    "unsubscribe_from_campaigns",
    "subscribe_to_campaign",
    "unsubscribe_from_campaign",
    "get_active_calls",
    "subscribe",
    "unsubscribe",
    "ping",
];

#[derive(Default, Deserialize)]
struct Hello {
    #[serde(default)]
    token: Option<String>,
}

struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unauthorized")
    }
}

struct Arrival {
    /// `None` for a stranger under `auth.public_namespace`.
    session: Option<Session>,
    inbox: Inbox,
    gone: CancellationToken,
}

type Arrivals = Arc<Mutex<Option<Arrival>>>;

/// Opens the namespace.
pub(super) fn open(io: &SocketIo, app: &Arc<App>, frames: broadcast::Sender<Frame>) {
    let at_door = Arc::clone(app);
    let check = async move |socket: SocketRef, TryData(hello): TryData<Hello>| {
        check(&at_door, &socket, &hello.unwrap_or_default())
    };
    let inside = Arc::clone(app);
    let enter = async move |socket: SocketRef| enter(&inside, socket, &frames);
    io.ns("/", enter.with(check));
}

fn check(app: &App, socket: &SocketRef, hello: &Hello) -> Result<(), Refused> {
    let session = session_of(app, socket, hello.token.as_deref())
        .ok()
        .filter(|session| session.grant.allows(Verb::View));
    if session.is_none() && !app.settings.public_namespace {
        return Err(Refused);
    }
    let inbox = listen_for(socket, &REQUESTS);
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    let arrivals: Arrivals = Arc::new(Mutex::new(Some(Arrival {
        session,
        inbox,
        gone,
    })));
    socket.extensions.insert(arrivals);
    Ok(())
}

fn enter(app: &Arc<App>, socket: SocketRef, frames: &broadcast::Sender<Frame>) {
    let arrivals = socket.extensions.get::<Arrivals>();
    let arrival = arrivals.and_then(|arrivals| {
        let mut place = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    });
    let Some(arrival) = arrival else { return };
    let viewer = Viewer::new(Arc::clone(app), socket, arrival.session);
    let run = viewer.run(arrival.inbox, frames.subscribe(), arrival.gone);
    app.tasks.spawn("viewer", run);
}

struct Viewer {
    app: Arc<App>,
    socket: SocketRef,
    session: Option<Session>,
    grant: Grant,
    all_calls: bool,
    all_transcripts: bool,
    /// Ids as the client gave them: ours or the carrier's, known yet or not.
    calls: HashSet<String>,
    transcripts: HashSet<String>,
    /// Frames were missed: the list must be sent anew first.
    behind: bool,
    /// A fact whose events from this one on found the queue full.
    held: Option<(Arc<FactFrame>, usize)>,
}

impl Viewer {
    fn new(app: Arc<App>, socket: SocketRef, session: Option<Session>) -> Self {
        let grant = session
            .as_ref()
            .map_or_else(public_grant, |session| session.grant.clone());
        Self {
            app,
            socket,
            session,
            grant,
            all_calls: true,
            all_transcripts: false,
            calls: HashSet::new(),
            transcripts: HashSet::new(),
            behind: false,
            held: None,
        }
    }

    async fn run(
        mut self,
        mut inbox: Inbox,
        mut frames: broadcast::Receiver<Frame>,
        gone: CancellationToken,
    ) {
        metrics::gauge!("wallboard_viewers").increment(1.0);
        self.serve(&mut inbox.asked, &mut frames, &gone).await;
        metrics::gauge!("wallboard_viewers").decrement(1.0);
        if !gone.is_cancelled() {
            let _closed = self.socket.clone().disconnect();
        }
    }

    async fn serve(
        &mut self,
        inbox: &mut mpsc::Receiver<Asked>,
        frames: &mut broadcast::Receiver<Frame>,
        gone: &CancellationToken,
    ) {
        let stopping = self.app.stopping().clone();
        let mut tokens = self.app.auth.changes();
        let mut check = tokio::time::interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = tokio::time::interval(AGAIN_EVERY);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.send_list();
        loop {
            // What waits for room waits here, and the frames behind it in their own channel.
            let waiting = self.held.is_some() || self.behind;
            // Cancel-safe: channels lose nothing when another arm wins.
            tokio::select! {
                biased;
                () = gone.cancelled() => return,
                () = stopping.cancelled() => return,
                asked = inbox.recv() => match asked {
                    Some(asked) => self.take(asked),
                    None => return,
                },
                _ = tokens.changed() => if !self.renew() { return },
                _ = check.tick() => if !self.renew() { return },
                _ = again.tick(), if waiting => self.catch_up(),
                frame = frames.recv(), if !waiting => match frame {
                    Ok(frame) => self.pass_on(frame),
                    Err(RecvError::Lagged(_)) => {
                        metrics::counter!("wallboard_viewers_lagged_total").increment(1);
                        self.behind = true;
                    }
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    fn renew(&mut self) -> bool {
        let Some(session) = &self.session else {
            return true;
        };
        match self.app.auth.renew(session, self.app.core.clock.now()) {
            Some(grant) => {
                self.grant = grant;
                true
            }
            None => false,
        }
    }

    /// Whole for operators, unmaskers, and where the contract opens the namespace to everybody.
    fn numbers(&self) -> Numbers {
        let whole = self.session.is_none()
            || self.grant.role >= Role::Operator
            || self.grant.allows(Verb::Unmask);
        Numbers::for_unmask(whole)
    }

    fn sees(&self, call: &Call) -> bool {
        self.grant.sees_lead(call.facts.lead_id.as_deref())
    }

    fn take(&mut self, asked: Asked) {
        let key = asked.data.as_str().map(str::to_owned).or_else(|| {
            let data = asked.data.as_object()?;
            let id = data.get("callSid").or_else(|| data.get("sid"))?;
            id.as_str().map(str::to_owned)
        });
        match (asked.event, key) {
            ("subscribe_to_calls" | "get_active_calls", _) => {
                self.all_calls = true;
                self.send_list();
            }
            ("unsubscribe_from_calls", _) => self.all_calls = false,
            ("subscribe_to_call", Some(key)) if self.calls.len() < FOLLOWED_MAX => {
                self.send_call(&key);
                self.calls.insert(key);
            }
            ("unsubscribe_from_call", Some(key)) => {
                self.calls.remove(&key);
            }
            ("subscribe_to_transcripts", _) => self.all_transcripts = true,
            ("unsubscribe_from_transcripts", _) => self.all_transcripts = false,
            ("subscribe_to_call_transcript", Some(key))
                if self.transcripts.len() < FOLLOWED_MAX =>
            {
                self.transcripts.insert(key);
            }
            ("unsubscribe_from_call_transcript", Some(key)) => {
                self.transcripts.remove(&key);
            }
            // There are no campaigns here; who asks for them gets none instead of silence.
            ("subscribe_to_campaigns", _) => {
                self.emit("active_campaigns", &json!([]));
            }
            ("ping", _) => {
                let now = stamp(self.app.core.clock.now());
                let _not_asked_for = asked.ack.send(&json!({ "pong": true, "timestamp": now }));
                return;
            }
            _ => {}
        }
        let _not_asked_for = asked.ack.send(&json!({ "ok": true }));
    }

    fn emit<T: serde::Serialize + ?Sized>(&self, event: &'static str, body: &T) -> bool {
        self.socket.emit(event, body).is_ok()
    }

    /// The calls this socket may see, as of now.
    fn send_list(&mut self) {
        let now = self.app.core.clock.now();
        let numbers = self.numbers();
        let body = self.app.core.switchboard.read(|board| {
            let calls: Vec<&Call> = board.live().filter(|call| self.sees(call)).collect();
            list(&calls, numbers, now)
        });
        // An array is one argument here; as a bare sequence it would be taken for several.
        self.behind = !self.emit("active_calls", &(body,));
    }

    fn send_call(&mut self, key: &str) {
        let now = self.app.core.clock.now();
        let numbers = self.numbers();
        let found = self.app.core.switchboard.read(|board| {
            let call = board.find(key).filter(|call| self.sees(call))?;
            Some((call.call_sid(), shape::call(call, numbers, now)))
        });
        if let Some((sid, data)) = found {
            let body = json!({ "callSid": sid, "data": data, "timestamp": stamp(now) });
            self.behind |= !self.emit("call_data", &body);
        }
    }

    /// Goes on where the queue was full.
    fn catch_up(&mut self) {
        if let Some((frame, from)) = self.held.take() {
            self.pass_fact(frame, from);
        }
        if self.behind && self.held.is_none() {
            self.send_list();
        }
    }

    fn pass_on(&mut self, frame: Frame) {
        match frame {
            Frame::List { masked, whole } => {
                if !self.all_calls {
                    return;
                }
                if self.grant.leads.is_some() {
                    self.send_list();
                    return;
                }
                let sent = self.emit("active_calls", self.form(&masked, &whole));
                self.behind = !sent;
            }
            Frame::Fact(frame) => {
                if self.grant.sees_lead(frame.lead.as_deref()) {
                    self.pass_fact(frame, 0);
                }
            }
        }
    }

    /// Sends the events of a fact from this one on; keeps the rest when the queue is full.
    fn pass_fact(&mut self, frame: Arc<FactFrame>, from: usize) {
        let id = frame.call.to_string();
        let of_call = self.calls.contains(&frame.sid) || self.calls.contains(&id);
        let reads = self.grant.allows(Verb::Transcript);
        let of_transcript = self.transcripts.contains(&frame.sid) || self.transcripts.contains(&id);
        for (index, event) in frame.events.iter().enumerate().skip(from) {
            let wanted = match event.room {
                Room::Calls => self.all_calls || of_call,
                Room::OneCall => of_call,
                Room::Transcripts => reads && (self.all_transcripts || of_transcript),
                Room::OneTranscript => reads && of_transcript,
            };
            if wanted && !self.emit(event.name, self.form(&event.masked, &event.whole)) {
                self.held = Some((frame, index));
                return;
            }
        }
    }

    fn form<'f>(&self, masked: &'f RawValue, whole: &'f RawValue) -> &'f RawValue {
        match self.numbers() {
            Numbers::Masked => masked,
            Numbers::Whole => whole,
        }
    }
}
