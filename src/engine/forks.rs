//! Copies of calls whose audio does not pass through here: while somebody listens, the carrier is
//! asked to send both sides to a socket of ours. One way by construction: what comes in goes to the
//! call's tap, nothing is ever sent back, and no bridge has anything to do with it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, timeout};

use crate::bridge::{CarrierCodec, CarrierIn, StreamStart};
use crate::call::{Call, CallId, CallStatus, ErrorCode, Refusal};
use crate::media::{MediaFormat, StereoTapper};

use super::Core;
use super::backend::{StereoFrame, forks};
use super::clock::random;
use super::ports::{BoxSocket, CarrierControl, CarrierError};
use super::runner::say_goodbye;
use super::taps::Tap;

/// The carrier must have opened its socket within this after it was asked.
const ATTACH_WITHIN: Duration = Duration::from_secs(8);
/// How long the carrier's REST may take.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// Frames are handed on this often.
const FRAME_EVERY: Duration = Duration::from_millis(20);
/// A copy without a single message for this long is lost.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// The copies that are asked for, by call. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Forks {
    open: Arc<Mutex<HashMap<CallId, Arc<Fork>>>>,
}

/// The copy of one call's audio.
#[derive(Debug)]
struct Fork {
    /// Proves the socket that brings it.
    ticket: String,
    /// Who listens. Changed under the registry's lock only.
    listeners: Mutex<usize>,
    /// Held while the carrier is asked, so that starting and stopping never overtake each other;
    /// the carrier's id of the stream while there is one.
    stream: tokio::sync::Mutex<Option<String>>,
    /// Whether its socket is here. Set to `false` it ends the socket's task.
    here: watch::Sender<bool>,
}

impl Forks {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Arc<Fork>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, call: CallId) -> Arc<Fork> {
        let mut open = self.lock();
        let fork = open.entry(call).or_insert_with(Fork::new);
        *fork.listeners() += 1;
        Arc::clone(fork)
    }

    /// Whether that was the last one.
    fn leave(&self, fork: &Fork) -> bool {
        let _registry = self.lock();
        let mut listeners = fork.listeners();
        *listeners = listeners.saturating_sub(1);
        *listeners == 0
    }

    /// Lets go of a copy, unless somebody has come for it meanwhile.
    fn forget(&self, call: CallId, fork: &Arc<Fork>) {
        let mut open = self.lock();
        let same = open
            .get(&call)
            .is_some_and(|known| Arc::ptr_eq(known, fork));
        if same && *fork.listeners() == 0 {
            open.remove(&call);
        }
    }

    fn get(&self, call: CallId) -> Option<Arc<Fork>> {
        self.lock().get(&call).cloned()
    }

    /// Whether somebody waits for this call's audio, and `ticket` is the one the carrier was given.
    pub fn expects(&self, call: CallId, ticket: &str) -> bool {
        // 128 random bits, good for one call while somebody listens: nothing to be guessed by time.
        self.get(call).is_some_and(|fork| fork.ticket == ticket)
    }

    /// How many copies there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Fork {
    fn new() -> Arc<Self> {
        let mut ticket = String::with_capacity(32);
        for byte in random::<16>() {
            // Writing to a String cannot fail.
            let _infallible = write!(ticket, "{byte:02x}");
        }
        Arc::new(Self {
            ticket,
            listeners: Mutex::new(0),
            stream: tokio::sync::Mutex::new(None),
            here: watch::Sender::new(false),
        })
    }

    /// Takes note of the socket; `false` when there is one already.
    fn arrives(&self) -> bool {
        self.here
            .send_if_modified(|here| !std::mem::replace(here, true))
    }

    fn listeners(&self) -> MutexGuard<'_, usize> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The carrier of a call, and its id there.
#[derive(Clone, Debug)]
struct Line {
    carrier: Arc<dyn CarrierControl>,
    carrier_call_id: String,
}

