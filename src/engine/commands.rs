//! Operator commands: permission, idempotency, who may act at the same time, routing, outcome.
//!
//! A command is checked at once and answered `accepted` or refused; what it takes is done
//! afterwards on a task of its own, so that an operator who goes away cannot leave it half done.
//! The end of a call is never invented here: it is the carrier's word, by webhook or REST.

mod checks;
mod dial;
mod end;
mod floor;
mod holds;
mod perform;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::call::{CallId, Command, CommandId, ErrorCode, Fact, Grant, Refusal, Reply};

use super::Core;
use super::ports::AuditEntry;
use super::switchboard::{PostError, Target};

use floor::SpeakingTurns;
use holds::Holds;

/// Replies remembered against a repeated command id; the oldest goes first.
const REPLIES_MAX: usize = 4096;
/// Commands being carried out at once; further ones are refused as `overloaded`.
const RUNNING_MAX: usize = 256;

/// How long a command may still run once the backend stops.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// The command desk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Commands {
    replies: Arc<Mutex<Replies>>,
    holds: Holds,
    running: Arc<Semaphore>,
    turns: SpeakingTurns,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            replies: Arc::default(),
            holds: Holds::default(),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            turns: SpeakingTurns::default(),
        }
    }
}

/// A command id belongs to who sent it: nobody reads another's answer by guessing.
type Key = (String, CommandId);

#[derive(Debug, Default)]
struct Replies {
    known: HashMap<Key, watch::Receiver<Option<Reply>>>,
    order: VecDeque<Key>,
}

/// A command with everything its execution needs to know about its sender.
#[derive(Clone, Debug)]
struct Asked {
    command: CommandId,
    verb: &'static str,
    by: String,
    reason: Option<String>,
}

/// What carrying out a command came to.
#[derive(Debug)]
enum Outcome {
    Done,
    Failed(Refusal),
    /// Said already, and nothing better became known.
    Unconfirmed,
}

impl Commands {
    /// Checks one command, answers it, and has it carried out. The same id gets the same reply,
    /// also while the first is still being checked; a refusal for want of capacity is not
    /// remembered, so that trying again makes sense.
    pub async fn handle(&self, core: &Core, grant: &Grant, command: Command) -> Reply {
        let id = command.id;
        let mut answer = self.answer_to(core, grant, command);
        let reply = match answer.wait_for(Option::is_some).await {
            Ok(reply) => reply.clone(),
            Err(_) => None,
        };
        reply.unwrap_or_else(|| {
            let gone = Refusal::new(
                ErrorCode::Unavailable,
                "the backend is stopping",
                "try again when it is back",
            );
            Reply::refused(id, gone)
        })
    }

    fn answer_to(
        &self,
        core: &Core,
        grant: &Grant,
        command: Command,
    ) -> watch::Receiver<Option<Reply>> {
        let key = (grant.user.clone(), command.id);
        let mut replies = self.lock();
        if let Some(known) = replies.known.get(&key) {
            return known.clone();
        }
        let (answer, reply) = watch::channel(None);
        replies.known.insert(key.clone(), reply.clone());
        replies.order.push_back(key.clone());
        if replies.order.len() > REPLIES_MAX {
            if let Some(oldest) = replies.order.pop_front() {
                replies.known.remove(&oldest);
            }
        }
        drop(replies);
        let (desk, core_too, grant) = (self.clone(), core.clone(), grant.clone());
        core.tasks.spawn("command", async move {
            let token = core_too.tasks.token().clone();
            let stopped = async {
                token.cancelled().await;
                tokio::time::sleep(STOP_WITHIN).await;
            };
            // A request that is under way may finish; waiting for the carrier's word may not.
            tokio::select! {
                () = desk.run(&core_too, &grant, command, answer, key) => {}
                () = stopped => {}
            }
        });
        reply
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(
        &self,
        core: &Core,
        grant: &Grant,
        command: Command,
        answer: watch::Sender<Option<Reply>>,
        key: Key,
    ) {
        let asked = Asked {
            command: command.id,
            verb: command.action.name(),
            by: grant.user.clone(),
            reason: command.reason.as_deref().and_then(checks::label),
        };
        let call = command.call;
        let past = checks::past(core, grant, &command).await;
        let checked = match self.running.clone().try_acquire_owned() {
            Ok(permit) => self
                .check(core, grant, command, past)
                .map(|(job, holds)| (job, holds, permit)),
            Err(_) => Err(Refusal::new(
                ErrorCode::Overloaded,
                "too many commands are being carried out",
                "try again in a few seconds",
            )),
        };
        let refusal = match checked {
            // The permit goes when the job is done.
            Ok((job, holds, _permit)) => match self.accept(core, &asked, job, holds, &answer).await
            {
                Ok(()) => return,
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        audit_refusal(core, &asked, call, &refusal);
        if matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::Overloaded) {
            self.lock().known.remove(&key);
        }
        answer.send_replace(Some(Reply::refused(asked.command, refusal)));
    }
}

impl Asked {
    fn accepted(&self) -> Fact {
        Fact::CommandAccepted {
            command: self.command,
            verb: self.verb.into(),
            by: self.by.clone(),
            reason: self.reason.clone(),
        }
    }

    /// A row of the audit trail that no fact carries.
    fn row(&self, core: &Core, call: Option<CallId>, result: String) -> AuditEntry {
        AuditEntry {
            at: core.clock.now(),
            by: self.by.clone(),
            from: None,
            verb: self.verb.into(),
            call,
            command: Some(self.command),
            reason: self.reason.clone(),
            result,
        }
    }

    fn unconfirmed(&self) -> Fact {
        Fact::CommandUnconfirmed {
            command: self.command,
            verb: self.verb.into(),
            by: self.by.clone(),
        }
    }

    fn settled(&self, outcome: &Outcome) -> Option<Fact> {
        match outcome {
            Outcome::Done => Some(Fact::CommandDone {
                command: self.command,
                verb: self.verb.into(),
                by: self.by.clone(),
            }),
            Outcome::Failed(refusal) => Some(Fact::CommandFailed {
                command: self.command,
                verb: self.verb.into(),
                by: self.by.clone(),
                code: refusal.code.as_str().into(),
                message: if refusal.hint.is_empty() {
                    refusal.message.clone()
                } else {
                    format!("{}: {}", refusal.message, refusal.hint)
                },
            }),
            Outcome::Unconfirmed => None,
        }
    }
}

/// Where facts of a command go: its call, or the backend.
fn target(call: Option<CallId>) -> Target {
    call.map_or(Target::Backend, Target::Call)
}

fn from_post(error: PostError) -> Refusal {
    match error {
        PostError::NoSuchCall => Refusal::new(
            ErrorCode::NotFound,
            "there is no such call",
            "it may have left the board; look in the history",
        ),
        error => Refusal::new(
            ErrorCode::Unavailable,
            error.to_string(),
            "try again; look at the backend's log if it stays",
        ),
    }
}

fn audit_refusal(core: &Core, asked: &Asked, call: Option<CallId>, refusal: &Refusal) {
    let row = asked.row(core, call, format!("refused: {}", refusal.code.as_str()));
    if let Err(error) = core.journal.audit(row) {
        tracing::warn!(%error, verb = asked.verb, "a refusal was not audited");
    }
}
