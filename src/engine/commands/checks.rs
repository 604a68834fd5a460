//! What is asked of a command before it is accepted: permission, sight, sense, and nobody else at
//! it. Nothing here waits.

mod recording;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::call::text::{clean, clean_label};
use crate::call::{
    Action, Call, CallId, Command, CommandId, ErrorCode, Fact, Grant, Refusal, Role, Verb, e164,
};
use crate::engine::bridges::BridgeOrder;
use crate::engine::limits::Mouth;
use crate::engine::ports::RecordingOrder;
use crate::engine::{Core, HistoryQuery};

use super::dial::Placing;
use super::holds::{Class, Hold, held_by};
use super::{Commands, floor};
use recording::{audio_is_kept, recording};

/// Longest snooze, minutes.
const SNOOZE_MAX: u32 = 24 * 60;

/// A command that makes sense, with all it needs to be carried out.
#[derive(Debug)]
pub(super) enum Job {
    /// Done by saying so.
    Say {
        call: Option<CallId>,
        facts: Vec<Fact>,
        result: Option<Value>,
    },
    End {
        call: CallId,
    },
    Transfer {
        call: CallId,
        to: String,
    },
    Record {
        call: CallId,
        order: RecordingOrder,
        recording: Option<String>,
    },
    /// An order to the bridge, and what is a fact before and once it is carried out.
    Order {
        call: CallId,
        order: BridgeOrder,
        first: Vec<Fact>,
        then: Vec<Fact>,
    },
    /// Words that somebody else than the agent says to the caller.
    Speak {
        call: CallId,
        text: String,
        mouth: Mouth,
    },
    Dial(Box<Placing>),
    /// Nothing but a row of the audit trail, and nobody else is told.
    Audited,
    /// A remark on a call that has left the board.
    Past {
        call: CallId,
        facts: Vec<Fact>,
        result: Option<Value>,
    },
}

pub(super) type Checked = Result<(Job, Vec<Hold>), Refusal>;

impl Commands {
    /// `past` is the call if it has left the board, see [`past`].
    pub(super) fn check(
        &self,
        core: &Core,
        grant: &Grant,
        command: Command,
        past: Option<Call>,
    ) -> Checked {
        let verb = command.action.verb();
        if grant
            .expires_at
            .is_some_and(|expires| expires <= core.clock.now())
        {
            return Err(Refusal::new(
                ErrorCode::Unauthorized,
                "this token has expired",
                "ask an admin for a new one (wallboard token add)",
            ));
        }
        if !grant.allows(verb) {
            return Err(Refusal::forbidden(verb));
        }
        match command.action {
            Action::Dial { request } => {
                let placing = Placing::check(core, grant, command.id, request)?;
                Ok((Job::Dial(Box::new(placing)), Vec::new()))
            }
            Action::StopDialing {} => {
                core.dialling.stop(&grant.user);
                Ok(about_dialling(&grant.user, "stopped"))
            }
            Action::ResumeDialing {} => {
                core.dialling.resume();
                Ok(about_dialling(&grant.user, "resumed"))
            }
            // A list of past calls: what was in it stands in the reason.
            Action::Export { .. } if command.call.is_none() => Ok((Job::Audited, Vec::new())),
            action => {
                if let Some(call) = past {
                    let job = remark(core, grant, &call, action)?.of_the_past();
                    return Ok((job, Vec::new()));
                }
                let call = sight(core, grant, command.call)?;
                self.on_call(core, grant, command.id, &call, action)
            }
        }
    }

