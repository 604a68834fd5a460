//! What an event means for its call. Pure: the call as it is known, the event, and out come facts.

use crate::call::{
    AgentLink, AnsweredBy, Call, CallFacts, CallStatus, Direction, Fact, Line, LineBody, Source,
    Track,
};
use crate::providers::elevenlabs::{
    CallResult, ConversationEvent, EventKind, PostCall, Speaker, VENDOR,
};
use crate::providers::vendor::registry::owner_of;

/// Lines compared when a transcript is filled up.
const COMPARED_MAX: usize = 5_000;

/// What is known beside the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub call: &'a Call,
    /// Nobody had heard of this call before.
    pub fresh: bool,
    /// Its audio passes through a bridge of ours, which hears every word itself.
    pub bridged: bool,
    /// The carrier can be asked, so that its word and not the vendor's ends the call.
    pub carrier_is_ours: bool,
}

/// Who the call of an event is, where nobody has seen it yet. `key` stands in for an id the event
/// does not have; `lead` is whose it is, as far as that is known.
pub(super) fn about(event: &ConversationEvent, key: &str, lead: Option<String>) -> CallFacts {
    let (carrier, carrier_call_id) = match &event.call_sid {
        Some(sid) => (owner_of(sid).unwrap_or(VENDOR), sid.clone()),
        None => (VENDOR, key.to_owned()),
    };
    let direction = match event.clues.outbound {
        Some(true) => Direction::Outbound,
        _ => Direction::Inbound,
    };
    let other = event.clues.phone.clone().unwrap_or_default();
    let (from, to) = match direction {
        Direction::Inbound => (other, String::new()),
        Direction::Outbound => (String::new(), other),
    };
    CallFacts {
        carrier: carrier.to_owned(),
        carrier_call_id: Some(carrier_call_id),
        direction,
        from,
        to,
        name: event.clues.name.clone(),
        lead_id: lead,
        agent_kind: Some(VENDOR.to_owned()),
        observed: true,
        ..CallFacts::default()
    }
}

/// What the event adds to who the call is; `None` when it adds nothing.
pub(super) fn described(
    event: &ConversationEvent,
    scene: Scene<'_>,
    lead: Option<String>,
) -> Option<Fact> {
    let known = &scene.call.facts;
    let mut news = CallFacts {
        direction: known.direction,
        observed: !scene.bridged && !known.observed,
        ..CallFacts::default()
    };
    let nothing = CallFacts {
        observed: false,
        ..news.clone()
    };
    // What is known already is stronger than what an event says.
    if known.lead_id.is_none() {
        news.lead_id = lead;
    }
    if known.name.is_none() {
        news.name.clone_from(&event.clues.name);
    }
    if known.agent_kind.is_none() {
        news.agent_kind = Some(VENDOR.to_owned());
    }
    if scene.call.caller_number().is_empty() {
        let other = event.clues.phone.clone().unwrap_or_default();
        match known.direction {
            Direction::Inbound => news.from = other,
            Direction::Outbound => news.to = other,
        }
    }
    if let Some(sid) = &event.call_sid {
        let has_own = known.carrier != VENDOR && known.carrier_call_id.is_some();
        if !has_own && known.carrier_call_id.as_ref() != Some(sid) {
            news.carrier_call_id = Some(sid.clone());
            if let Some(carrier) = owner_of(sid) {
                carrier.clone_into(&mut news.carrier);
            }
        }
    }
    if let EventKind::PostCall(told) = &event.kind {
        if known.agent.is_none() {
            news.agent.clone_from(&told.agent_name);
        }
        let ours = match known.direction {
            Direction::Inbound => &mut news.to,
            Direction::Outbound => &mut news.from,
        };
        let unknown = match known.direction {
            Direction::Inbound => known.to.is_empty(),
            Direction::Outbound => known.from.is_empty(),
        };
        if unknown {
            *ours = told.agent_number.clone().unwrap_or_default();
        }
    }
    (news != nothing).then_some(Fact::CallDescribed { facts: news })
}