/// One listener's share of a copy; the last one to go ends it.
#[derive(Debug)]
pub(super) struct Hold {
    core: Core,
    call: CallId,
    line: Line,
    fork: Arc<Fork>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.core.forks.leave(&self.fork) {
            return;
        }
        let (core, call) = (self.core.clone(), self.call);
        let (line, fork) = (self.line.clone(), Arc::clone(&self.fork));
        self.core.tasks.spawn("copy ends", async move {
            let mut stream = fork.stream.lock().await;
            if *fork.listeners() > 0 {
                return;
            }
            if let Some(id) = stream.take() {
                stop(&core, call, &line, &fork, id).await;
            }
            core.forks.forget(call, &fork);
        });
    }
}

/// Ends a copy on both sides. What the carrier says to it changes nothing: the socket is closed.
async fn stop(core: &Core, call: CallId, line: &Line, fork: &Fork, id: String) {
    fork.here.send_replace(false);
    close_tap(core, call);
    let asked = line.carrier.unfork(line.carrier_call_id.clone(), id);
    match timeout(ASK_WITHIN, asked).await {
        Ok(Ok(()) | Err(CarrierError::AlreadyEnded)) => {}
        Ok(Err(error)) => tracing::warn!(%call, %error, "the carrier was not told to stop a copy"),
        Err(_) => tracing::warn!(%call, "the carrier did not answer when told to stop a copy"),
    }
}

/// A bridge that has taken the call over meanwhile goes on using the tap.
fn close_tap(core: &Core, call: CallId) {
    if !core.bridges.is_running(call) {
        core.taps.close(call);
    }
}

impl Core {
    /// The live audio of a call that is only observed, copied by its carrier. A copy that runs already
    /// is shared.
    ///
    /// # Errors
    /// Why it cannot be had, in words for whoever wants to listen.
    pub(super) async fn overhear(
        &self,
        call: &Call,
    ) -> Result<(broadcast::Receiver<Arc<StereoFrame>>, Hold), Refusal> {
        let line = self.line_of(call)?;
        let fork = self.forks.enter(call.id);
        let hold = Hold {
            core: self.clone(),
            call: call.id,
            line,
            fork,
        };
        let mut stream = hold.fork.stream.lock().await;
        if stream.is_some() && !*hold.fork.here.borrow() {
            // It broke off; asked for again, it begins anew.
            if let Some(id) = stream.take() {
                stop(self, call.id, &hold.line, &hold.fork, id).await;
            }
        }
        if stream.is_none() {
            let ticket = hold.fork.ticket.clone();
            let asked = hold
                .line
                .carrier
                .fork(hold.line.carrier_call_id.clone(), ticket);
            let id = match timeout(ASK_WITHIN, asked).await {
                Ok(Ok(id)) => id,
                Ok(Err(error)) => return Err(not_copied(&error.to_string())),
                Err(_) => return Err(not_copied("the carrier did not answer")),
            };
            *stream = Some(id);
            let mut here = hold.fork.here.subscribe();
            let came = timeout(ATTACH_WITHIN, here.wait_for(|here| *here)).await;
            if came.is_err() {
                return Err(not_copied("the carrier did not reach server.public_url"));
            }
        }
        drop(stream);
        let tap = self
            .taps
            .join(call.id)
            .ok_or_else(|| not_copied("the copy ended at once"))?;
        Ok((tap, hold))
    }

    fn line_of(&self, call: &Call) -> Result<Line, Refusal> {
        let carrier = self.carriers.get(call.facts.carrier.as_str());
        let (Some(carrier), Some(id)) = (carrier, call.facts.carrier_call_id.clone()) else {
            return Err(unheard(
                "this call is only observed, and its carrier is not known here",
                "set the account and key of the carrier its agent vendor calls through",
            ));
        };
        if let Some(why) = carrier.cannot_fork() {
            return Err(unheard(
                format!("this call is only observed, and {why}"),
                "listen where its agent runs",
            ));
        }
        if call.status != CallStatus::InProgress {
            return Err(unheard(
                "nobody speaks on this call now",
                "calls can be heard between answer and end",
            ));
        }
        Ok(Line {
            carrier: Arc::clone(carrier),
            carrier_call_id: id,
        })
    }