    fn on_call(
        &self,
        core: &Core,
        grant: &Grant,
        id: CommandId,
        call: &Call,
        action: Action,
    ) -> Checked {
        let verb = action.name();
        let hold = |class| self.holds.take(call.id, class, &grant.user, verb);
        match action {
            Action::Terminate {} => {
                let hold = hold(Class::End)?;
                // Who ends a call that has ended has what he wanted: no request goes out.
                if still_live(core, call.id) {
                    steerable(core, call)?;
                    return Ok((Job::End { call: call.id }, vec![hold]));
                }
                Ok((say(call.id, Vec::new(), None), vec![hold]))
            }
            Action::Transfer { to } => {
                let hold = hold(Class::End)?;
                live(core, call)?;
                steerable(core, call)?;
                floor::unheld(core, grant, call.id)?;
                floor::unlimited(core, call.id, verb)?;
                let to = transfer_target(core, &to)?;
                Ok((Job::Transfer { call: call.id, to }, vec![hold]))
            }
            Action::RecordStart {}
            | Action::RecordPause {}
            | Action::RecordResume {}
            | Action::RecordStop {} => {
                let hold = hold(Class::Record)?;
                live(core, call)?;
                steerable(core, call)?;
                floor::unlimited(core, call.id, verb)?;
                audio_is_kept(call, &action)?;
                Ok((recording(core, call.id, &action)?, vec![hold]))
            }
            Action::Whisper { text } => floor::whisper(core, grant, id, call, words(&text)?),
            Action::Say { text } => floor::say(core, grant, call, words(&text)?),
            Action::PauseAgent {} | Action::ResumeAgent {} => {
                let hold = hold(Class::Floor)?;
                floor::pause(core, call, &action, hold)
            }
            Action::TakeOver {} => {
                let holds = vec![hold(Class::Floor)?, hold(Class::Claim)?];
                floor::take_over(core, grant, call, holds)
            }
            Action::HandBack { note } => {
                let note = note.and_then(|note| words(&note).ok());
                let holds = vec![hold(Class::Floor)?, hold(Class::Claim)?];
                floor::hand_back(core, grant, call, note, holds)
            }
            Action::Claim {} => {
                let hold = hold(Class::Claim)?;
                unclaimed(core, grant, call.id)?;
                let claimed = Fact::Claimed {
                    by: grant.user.clone(),
                };
                Ok((say(call.id, vec![claimed], None), vec![hold]))
            }
            Action::Release {} => {
                let hold = hold(Class::Claim)?;
                own(core, grant, call.id)?;
                floor::not_speaking(core, call.id)?;
                let released = Fact::Released {
                    by: grant.user.clone(),
                };
                Ok((say(call.id, vec![released], None), vec![hold]))
            }
            action => Ok((remark(core, grant, call, action)?, Vec::new())),
        }
    }
}

impl Job {
    fn of_the_past(self) -> Self {
        match self {
            Self::Say {
                call: Some(call),
                facts,
                result,
            } => Self::Past {
                call,
                facts,
                result,
            },
            other => other,
        }
    }
}

/// The call a command is about, if it has left the board and the command can still be meant: what
/// is written about a call, its numbers, its export. Read from the journal.
pub(super) async fn past(core: &Core, grant: &Grant, command: &Command) -> Option<Call> {
    let call = command.call?;
    let remarks = matches!(
        command.action,
        Action::Note { .. } | Action::Flag { .. } | Action::Unmask {} | Action::Export { .. }
    );
    let on_board = || core.switchboard.read(|board| board.get(call).is_some());
    if !remarks || !grant.allows(command.action.verb()) || on_board() {
        return None;
    }
    let query = HistoryQuery {
        call: Some(call),
        limit: 1,
        ..HistoryQuery::default()
    };
    let page = core.journal.history(query).await.ok()?;
    let found = page.items.into_iter().find(|found| found.id == call)?;
    let is_seen = grant.sees_lead(found.facts.lead_id.as_deref());
    (is_seen && !found.is_live()).then_some(found)
}

/// Finds the call, if this token may know of it.
fn sight(core: &Core, grant: &Grant, call: Option<CallId>) -> Result<Call, Refusal> {
    let Some(id) = call else {
        return Err(invalid("no call was named", "give the id of a call"));
    };
    let found = core
        .switchboard
        .read(|board| board.get(id).map(|call| call.trimmed(0)));
    found
        .filter(|call| grant.sees_lead(call.facts.lead_id.as_deref()))
        .ok_or_else(|| super::from_post(super::PostError::NoSuchCall))
}

fn still_live(core: &Core, call: CallId) -> bool {
    core.switchboard
        .read(|board| board.get(call).is_some_and(Call::is_live))
}

pub(super) fn live(core: &Core, call: &Call) -> Result<(), Refusal> {
    if still_live(core, call.id) {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::Conflict,
        "the call has ended",
        "nothing can be done to it any more",
    ))
}

/// Whether orders can reach the carrier of this call at all.
fn steerable(core: &Core, call: &Call) -> Result<(), Refusal> {
    if core.carriers.contains_key(call.facts.carrier.as_str()) {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::Unsupported,
        format!("no access to the carrier {}", call.facts.carrier),
        "set its account and key in config.toml",
    ))
}

fn claimant(core: &Core, call: CallId) -> Option<String> {
    core.switchboard
        .read(|board| board.get(call).and_then(|call| call.claimed_by.clone()))
}

pub(super) fn unclaimed(core: &Core, grant: &Grant, call: CallId) -> Result<(), Refusal> {
    match claimant(core, call) {
        Some(by) if by != grant.user => Err(held_by(
            &by,
            format!("{by} has this call"),
            "ask them to release it",
        )),
        _ => Ok(()),
    }
}

