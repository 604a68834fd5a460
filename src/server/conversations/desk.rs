//! Which call an event belongs to, and putting it there. The board is the map from conversations to
//! calls to leads: it is journalled, so it survives a restart, and it forgets ended calls after their
//! grace; what comes later still is looked up in the journal.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::call::{
    Call, CallId, CallStatus, Fact, Grant, LeadKey, MediaLink, Source as Word, apart_key,
};
use crate::engine::{Core, HistoryQuery, PostError, Target};
use crate::providers::elevenlabs::{Clues, ConversationEvent, EventKind, VENDOR, normal_number};
use crate::providers::vendor::registry::CARRIER_NAMES;

use super::facts::{Scene, about, described, facts};
use super::sources::{Source, Sources};

/// Phones tied to a lead by those who look at it; the oldest goes first.
const PHONES_MAX: usize = 10_000;
/// Lines of a call an event is compared with; a record of the whole call is compared with all.
const LINES: usize = 64;

/// How long the lists of leads may be asked for a phone.
const LOOK_WITHIN: Duration = Duration::from_millis(300);

/// What became of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub call: Option<CallId>,
    pub lead: Option<String>,
    /// The conversation was tied to its call by this event.
    pub mapped: bool,
    pub fate: Fate,
}

/// Where an event went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// Onto the call of its conversation.
    #[default]
    Kept,
    /// The other live source of the conversation has told this.
    ToldBefore,
    /// Onto a call of its own that is no lead's, because it names another lead than its
    /// conversation's.
    Apart,
}