/// What happened.
pub(super) fn facts(event: &ConversationEvent, scene: Scene<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(id) = &event.conversation_id {
        if scene.call.conversation_id.as_ref() != Some(id) {
            facts.push(Fact::ConversationMapped {
                conversation_id: id.clone(),
            });
        }
    }
    match &event.kind {
        EventKind::PostCall(told) => return after(facts, event, told, scene),
        EventKind::NotInitiated { result, reason } => {
            if scene.call.is_live() {
                facts.push(ended(status_of(*result), Some(reason.clone()), None));
            }
            return facts;
        }
        EventKind::Machine { answered_by } => {
            let verdict = answered_by.as_deref().map(AnsweredBy::parse);
            facts.extend(verdict.map(|verdict| Fact::AnsweredBy {
                verdict,
                took_ms: None,
            }));
            return facts;
        }
        // A bridge of ours hears it all, and sooner.
        _ if scene.bridged => return facts,
        _ => {}
    }
    match &event.kind {
        EventKind::Started { ringing: true } => facts.extend(ringing(scene)),
        EventKind::Started { ringing: false } => begin(&mut facts, event, scene),
        EventKind::Ended {
            reason,
            duration_ms,
        } => end(&mut facts, event, reason.as_deref(), *duration_ms, scene),
        EventKind::Said { who, text, partial } => {
            begin(&mut facts, event, scene);
            facts.push(said(event.event_id, *who, text, *partial, scene.call));
        }
        EventKind::Corrected {
            original,
            corrected,
        } => facts.extend(truncated(
            event.event_id,
            original.as_deref(),
            corrected,
            scene.call,
        )),
        EventKind::Interrupted { kind } => {
            begin(&mut facts, event, scene);
            facts.push(Fact::BargedIn {
                turn: last_turn(scene.call, Track::FromAgent),
                reaction_ms: None,
                dropped_ms: 0,
                kind: kind.clone(),
            });
        }
        EventKind::Silent { duration_ms } => facts.push(Fact::SilenceNoted {
            duration_ms: *duration_ms,
        }),
        EventKind::ToolCalled { id, name, args } => {
            begin(&mut facts, event, scene);
            facts.push(Fact::ToolCalled {
                turn: last_turn(scene.call, Track::FromAgent),
                tool_call_id: id.clone(),
                name: name.clone(),
                args: args.clone(),
            });
        }
        EventKind::ToolReturned {
            id,
            name,
            ok,
            result,
        } => facts.extend(tool_returned(scene.call, id, name, *ok, result)),
        _ => {}
    }
    facts
}

fn ringing(scene: Scene<'_>) -> Option<Fact> {
    (scene.call.is_live() && !scene.fresh).then_some(Fact::StatusChanged {
        status: CallStatus::Ringing,
        source: Source::Webhook,
    })
}

/// The conversation is under way: said once, by whatever event shows it first.
fn begin(facts: &mut Vec<Fact>, event: &ConversationEvent, scene: Scene<'_>) {
    let call = scene.call;
    if !call.is_live() || call.agent_link == AgentLink::Connected {
        return;
    }
    if call.status != CallStatus::InProgress {
        facts.push(Fact::StatusChanged {
            status: CallStatus::InProgress,
            source: Source::Webhook,
        });
    }
    let id = event.conversation_id.as_ref();
    if let Some(id) = id.or(call.conversation_id.as_ref()) {
        facts.retain(|fact| !matches!(fact, Fact::ConversationMapped { .. }));
        facts.push(Fact::ConversationStarted {
            conversation_id: id.clone(),
        });
    }
    facts.push(link(AgentLink::Connected));
}

fn link(link: AgentLink) -> Fact {
    Fact::AgentLinkChanged {
        link,
        reason: None,
        attempt: None,
    }
}