fn own(core: &Core, grant: &Grant, call: CallId) -> Result<(), Refusal> {
    match claimant(core, call) {
        None => Err(Refusal::new(
            ErrorCode::Conflict,
            "nobody has this call",
            "claim it first",
        )),
        Some(by) if by != grant.user && grant.role < Role::Admin => Err(held_by(
            &by,
            format!("{by} has this call"),
            "ask them, or an admin, to release it",
        )),
        Some(_) => Ok(()),
    }
}

fn remark(core: &Core, grant: &Grant, call: &Call, action: Action) -> Result<Job, Refusal> {
    let by = grant.user.clone();
    let known = |rule: &str| {
        core.switchboard.read(|board| {
            board
                .get(call.id)
                .is_some_and(|call| call.alerts.iter().any(|alert| alert.rule == rule))
        })
    };
    let no_alert = || {
        Refusal::new(
            ErrorCode::NotFound,
            "there is no such alert on this call",
            "it may have cleared by itself",
        )
    };
    match action {
        Action::Flag { label: text } => {
            let label = label(&text).ok_or_else(empty)?;
            Ok(say(call.id, vec![Fact::Flagged { by, label }], None))
        }
        Action::Note { text } => {
            let text = words(&text)?;
            Ok(say(call.id, vec![Fact::Noted { by, text }], None))
        }
        Action::Acknowledge { rule } if known(&rule) => Ok(say(
            call.id,
            vec![Fact::AlertAcknowledged { rule, by }],
            None,
        )),
        Action::Snooze { rule, minutes } if known(&rule) => {
            if !(1..=SNOOZE_MAX).contains(&minutes) {
                return Err(invalid("that is no time to snooze", "1 to 1440 minutes"));
            }
            let until = core.clock.now() + TimeDelta::minutes(i64::from(minutes));
            let snoozed = Fact::AlertSnoozed { rule, by, until };
            Ok(say(call.id, vec![snoozed], None))
        }
        Action::Acknowledge { .. } | Action::Snooze { .. } => Err(no_alert()),
        Action::Unmask {} => {
            let numbers = json!({"from": call.facts.from, "to": call.facts.to});
            Ok(say(call.id, Vec::new(), Some(numbers)))
        }
        Action::Export { .. } => Ok(say(call.id, Vec::new(), None)),
        other => Err(Refusal::new(
            ErrorCode::Unsupported,
            format!("{} is not known here", other.name()),
            "update the backend",
        )),
    }
}

pub(super) fn say(call: CallId, facts: Vec<Fact>, result: Option<Value>) -> Job {
    Job::Say {
        call: Some(call),
        facts,
        result,
    }
}

fn about_dialling(by: &str, what: &str) -> (Job, Vec<Hold>) {
    let notice = Fact::Notice {
        severity: crate::call::Severity::Warn,
        code: format!("dialling_{what}"),
        text: format!("dialling was {what} by {by}"),
    };
    let job = Job::Say {
        call: None,
        facts: vec![notice],
        result: None,
    };
    (job, Vec::new())
}

/// Number of a person to hand the caller to: a configured name, or a number, or a SIP address.
fn transfer_target(core: &Core, to: &str) -> Result<String, Refusal> {
    let to = label(to).ok_or_else(empty)?;
    let named = core
        .transfers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(&to));
    if let Some((_, number)) = named {
        return Ok(number.clone());
    }
    let address = ["sip:", "client:"]
        .iter()
        .any(|scheme| to.len() > scheme.len() && to.starts_with(scheme));
    if address && !to.contains(char::is_whitespace) {
        return Ok(to);
    }
    e164(&to).ok_or_else(|| {
        let names: Vec<&str> = core.transfers.keys().map(String::as_str).collect();
        let hint = if names.is_empty() {
            "give a number as +14155550134".to_owned()
        } else {
            format!(
                "give a number as +14155550134, or one of: {}",
                names.join(", ")
            )
        };
        invalid("that is no number to transfer to", hint)
    })
}

/// One line of cleaned text; `None` of nothing.
pub(super) fn label(text: &str) -> Option<String> {
    let text = clean_label(text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn words(text: &str) -> Result<String, Refusal> {
    let text = clean(text).trim().to_owned();
    if text.is_empty() {
        return Err(empty());
    }
    Ok(text)
}

fn empty() -> Refusal {
    invalid("there is no text in it", "write something")
}

pub(super) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::Invalid, message, hint)
}

/// Whether a grant may name this lead when it places a call.
pub(super) fn may_name_lead(grant: &Grant, lead: Option<&str>) -> Result<(), Refusal> {
    if grant.sees_lead(lead) {
        return Ok(());
    }
    let mut refusal = Refusal::forbidden(Verb::Dial);
    refusal.message = "this token may not call for that lead".into();
    refusal.hint = "name one of the leads of this token".into();
    Err(refusal)
}
