//! Listening in: one way, read only, visible to everybody, gone the moment the listener is.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::call::{Call, CallId, ErrorCode, Fact, Grant, Refusal, Verb};

use super::Core;
use super::backend::{ListenStream, StereoFrame};
use super::clock::random;
use super::forks::Hold;
use super::switchboard::Target;

/// Frames handed over and not yet taken (400 ms); with the tap's own 400 ms that is all a slow
/// listener can be behind.
const FRAMES_MAX: usize = 20;

impl Core {
    /// Opens the live audio of a call for whoever holds `grant`, and says on the board that they
    /// listen. Dropping the stream leaves at once.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, or `unsupported` when the audio does not pass through here.
    pub async fn listen(&self, grant: &Grant, call: CallId) -> Result<ListenStream, Refusal> {
        if !grant.allows(Verb::Listen) {
            return Err(Refusal::forbidden(Verb::Listen));
        }
        let seen = self.switchboard.read(|board| {
            let call = board.get(call).map(|call| call.trimmed(0));
            call.filter(|call| grant.sees_lead(call.facts.lead_id.as_deref()))
        });
        let Some(seen) = seen else {
            return Err(Refusal::new(
                ErrorCode::NotFound,
                "there is no such call",
                "it may have left the board; look in the history",
            ));
        };
        let (mut tap, hold) = self.hear(&seen).await?;
        let (sender, frames) = mpsc::channel::<StereoFrame>(FRAMES_MAX);
        let listener = format!("{:08x}", u32::from_ne_bytes(random()));
        let by = grant.user.clone();
        let joined = Fact::ListenerJoined {
            listener: listener.clone(),
            by: by.clone(),
        };
        let core = self.clone();
        self.tasks.spawn("listener", async move {
            core.say(call, joined).await;
            let token = core.tasks.token().clone();
            loop {
                // Cancel-safe: a frame that is not forwarded was for a listener who has left.
                let frame = tokio::select! {
                    biased;
                    () = token.cancelled() => break,
                    () = sender.closed() => break,
                    frame = tap.recv() => frame,
                };
                match frame {
                    Ok(frame) => {
                        if sender.send(*frame).await.is_err() {
                            break;
                        }
                    }
                    Err(RecvError::Lagged(missed)) => {
                        metrics::counter!("wallboard_listener_frames_skipped_total")
                            .increment(missed);
                    }
                    Err(RecvError::Closed) => break,
                }
            }
            // Before it is said: whoever reads that nobody listens may rely on it.
            drop(hold);
            core.say(call, Fact::ListenerLeft { listener, by }).await;
        });
        Ok(ListenStream { frames })
    }

    /// The audio of a call: what a bridge of ours hears, or the carrier's copy of it.
    async fn hear(
        &self,
        call: &Call,
    ) -> Result<(broadcast::Receiver<Arc<StereoFrame>>, Option<Hold>), Refusal> {
        let bridged = self.bridges.is_running(call.id);
        if let Some(tap) = self.taps.join(call.id).filter(|_| bridged) {
            return Ok((tap, None));
        }
        if call.facts.observed {
            let (tap, hold) = self.overhear(call).await?;
            return Ok((tap, Some(hold)));
        }
        let tap = self.taps.join(call.id).ok_or_else(|| {
            Refusal::new(
                ErrorCode::Unsupported,
                "there is no live audio of this call here",
                "only calls bridged by this backend can be heard, while they last",
            )
        })?;
        Ok((tap, None))
    }

    /// Posts a fact that is only lost when the call has left the board or the backend ends.
    async fn say(&self, call: CallId, fact: Fact) {
        let posted = self.switchboard.post(Target::Call(call), vec![fact]).await;
        if let Err(error) = posted {
            tracing::debug!(%error, "a listener's coming or going found no board");
        }
    }
}