fn end(
    facts: &mut Vec<Fact>,
    event: &ConversationEvent,
    reason: Option<&str>,
    duration_ms: Option<u64>,
    scene: Scene<'_>,
) {
    let call = scene.call;
    let talks = call.agent_link == AgentLink::Connected;
    if talks || scene.fresh {
        let id = event.conversation_id.as_ref();
        facts.push(Fact::ConversationEnded {
            conversation_id: id
                .or(call.conversation_id.as_ref())
                .cloned()
                .unwrap_or_default(),
            reason: reason.unwrap_or("ended").to_owned(),
            duration_ms,
        });
    }
    if talks {
        facts.push(link(AgentLink::None));
    }
    if call.is_live() && !scene.carrier_is_ours {
        let seconds = duration_ms.and_then(|ms| u32::try_from(ms / 1000).ok());
        facts.push(ended(
            CallStatus::Completed,
            reason.map(str::to_owned),
            seconds,
        ));
    }
}

fn ended(status: CallStatus, cause: Option<String>, duration_s: Option<u32>) -> Fact {
    Fact::CallEnded {
        status,
        ended_by: None,
        cause,
        duration_s,
        source: Source::Webhook,
    }
}

fn status_of(result: CallResult) -> CallStatus {
    match result {
        CallResult::Completed => CallStatus::Completed,
        CallResult::Busy => CallStatus::Busy,
        CallResult::NoAnswer => CallStatus::NoAnswer,
        CallResult::Failed => CallStatus::Failed,
    }
}

fn track_of(who: Speaker) -> Track {
    match who {
        Speaker::User => Track::FromCaller,
        Speaker::Agent => Track::FromAgent,
    }
}

/// Speech of one track, newest first: turn, text, whether it may still change.
fn speech(call: &Call, wanted: Track) -> impl Iterator<Item = (u32, &str, bool)> {
    call.lines
        .iter()
        .rev()
        .filter_map(move |line| match &line.body {
            LineBody::Speech {
                track,
                text,
                interim,
                ..
            } if *track == wanted => Some((line.turn, text.as_str(), *interim)),
            _ => None,
        })
}

fn last_turn(call: &Call, track: Track) -> u32 {
    speech(call, track).next().map_or(0, |(turn, ..)| turn)
}

fn next_turn(call: &Call) -> u32 {
    let last = call.lines.iter().map(|line: &Line| line.turn).max();
    last.map_or(1, |turn| turn.saturating_add(1))
}

/// The turn of an utterance: the vendor's own number, the one still open, or the next. A number that
/// is taken by other words is not used again, so that nothing said is ever overwritten.
fn turn_of(event_id: Option<u32>, track: Track, text: &str, call: &Call) -> u32 {
    if let Some(id) = event_id {
        let taken = speech(call, track)
            .any(|(turn, known, interim)| turn == id && !interim && known != text);
        if !taken {
            return id;
        }
    }
    match speech(call, track).next() {
        // Words that go on are the same line, whatever number they had to take.
        Some((turn, open, true)) if event_id.is_none() || text.starts_with(open) => turn,
        _ => next_turn(call),
    }
}

fn said(event_id: Option<u32>, who: Speaker, text: &str, partial: bool, call: &Call) -> Fact {
    let track = track_of(who);
    let turn = turn_of(event_id, track, text, call);
    let text = text.to_owned();
    if partial {
        Fact::UtteranceInterim { turn, track, text }
    } else {
        Fact::UtteranceFinal {
            turn,
            track,
            text,
            latency_ms: None,
        }
    }
}

fn truncated(
    event_id: Option<u32>,
    original: Option<&str>,
    corrected: &str,
    call: &Call,
) -> Option<Fact> {
    let by_number = speech(call, Track::FromAgent).find(|(turn, ..)| Some(*turn) == event_id);
    let by_text = || speech(call, Track::FromAgent).find(|(_, text, _)| Some(*text) == original);
    let (turn, ..) = by_number.or_else(by_text)?;
    Some(Fact::UtteranceTruncated {
        turn,
        track: Track::FromAgent,
        heard: corrected.to_owned(),
        cut_at_ms: 0,
        by: None,
    })
}

