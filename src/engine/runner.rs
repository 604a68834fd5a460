//! The bridge runner: one task per carrier stream. It performs what the session decides and feeds
//! back what came of it.
//!
//! Nothing here may wait for anybody but the two sockets: facts are offered, not posted; taps and
//! gauges overwrite; REST runs beside the loop. Writing never blocks reading, because both are
//! polled side by side and what a socket does not take waits in a bounded outbox.

mod bells;
mod brief;
mod facts;
mod links;
mod task;

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bridge::{BridgeOrder, CarrierCodec, StreamStart};
use crate::call::{AgentLink, CallId, Fact};

use super::ports::BoxSocket;
use super::{Core, Order};

use facts::FactsOut;
pub(super) use links::say_goodbye;
use task::Runner;

/// A replaced stream gets this long to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// The last facts of a stream may wait this long for a place in the inbox.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);

impl Core {
    /// Bridges a carrier's stream to the call's agent until one of them ends; see
    /// [`attach_stream`].
    pub fn attach_stream(
        &self,
        call: CallId,
        carrier: BoxSocket,
        codec: Box<dyn CarrierCodec>,
        start: StreamStart,
    ) -> JoinHandle<()> {
        attach_stream(self, call, carrier, codec, start)
    }
}

/// Starts the bridge of an admitted stream whose `start` has been read. An older stream of the same
/// call is told to leave first. The handle resolves when the stream has ended and everything that
/// belonged to it is closed; dropping the handle changes nothing.
///
/// Which agent answers is decided here (`Core::plan_for`); without one the stream is closed so that
/// the carrier goes on with the fallback.
pub fn attach_stream(
    core: &Core,
    call: CallId,
    carrier: BoxSocket,
    codec: Box<dyn CarrierCodec>,
    start: StreamStart,
) -> JoinHandle<()> {
    let inner = core.clone();
    core.tasks.spawn("bridge", async move {
        attach(inner, call, carrier, codec, start).await;
    })
}

async fn attach(
    core: Core,
    call: CallId,
    carrier: BoxSocket,
    codec: Box<dyn CarrierCodec>,
    start: StreamStart,
) {
    let generation = core.bridges.next_generation();
    let (orders, older) = core.bridges.register(call, generation);
    metrics::gauge!("wallboard_bridges").increment(1.0);
    let _place = Place {
        core: core.clone(),
        call,
        generation,
    };
    if let Some(older) = older {
        let (done, _) = oneshot::channel();
        let order = BridgeOrder::Stop {
            reason: "a newer stream took over".into(),
        };
        // Full or gone: it is leaving, or will be left behind.
        let _told = older.try_send(Order { order, done });
        let _left = tokio::time::timeout(LEAVE_WITHIN, older.closed()).await;
    }
    let known = core.switchboard.read(|board| board.get(call).cloned());
    let decided = known
        .as_ref()
        .ok_or_else(|| "the call is not on the board".to_owned())
        .and_then(|call| {
            core.plan_for(call)
                .map_err(|refusal| refusal.message.clone())
        });
    match (known, decided) {
        (Some(about), Ok(mut plan)) => {
            if let Some(lead) = about.facts.lead_id.as_deref() {
                // Always there once a lead is known: a prompt that names it must not fail.
                let context = core.lead_context(lead).await.unwrap_or_default();
                let variables = &mut plan.agent.brief.variables;
                variables.insert("conversation_context".into(), context);
            }
            let runner = Runner::new(&core, &about, plan, carrier, codec, start, orders);
            runner.run().await;
        }
        (_, reason) => {
            let reason = reason.err().unwrap_or_default();
            turn_away(&core, call, carrier, &start.stream_id, &reason).await;
        }
    }
}

/// No agent for this call: the caller gets the fallback at once.
async fn turn_away(core: &Core, call: CallId, carrier: BoxSocket, stream_id: &str, reason: &str) {
    tracing::warn!(%call, reason, "no agent for this stream");
    let facts = vec![
        Fact::StreamStarted {
            stream_id: stream_id.to_owned(),
        },
        Fact::TroubleNoted {
            code: "no_agent".into(),
            message: reason.to_owned(),
        },
        Fact::AgentLinkChanged {
            link: AgentLink::Fallback,
            reason: Some(reason.to_owned()),
            attempt: None,
        },
        Fact::StreamStopped {
            stream_id: stream_id.to_owned(),
            reason: reason.to_owned(),
        },
    ];
    // The caller does not wait for the books.
    say_goodbye(carrier).await;
    let mut out = FactsOut::new(call);
    out.extend(facts);
    out.finish(core, LAST_WORDS_WITHIN).await;
}

/// A bridge's place in the registries; leaving it is not forgotten, not even by a panic.
struct Place {
    core: Core,
    call: CallId,
    generation: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("wallboard_bridges").decrement(1.0);
        // A newer stream goes on using tap and gauge.
        if self.core.bridges.unregister(self.call, self.generation) {
            self.core.taps.close(self.call);
            self.core.gauges.remove(self.call);
        }
    }
}

#[cfg(test)]
mod tests;