    /// The carriers by which calls can be heard that are only observed, as
    /// [`super::Hello::features`] names them.
    pub(super) fn forking(&self) -> impl Iterator<Item = String> {
        self.carriers
            .values()
            .filter(|carrier| carrier.cannot_fork().is_none())
            .map(|carrier| forks(carrier.name()))
    }

    /// Feeds a call's listeners from a carrier's socket whose `start` has been read and judged (see
    /// [`Forks::expects`]), until either has had enough. Nothing is ever sent on it.
    pub fn attach_fork(
        &self,
        call: CallId,
        socket: BoxSocket,
        codec: Box<dyn CarrierCodec>,
        start: &StreamStart,
    ) -> JoinHandle<()> {
        let core = self.clone();
        let format = start.format;
        self.tasks.spawn("copy", async move {
            let fork = core.forks.get(call).filter(|_| is_plain(format));
            // There before anybody is told that the copy is; a second socket of it would be heard twice.
            let tapped = fork.map(|fork| (core.taps.open(call), fork));
            if let Some((tap, fork)) = tapped.filter(|(_, fork)| fork.arrives()) {
                let copy = Copying {
                    core: core.clone(),
                    call,
                    fork,
                    tap,
                    tapper: StereoTapper::new(core.clock.elapsed()),
                    codec,
                };
                copy.run(socket).await;
                return;
            }
            tracing::warn!(%call, ?format, "a copy nobody can use was turned away");
            say_goodbye(socket).await;
        })
    }
}

/// What both carriers send by default, and what listeners are sent.
fn is_plain(format: MediaFormat) -> bool {
    format == MediaFormat::ULAW_8K
}

/// A copy that comes in.
struct Copying {
    core: Core,
    call: CallId,
    fork: Arc<Fork>,
    tap: Tap,
    tapper: StereoTapper,
    codec: Box<dyn CarrierCodec>,
}

impl Copying {
    async fn run(mut self, mut socket: BoxSocket) {
        metrics::gauge!("wallboard_copies").increment(1.0);
        let mut here = self.fork.here.subscribe();
        let mut ticks = tokio::time::interval(FRAME_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let token = self.core.tasks.token().clone();
        let mut heard_at = self.core.clock.elapsed();
        loop {
            // Cancel-safe: no arm loses anything when another wins.
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                _ = here.wait_for(|here| !*here) => break,
                wire = socket.next() => {
                    let now = self.core.clock.elapsed();
                    heard_at = now;
                    match wire.map(|wire| wire.map(|wire| self.codec.decode(&wire))) {
                        Some(Ok(Ok(CarrierIn::Audio(audio)))) => {
                            self.tapper.push_caller(&audio.payload, now);
                        }
                        Some(Ok(Ok(CarrierIn::Echo(audio)))) => {
                            self.tapper.push_agent(&audio.payload, now);
                        }
                        Some(Ok(Ok(CarrierIn::Stop)) | Err(_)) | None => break,
                        Some(Ok(Ok(_))) => {}
                        Some(Ok(Err(error))) => tracing::debug!(%error, "a copy's message was passed over"),
                    }
                }
                _ = ticks.tick() => {
                    let now = self.core.clock.elapsed();
                    // Bridged after all: its own audio is better than a copy of it.
                    if now.saturating_sub(heard_at) > QUIET_MAX
                        || self.core.bridges.is_running(self.call) {
                        break;
                    }
                    while let Some(frame) = self.tapper.next_frame(now) {
                        // Nobody listening for a moment is fine.
                        self.tap.send(frame);
                    }
                }
            }
        }
        self.fork.here.send_replace(false);
        close_tap(&self.core, self.call);
        metrics::gauge!("wallboard_copies").decrement(1.0);
        say_goodbye(socket).await;
    }
}

fn unheard(message: impl Into<String>, hint: &str) -> Refusal {
    Refusal::new(ErrorCode::Unsupported, message, hint)
}

fn not_copied(why: &str) -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        format!("the carrier sends no copy of this call: {why}"),
        "try again; `wallboard webhooks` shows what reached this backend",
    )
}