/// A tool the vendor ran itself is told of only when it is done.
fn tool_returned(call: &Call, id: &str, name: &str, ok: bool, result: &str) -> Vec<Fact> {
    let known = call.lines.iter().any(
        |line| matches!(&line.body, LineBody::Tool { tool_call_id, .. } if tool_call_id == id),
    );
    let mut facts = Vec::new();
    if !known {
        facts.push(Fact::ToolCalled {
            turn: last_turn(call, Track::FromAgent),
            tool_call_id: id.to_owned(),
            name: name.to_owned(),
            args: String::new(),
        });
    }
    facts.push(Fact::ToolReturned {
        tool_call_id: id.to_owned(),
        ok,
        result: result.to_owned(),
        took_ms: None,
    });
    facts
}

/// The vendor's record of the call: fills what is missing, and repeats nothing.
fn after(
    mut facts: Vec<Fact>,
    event: &ConversationEvent,
    told: &PostCall,
    scene: Scene<'_>,
) -> Vec<Fact> {
    let call = scene.call;
    if !scene.bridged {
        facts.extend(missing_lines(told, call));
    }
    if told.voicemail && call.answered_by.is_none() {
        facts.push(Fact::AnsweredBy {
            verdict: AnsweredBy::MachineEndOther,
            took_ms: None,
        });
    }
    if told.over && !scene.bridged {
        let duration_ms = told.duration_s.map(|seconds| u64::from(seconds) * 1000);
        let ended_before = facts.len();
        end(
            &mut facts,
            event,
            told.reason.as_deref(),
            duration_ms,
            scene,
        );
        if let (Some(result), Some(fact)) = (told.result, facts.get_mut(ended_before..)) {
            for fact in fact {
                if let Fact::CallEnded { status, .. } = fact {
                    *status = status_of(result);
                }
            }
        }
        if !call.is_live() && (call.duration_s.is_none() || call.end_cause.is_none()) {
            facts.push(ended(call.status, told.reason.clone(), told.duration_s));
        }
    }
    if let Some(usd) = told.cost_usd {
        if call.cost_usd != Some(usd) {
            facts.push(Fact::Costed {
                usd,
                source: VENDOR.to_owned(),
            });
        }
    }
    let known = call.analysis.as_ref();
    let same = known.is_some_and(|known| {
        known.summary == told.summary
            && known.sentiment == told.sentiment
            && known.topics == told.topics
    });
    if told.analysed && !same {
        facts.push(Fact::ConversationAnalysed {
            summary: told.summary.clone(),
            sentiment: told.sentiment.clone(),
            topics: told.topics.clone(),
        });
    }
    facts
}

/// Lines of the record nobody has told of, each after what is there. Compared by what was said, in
/// order; a line that came twice needs two in the record.
fn missing_lines(told: &PostCall, call: &Call) -> Vec<Fact> {
    let mut known: Vec<(Track, &str)> = call
        .lines
        .iter()
        .rev()
        .take(COMPARED_MAX)
        .filter_map(|line| match &line.body {
            LineBody::Speech { track, text, .. } => Some((*track, text.trim())),
            _ => None,
        })
        .collect();
    let mut turn = next_turn(call);
    let mut facts = Vec::new();
    for line in &told.lines {
        let track = track_of(line.who);
        let text = crate::call::text::clean(&line.text);
        let same = known
            .iter()
            .rposition(|known| *known == (track, text.trim()));
        if let Some(at) = same {
            known.remove(at);
            continue;
        }
        facts.push(Fact::UtteranceFinal {
            turn,
            track,
            text: line.text.clone(),
            latency_ms: line.latency_ms,
        });
        if let Some(latency_ms) = line.latency_ms {
            let timing = crate::call::TurnTiming {
                turn,
                latency_ms,
                ..crate::call::TurnTiming::default()
            };
            facts.push(Fact::TurnTimed { timing });
        }
        turn = turn.saturating_add(1);
    }
    facts
}