/// Relates events to calls, one at a time, so that two of one conversation never both think they
/// are the first.
#[derive(Debug, Default)]
pub(in crate::server) struct Conversations {
    order: tokio::sync::Mutex<()>,
    phones: Mutex<Phones>,
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Phones {
    leads: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Conversations {
    /// Ties a phone to a lead, where whoever says so may: a token scoped to some leads must not draw
    /// a stranger's conversation into its sight.
    pub(in crate::server) fn tie(&self, core: &Core, grant: &Grant, phone: &str, lead: &str) {
        let Some(phone) = normal_number(phone) else {
            return;
        };
        let is_its_own = || {
            core.switchboard.read(|board| {
                board.calls().any(|call| {
                    call.facts.lead_id.as_deref() == Some(lead)
                        && normal_number(call.caller_number()).as_ref() == Some(&phone)
                })
            })
        };
        if grant.leads.is_some() && !is_its_own() {
            return;
        }
        let mut phones = self.lock();
        if phones
            .leads
            .insert(phone.clone(), lead.to_owned())
            .is_none()
        {
            phones.order.push_back(phone);
        }
        if phones.order.len() > PHONES_MAX {
            if let Some(oldest) = phones.order.pop_front() {
                phones.leads.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phones> {
        self.phones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event on its call and returns once everybody can see it, not once it is on disk.
    ///
    /// # Errors
    /// The switchboard takes nothing more.
    pub(super) async fn take(
        &self,
        core: &Core,
        source: Source,
        event: &ConversationEvent,
    ) -> Result<Taken, PostError> {
        let _one_at_a_time = self.order.lock().await;
        let key = key_of(event);
        if let Some(call) = self.find(core, event, &key).await {
            if let Some(other) = other_lead(event, &call) {
                return set_apart(core, event, &key, other).await;
            }
            if self.sources().has_told(call.id, source, event) {
                return Ok(Taken {
                    call: Some(call.id),
                    lead: call.facts.lead_id,
                    fate: Fate::ToldBefore,
                    ..Taken::default()
                });
            }
            let lead = self.lead(core, event, Some(&call)).await;
            return known(core, event, &call, lead).await;
        }
        let lead = self.lead(core, event, None).await;
        fresh(core, event, &key, lead).await
    }

    /// From now on a socket tells of this call, too.
    pub(super) async fn two_sources(&self, core: &Core, call: CallId) {
        // No event may come between looking at the call and taking note of what is on it.
        let _one_at_a_time = self.order.lock().await;
        let call = core.switchboard.read(|board| board.get(call).cloned());
        if let Some(call) = call {
            self.sources().open(&call);
        }
    }

    pub(super) fn sources(&self) -> std::sync::MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, core: &Core, event: &ConversationEvent, key: &str) -> Option<Call> {
        let lines = match event.kind {
            EventKind::PostCall(_) => usize::MAX,
            _ => LINES,
        };
        let named = [
            event.conversation_id.as_deref(),
            event.call_sid.as_deref(),
            event.clues.temp_id.as_deref(),
            Some(key),
        ];
        let on_board = core.switchboard.read(|board| {
            let named = named.into_iter().flatten().find_map(|key| board.find(key));
            let found = named.or_else(|| {
                let mut waiting = board.live().filter(|call| awaits(call, event));
                let only = waiting.next()?;
                waiting.next().is_none().then_some(only)
            });
            found.map(|call| call.trimmed(lines))
        });
        match on_board {
            Some(call) => Some(call),
            None => past(core, event).await,
        }
    }

    /// Whose conversation it is: what is known, then what the event says, then who is known to be
    /// at that phone.
    async fn lead(
        &self,
        core: &Core,
        event: &ConversationEvent,
        call: Option<&Call>,
    ) -> Option<String> {
        let known = call.and_then(|call| call.facts.lead_id.clone());
        if let Some(lead) = known.or_else(|| event.clues.lead_id.clone()) {
            return Some(lead);
        }
        let phone = event.clues.phone.clone();
        let phone = phone.or_else(|| normal_number(call?.caller_number()))?;
        self.whose(core, &phone).await
    }

    /// The lead at a phone: tied to it by whoever looks at it, in a call with it now, or on a list.
    pub(in crate::server) async fn whose(&self, core: &Core, phone: &str) -> Option<String> {
        let phone = normal_number(phone)?;
        let tied = self.lock().leads.get(&phone).cloned();
        if let Some(lead) = tied.or_else(|| at_phone(core, &phone)) {
            return Some(lead);
        }
        let look = core.journal.lead(LeadKey::Number(phone));
        match tokio::time::timeout(LOOK_WITHIN, look).await {
            Ok(Ok(found)) => found.map(|lead| lead.id),
            // Told later by whatever event knows; nothing waits for a slow disk.
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

/// The call of an event that has left the board.
async fn past(core: &Core, event: &ConversationEvent) -> Option<Call> {
    let mut id = None;
    if let Some(conversation) = &event.conversation_id {
        id = core.journal.conversation_call(conversation.clone()).await;
    }
    for carrier in CARRIER_NAMES {
        if let (None, Some(sid)) = (id, &event.call_sid) {
            id = core
                .journal
                .ended_call(carrier.to_owned(), sid.clone())
                .await;
        }
    }
    let query = HistoryQuery {
        call: Some(id?),
        limit: 1,
        ..HistoryQuery::default()
    };
    let page = core.journal.history(query).await.ok()?;
    page.items.into_iter().next()
}

/// The lead of a live call with that phone.
fn at_phone(core: &Core, phone: &str) -> Option<String> {
    core.switchboard.read(|board| {
        let mut there = board
            .live()
            .filter(|call| normal_number(call.caller_number()).as_deref() == Some(phone))
            .filter_map(|call| call.facts.lead_id.clone());
        there.next()
    })
}

/// Stands in for the conversation's id where the event has none: nothing is dropped for want of one.
fn key_of(event: &ConversationEvent) -> String {
    let clues = &event.clues;
    event
        .conversation_id
        .clone()
        .or_else(|| event.call_sid.clone())
        .or_else(|| clues.temp_id.clone())
        .or_else(|| clues.lead_id.as_ref().map(|lead| format!("lead-{lead}")))
        .or_else(|| clues.phone.as_ref().map(|phone| format!("phone-{phone}")))
        .unwrap_or_else(|| "unnamed".to_owned())
}

/// A live call with that phone that has no conversation yet and no audio here: this is its.
fn awaits(call: &Call, event: &ConversationEvent) -> bool {
    call.conversation_id.is_none()
        && call.media_link == MediaLink::None
        && call.stream_id.is_none()
        && event.conversation_id.is_some()
        && (event.call_sid.is_none() || call.facts.carrier_call_id.is_none())
        && event.clues.phone.is_some()
        && normal_number(call.caller_number()) == event.clues.phone
}

/// The lead an event names, where its conversation is another lead's.
fn other_lead<'a>(event: &'a ConversationEvent, call: &Call) -> Option<&'a str> {
    let named = event.clues.lead_id.as_deref()?;
    let known = call.facts.lead_id.as_deref()?;
    (event.clues.is_named && named != known).then_some(named)
}

/// Nobody can tell which of the two leads is right, and whoever sees one of them must not read words
/// of the other: what such an event says goes to a call of its own, which is no lead's and which only
/// tokens see that see every lead. Nothing of it is lost.
async fn set_apart(
    core: &Core,
    event: &ConversationEvent,
    key: &str,
    other: &str,
) -> Result<Taken, PostError> {
    let place = apart_key(key, other);
    let event = ConversationEvent {
        conversation_id: None,
        call_sid: None,
        clues: Clues::default(),
        ..event.clone()
    };
    let on_board = core
        .switchboard
        .read(|board| board.find(&place).map(|call| call.trimmed(LINES)));
    let call = match on_board {
        Some(call) => Some(call),
        None => match core
            .journal
            .ended_call(VENDOR.to_owned(), place.clone())
            .await
        {
            Some(id) => core.call_ever(id).await,
            None => None,
        },
    };
    let taken = if let Some(call) = call {
        known(core, &event, &call, None).await?
    } else {
        let taken = fresh(core, &event, &place, None).await?;
        if let Some(call) = taken.call {
            let news = apart_news(key, other);
            core.switchboard.post(Target::Past(call), news).await?;
        }
        taken
    };
    Ok(Taken {
        lead: None,
        mapped: false,
        fate: Fate::Apart,
        ..taken
    })
}

/// Why there is such a call, and that it is over: nobody is on this line, it is a place for words.
fn apart_news(key: &str, other: &str) -> Vec<Fact> {
    let why = Fact::TroubleNoted {
        code: "other_lead".into(),
        message: format!("{key} is another lead's conversation; what names {other} is kept here"),
    };
    let over = Fact::CallEnded {
        status: CallStatus::Completed,
        ended_by: None,
        cause: Some("kept apart: its events name another lead".into()),
        duration_s: None,
        source: Word::Webhook,
    };
    vec![why, over]
}

async fn known(
    core: &Core,
    event: &ConversationEvent,
    call: &Call,
    lead: Option<String>,
) -> Result<Taken, PostError> {
    let bridged = !call.facts.observed
        && (call.stream_id.is_some()
            || call.media_link != MediaLink::None
            || call.conversation_id.is_some()
            || core.bridges.calls().contains(&call.id));
    let scene = Scene {
        call,
        fresh: false,
        bridged,
        carrier_is_ours: asks_carrier(core, call, event),
    };
    let mut news: Vec<_> = described(event, scene, lead.clone()).into_iter().collect();
    news.extend(facts(event, scene));
    let mapped = call.conversation_id.is_none() && event.conversation_id.is_some();
    if !news.is_empty() {
        core.switchboard.post(Target::Past(call.id), news).await?;
    }
    Ok(Taken {
        call: Some(call.id),
        lead,
        mapped,
        fate: Fate::Kept,
    })
}

/// The end of a call is its carrier's to tell, where we may ask it.
fn asks_carrier(core: &Core, call: &Call, event: &ConversationEvent) -> bool {
    let ends = matches!(event.kind, EventKind::Ended { .. } | EventKind::PostCall(_));
    ends && call.is_live() && core.ask_carrier(call.id)
}

async fn fresh(
    core: &Core,
    event: &ConversationEvent,
    key: &str,
    lead: Option<String>,
) -> Result<Taken, PostError> {
    let about = about(event, key, lead.clone());
    let status = match event.kind {
        EventKind::Started { ringing: true } | EventKind::NotInitiated { .. } => {
            CallStatus::Ringing
        }
        _ => CallStatus::InProgress,
    };
    // Only to judge by: the switchboard mints the call's own id.
    let sketch = Call::new(
        core.clock.call_id(),
        about.clone(),
        status,
        core.clock.now(),
    );
    let scene = Scene {
        call: &sketch,
        fresh: true,
        bridged: false,
        carrier_is_ours: false,
    };
    let news = facts(event, scene);
    let target = Target::Carrier {
        facts: about,
        status,
        started_at: None,
    };
    let posted = core.switchboard.post(target, news).await?;
    Ok(Taken {
        call: posted.call,
        lead,
        mapped: event.conversation_id.is_some(),
        fate: Fate::Kept,
    })
}
