//! `RemoteBackend`: the driver that carries out what the link and its protocol decide, and the
//! `Backend` a screen sees. One task; the connection lives on a runtime of its own.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::call::{CallId, Command, CommandId, ErrorCode, Refusal, Secret};
use crate::engine::{
    Backend, Clock, Fetched, HistoryPage, HistoryQuery, ListenStream, Tasks, Update, random,
};

use super::attach::{Attach, NAMESPACE, PROTOCOL};
use super::compat::Compat;
use super::http::Rest;
use super::link::{Ask, Heard, In, Link, Now, Out, Protocol, SplitMix};
use super::screens::Screens;
use super::socketio::{Address, Conn};
use super::{RemoteError, RemoteSettings, TokenSource};

/// Orders of screens waiting for the driver. Full: refused.
const ORDERS_MAX: usize = 64;
/// A question without an answer; the protocol gives up a little earlier.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// How often a refused link looks whether the token has changed.
const TOKEN_EVERY: u32 = 5;

/// What a screen wants of the driver.
enum Order {
    Command(Command),
    History {
        query: HistoryQuery,
        done: oneshot::Sender<Result<HistoryPage, Refusal>>,
    },
    Retry,
}

/// A backend somewhere else. Dropping it ends the link; it never ends a call.
pub struct RemoteBackend {
    screens: Arc<Screens>,
    orders: mpsc::Sender<Order>,
    watched: watch::Sender<Vec<CallId>>,
    rest: Rest,
    token: TokenSource,
    tasks: Tasks,
    compat: bool,
}

impl fmt::Debug for RemoteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteBackend")
            .field("rest", &self.rest)
            .finish_non_exhaustive()
    }
}

impl Drop for RemoteBackend {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl RemoteBackend {
    /// Attaches to a wallboard backend and keeps trying. Must be called inside a runtime.
    ///
    /// # Errors
    /// The settings cannot be used at all.
    pub fn attach(
        settings: &RemoteSettings,
        token: TokenSource,
        tasks: &Tasks,
        clock: Clock,
    ) -> Result<Arc<Self>, RemoteError> {
        Self::start(
            settings,
            token,
            tasks,
            clock,
            Attach::new(seed()),
            NAMESPACE,
        )
    }

    /// Attaches to a foreign backend that emits the older event family on namespace `/`.
    ///
    /// # Errors
    /// The settings cannot be used at all.
    pub fn attach_compat(
        settings: &RemoteSettings,
        token: TokenSource,
        tasks: &Tasks,
        clock: Clock,
    ) -> Result<Arc<Self>, RemoteError> {
        let protocol = Compat::new(seed(), clock.epoch(), settings.base());
        Self::start(settings, token, tasks, clock, protocol, "/")
    }

    fn start<P: Protocol + Send + 'static>(
        settings: &RemoteSettings,
        token: TokenSource,
        tasks: &Tasks,
        clock: Clock,
        protocol: P,
        namespace: &'static str,
    ) -> Result<Arc<Self>, RemoteError> {
        let ca = settings
            .ca_pem
            .as_deref()
            .map(native_tls::Certificate::from_pem)
            .transpose();
        let ca = ca.map_err(|error| RemoteError::Authority(error.to_string()))?;
        let rest = Rest::new(settings)?;
        let tasks = tasks.child();
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let (watched, watching) = watch::channel(Vec::new());
        let (ended, endings) = mpsc::channel(ORDERS_MAX);
        let screens = Arc::new(Screens::new());
        let driver = Driver {
            link: Link::new(protocol, seed()),
            conn: None,
            base: settings.base().to_owned(),
            namespace,
            ca,
            screens: Arc::clone(&screens),
            rest: rest.clone(),
            token: Arc::clone(&token),
            presented: None,
            clock,
            tasks: tasks.clone(),
            waiting: HashMap::new(),
            ended,
            ids: SplitMix(seed()),
            next: VecDeque::from([In::Start]),
        };
        tasks.spawn("remote link", driver.run(ordered, watching, endings));
        Ok(Arc::new(Self {
            screens,
            orders,
            watched,
            rest,
            token,
            tasks,
            compat: namespace == "/",
        }))
    }

    /// Tries at once: after a refusal, or instead of waiting out the backoff.
    pub fn retry(&self) {
        // A full queue means the driver is busy enough; the operator can press again.
        let _busy = self.orders.try_send(Order::Retry);
    }

    fn unless_compat(&self, what: &str) -> Result<(), Refusal> {
        if self.compat {
            return Err(Refusal::new(
                ErrorCode::Unsupported,
                format!("this backend offers no {what}"),
                "it speaks only the older event family (--compat)",
            ));
        }
        Ok(())
    }
}

impl Backend for RemoteBackend {
    fn subscribe(&self) -> mpsc::Receiver<Update> {
        self.screens.join()
    }

    fn send(&self, command: Command) -> Result<(), Refusal> {
        if !self.screens.is_up() {
            return Err(no_link());
        }
        self.orders.try_send(Order::Command(command)).map_err(|_| {
            Refusal::new(
                ErrorCode::Overloaded,
                "too many commands are waiting",
                "wait for their answers",
            )
        })
    }

    fn watch(&self, calls: Vec<CallId>) {
        self.watched.send_if_modified(|present| {
            let differs = *present != calls;
            *present = calls;
            differs
        });
    }

    fn listen(&self, call: CallId) -> BoxFuture<'static, Result<ListenStream, Refusal>> {
        let allowed = self.unless_compat("live audio");
        let (rest, token, tasks) = (
            self.rest.clone(),
            Arc::clone(&self.token),
            self.tasks.clone(),
        );
        async move {
            allowed?;
            rest.listen(&tasks, token(), call).await
        }
        .boxed()
    }

    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, Refusal>> {
        let allowed = self.unless_compat("history");
        let orders = self.orders.clone();
        async move {
            allowed?;
            let (done, answer) = oneshot::channel();
            orders
                .try_send(Order::History { query, done })
                .map_err(|_| no_link())?;
            match tokio::time::timeout(ANSWER_WITHIN, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(no_link()),
                Err(_) => Err(Refusal::new(
                    ErrorCode::Timeout,
                    "the backend did not answer in time",
                    "try again",
                )),
            }
        }
        .boxed()
    }

    fn listen_url(&self, call: CallId) -> BoxFuture<'static, Result<String, Refusal>> {
        let allowed = self.unless_compat("listen URLs");
        let (rest, token) = (self.rest.clone(), Arc::clone(&self.token));
        async move {
            allowed?;
            rest.listen_url(token(), call).await
        }
        .boxed()
    }

    fn recording(
        &self,
        id: String,
        progress: watch::Sender<Fetched>,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let allowed = self.unless_compat("recordings");
        let (rest, token) = (self.rest.clone(), Arc::clone(&self.token));
        async move {
            allowed?;
            rest.recording(token(), &id, &progress).await
        }
        .boxed()
    }
}

fn no_link() -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        "there is no link to the backend",
        "try again when it is up",
    )
}

fn seed() -> u64 {
    u64::from_le_bytes(random())
}

struct Driver<P> {
    link: Link<P>,
    conn: Option<Conn>,
    base: String,
    namespace: &'static str,
    ca: Option<native_tls::Certificate>,
    screens: Arc<Screens>,
    rest: Rest,
    token: TokenSource,
    /// The token of the last attempt: after a refusal only another one is worth a further one.
    presented: Option<Secret>,
    clock: Clock,
    tasks: Tasks,
    waiting: HashMap<CommandId, oneshot::Sender<Result<HistoryPage, Refusal>>>,
    ended: mpsc::Sender<(CommandId, Result<(), Refusal>)>,
    ids: SplitMix,
    /// Inputs that followed from effects.
    next: VecDeque<In>,
}

impl<P: Protocol> Driver<P> {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut watched: watch::Receiver<Vec<CallId>>,
        mut ended: mpsc::Receiver<(CommandId, Result<(), Refusal>)>,
    ) {
        let token = self.tasks.token().clone();
        let mut tidy = interval(Duration::from_secs(1));
        tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds = 0_u32;
        loop {
            while let Some(input) = self.next.pop_front() {
                self.step(input);
            }
            if self.conn.as_ref().is_some_and(Conn::take_overflow) {
                self.step(In::Overflow);
                continue;
            }
            let pause = self
                .link
                .wake()
                .map(|at| at.saturating_sub(self.clock.elapsed()));
            // Every arm is cancel-safe: channels keep what was not taken.
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                Some(order) = orders.recv() => self.order(order),
                Ok(()) = watched.changed() => {
                    let calls = watched.borrow_and_update().clone();
                    self.next.push_back(In::Ask(Ask::Watch(calls)));
                }
                Some((id, result)) = ended.recv() => self.next.push_back(In::Ended { id, result }),
                heard = hear(&mut self.conn) => self.next.push_back(In::Heard(heard)),
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => self.next.push_back(In::Tick),
                _ = tidy.tick() => {
                    seconds = seconds.wrapping_add(1);
                    self.screens.tidy(self.clock.now());
                    if seconds.is_multiple_of(TOKEN_EVERY) {
                        self.try_new_token();
                    }
                }
            }
        }
    }

    fn order(&mut self, order: Order) {
        let input = match order {
            Order::Command(command) => In::Ask(Ask::Command(command)),
            Order::History { query, done } => {
                let id = self.ids.id(self.clock.now());
                self.waiting.insert(id, done);
                In::Ask(Ask::History { id, query })
            }
            Order::Retry if self.screens.is_up() => return,
            Order::Retry => In::Start,
        };
        self.next.push_back(input);
    }

    fn try_new_token(&mut self) {
        if self.link.is_refused() && self.presented != (self.token)() {
            self.next.push_back(In::Start);
        }
    }

    fn step(&mut self, input: In) {
        let now = Now {
            mono: self.clock.elapsed(),
            wall: self.clock.now(),
        };
        for out in self.link.step(now, input) {
            self.carry_out(out);
        }
    }

    fn carry_out(&mut self, out: Out) {
        match out {
            Out::Dial => self.dial(),
            Out::HangUp => self.conn = None,
            Out::Send { event, data } => {
                let sent = self
                    .conn
                    .as_ref()
                    .is_some_and(|conn| conn.send(event, data));
                if !sent && self.conn.is_some() {
                    let reason = "the backend does not read".to_owned();
                    self.next.push_back(In::Heard(Heard::Down(reason)));
                }
            }
            Out::Tell(update) => self.screens.tell(update),
            Out::History { id, result } => {
                if let Some(done) = self.waiting.remove(&id) {
                    // Whoever asked may have stopped waiting.
                    let _gone = done.send(result);
                }
            }
            Out::EndByRest {
                id,
                call_sid,
                reason,
            } => {
                let (rest, token, ended) = (self.rest.clone(), (self.token)(), self.ended.clone());
                self.tasks.spawn("end call by REST", async move {
                    let result = rest
                        .terminate(token, &call_sid, &id.to_string(), reason.as_deref())
                        .await;
                    // The link is gone: so is whoever waits.
                    let _gone = ended.send((id, result)).await;
                });
            }
            // The link takes these itself.
            Out::Live | Out::Fail { .. } | Out::Refuse(_) => {}
        }
    }

    fn dial(&mut self) {
        let token = (self.token)();
        let auth = json!({
            "token": token.as_ref().map(Secret::expose),
            "client": concat!("wallboard/", env!("CARGO_PKG_VERSION")),
            "v": PROTOCOL,
        });
        self.presented = token;
        let address = Address {
            base: self.base.clone(),
            namespace: self.namespace,
            auth,
            ca: self.ca.clone(),
        };
        match Conn::dial(address) {
            Ok(conn) => self.conn = Some(conn),
            Err(error) => {
                let reason = format!("no thread for the connection: {}", error.kind());
                self.next.push_back(In::Heard(Heard::Down(reason)));
            }
        }
    }
}

/// What the connection heard; never, while there is none.
async fn hear(conn: &mut Option<Conn>) -> Heard {
    match conn {
        Some(conn) => match conn.hear().await {
            Some(heard) => heard,
            None => Heard::Down("the connection ended".to_owned()),
        },
        None => std::future::pending().await,
    }
}
