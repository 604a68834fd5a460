//! How one call takes in one fact. The board, the journal and every screen fold through here, so
//! that they cannot disagree.

use chrono::{DateTime, Utc};

use super::{
    ActionState, Analysis, Call, CallEvent, CallStatus, CommandId, Cut, Envelope, Fact, Line,
    LineBody, Listener, MediaLink, Note, OperatorAction, PastAlert, RecordingState, StatusStep,
    Track, Transfer, Trouble, state,
};

impl Call {
    /// The call a [`Fact::CallSeen`] opens; `None` of any other fact.
    pub fn seen(envelope: &Envelope) -> Option<Self> {
        let (
            Some(id),
            CallEvent::Known(Fact::CallSeen {
                facts,
                status,
                started_at,
            }),
        ) = (envelope.call, &envelope.event)
        else {
            return None;
        };
        let began = started_at.unwrap_or(envelope.at);
        let mut call = Self::new(id, facts.clone(), *status, began);
        if *status == CallStatus::InProgress {
            call.answered_at = Some(began);
        }
        Some(call)
    }

    /// Takes one fact in. Never panics, whatever the order of facts; unknown ones change nothing
    /// but `seq` and `updated_at`.
    pub fn take(&mut self, envelope: &Envelope) {
        self.seq = envelope.seq;
        self.updated_at = envelope.at;
        if let CallEvent::Known(fact) = &envelope.event {
            fold_call(self, envelope.at, fact);
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one flat match over the facts")]
fn fold_call(call: &mut Call, at: DateTime<Utc>, fact: &Fact) {
    match fact {
        Fact::CallSeen { .. }
        | Fact::StatusIgnored { .. }
        | Fact::LeadMessaged { .. }
        | Fact::Notice { .. } => {}
        Fact::CallDescribed { facts } => call.facts.take(facts),
        Fact::StatusChanged { status, .. } => move_to(call, *status, at),
        Fact::AnsweredBy { verdict, .. } => call.answered_by = Some(*verdict),
        Fact::StreamStarted { stream_id } => {
            call.stream_id = Some(stream_id.clone());
            call.media_link = MediaLink::Up;
            call.facts.observed = false;
        }
        Fact::StreamStopped { stream_id, .. } => {
            // A stream that was replaced stops late; only the present one counts.
            if call.stream_id.as_deref() == Some(stream_id) {
                call.stream_id = None;
                call.media_link = MediaLink::None;
            }
        }
        Fact::MediaLinkChanged { link, .. } => call.media_link = *link,
        Fact::AgentLinkChanged { link, reason, .. } => {
            call.agent_link = *link;
            call.agent_link_reason.clone_from(reason);
        }
        Fact::ConversationStarted { conversation_id }
        | Fact::ConversationMapped { conversation_id } => {
            call.conversation_id = Some(conversation_id.clone());
        }
        Fact::ConversationEnded { .. } | Fact::SilenceNoted { .. } => {}
        Fact::UtteranceInterim { turn, track, text } => {
            speak(call, at, *turn, *track, text, Finality::Interim);
        }
        Fact::UtteranceFinal {
            turn,
            track,
            text,
            latency_ms,
        } => {
            speak(call, at, *turn, *track, text, Finality::Final(*latency_ms));
        }
        Fact::UtteranceTruncated {
            turn,
            track,
            heard,
            cut_at_ms,
            by,
        } => {
            if let Some(LineBody::Speech { cut, interim, .. }) = speech_mut(call, *turn, *track) {
                *cut = Some(Cut {
                    heard: heard.clone(),
                    cut_at_ms: *cut_at_ms,
                    by: *by,
                });
                *interim = false;
            }
        }
        Fact::ToolCalled {
            turn,
            tool_call_id,
            name,
            args,
        } => push_line(
            call,
            Line {
                turn: *turn,
                at,
                body: LineBody::Tool {
                    tool_call_id: tool_call_id.clone(),
                    name: name.clone(),
                    args: args.clone(),
                    ok: None,
                    result: String::new(),
                    took_ms: None,
                },
            },
        ),
        Fact::ToolReturned {
            tool_call_id,
            ok,
            result,
            took_ms,
        } => {
            finish_tool(call, tool_call_id, *ok, result, *took_ms);
        }
        Fact::BargedIn { .. } => call.interruptions += 1,
        Fact::TurnTimed { timing } => {
            if call.turns.len() == state::TURNS_MAX {
                call.turns.remove(0);
            }
            call.turns.push(*timing);
            if let Some(LineBody::Speech { latency_ms, .. }) =
                speech_mut(call, timing.turn, Track::FromAgent)
            {
                *latency_ms = Some(timing.latency_ms);
            }
        }
        Fact::QualityChanged { quality } => {
            if quality.source == "bridge" {
                call.quality = Some(quality.clone());
            } else {
                call.carrier_quality = Some(quality.clone());
            }
        }
        Fact::RecordingChanged { recording } => {
            match call
                .recordings
                .iter_mut()
                .find(|known| known.id == recording.id)
            {
                // Late news: what was said since stands.
                Some(known) if is_behind(recording.state, known.state) => {}
                Some(known) => {
                    let (url, duration_s) = (known.url.take(), known.duration_s);
                    *known = recording.clone();
                    known.url = known.url.take().or(url);
                    known.duration_s = known.duration_s.or(duration_s);
                }
                None => call.recordings.push(recording.clone()),
            }
        }
        Fact::Dtmf { digit } => mark(call, at, format!("key {digit}"), None),
        Fact::Whispered { command, by, text } => {
            mark(call, at, format!("{by} whispers: {text}"), Some(*command));
        }
        Fact::TakenOver { by } => {
            call.held_by = Some(by.clone());
            call.held_since = Some(at);
            mark(call, at, format!("{by} has taken over"), None);
        }
        Fact::HandedBack { by, .. } => {
            call.held_by = None;
            call.held_since = None;
            mark(call, at, format!("back to the agent ({by})"), None);
        }
        Fact::LimitsKnown { limits } => call.limits.clone_from(limits),
        Fact::AlertRaised { alert } => {
            match call
                .alerts
                .iter_mut()
                .find(|known| known.rule == alert.rule)
            {
                Some(known) => {
                    let (acknowledged_by, snoozed_until) =
                        (known.acknowledged_by.take(), known.snoozed_until);
                    *known = alert.clone();
                    known.acknowledged_by = known.acknowledged_by.take().or(acknowledged_by);
                    known.snoozed_until = known.snoozed_until.or(snoozed_until);
                }
                None => call.alerts.push(alert.clone()),
            }
        }
        Fact::AlertCleared { rule } => clear_alerts(call, at, Some(rule)),
        Fact::AlertAcknowledged { rule, by } => {
            for alert in call.alerts.iter_mut().filter(|alert| alert.rule == *rule) {
                alert.acknowledged_by = Some(by.clone());
            }
        }
        Fact::AlertSnoozed { rule, until, .. } => {
            for alert in call.alerts.iter_mut().filter(|alert| alert.rule == *rule) {
                alert.snoozed_until = Some(*until);
            }
        }
        Fact::CommandAccepted {
            command, verb, by, ..
        } => {
            if call.actions.len() == state::ACTIONS_MAX {
                call.actions.remove(0);
            }
            call.actions.push(OperatorAction {
                command: *command,
                verb: verb.clone(),
                by: by.clone(),
                at,
                state: ActionState::Accepted,
                message: None,
            });
        }
        Fact::CommandDone { command, .. } => settle(call, *command, ActionState::Done, None),
        Fact::CommandFailed {
            command, message, ..
        } => {
            settle(call, *command, ActionState::Failed, Some(message.clone()));
        }
        Fact::CommandUnconfirmed { command, .. } => {
            settle(call, *command, ActionState::Unconfirmed, None);
        }
        Fact::ListenerJoined { listener, by } => {
            if !call
                .listeners
                .iter()
                .any(|known| known.listener == *listener)
            {
                call.listeners.push(Listener {
                    listener: listener.clone(),
                    by: by.clone(),
                });
            }
        }
        Fact::ListenerLeft { listener, .. } => {
            call.listeners.retain(|known| known.listener != *listener);
        }
        Fact::Noted { by, text } => {
            call.notes.push(Note {
                at,
                by: by.clone(),
                text: text.clone(),
            });
        }
        Fact::Flagged { label, .. } => {
            if !call.flags.contains(label) {
                call.flags.push(label.clone());
            }
        }
        Fact::Claimed { by } => call.claimed_by = Some(by.clone()),
        Fact::Released { .. } => call.claimed_by = None,
        Fact::Transferred { to, state, reason } => {
            // Later news of the same transfer does not repeat why it was asked for.
            let why = call.transfer.take().filter(|known| known.to == *to);
            call.transfer = Some(Transfer {
                to: to.clone(),
                state: state.clone(),
                reason: reason.clone().or(why.and_then(|known| known.reason)),
            });
        }
        Fact::ConversationAnalysed {
            summary,
            sentiment,
            topics,
        } => {
            call.analysis = Some(Analysis {
                summary: summary.clone(),
                sentiment: sentiment.clone(),
                topics: topics.clone(),
            });
        }
        Fact::Costed { usd, source } => {
            call.cost_usd = Some(*usd);
            call.cost_source = Some(source.clone());
        }
        Fact::TroubleNoted { code, message } => {
            if call.troubles.len() == state::TROUBLES_MAX {
                call.troubles.remove(0);
            }
            call.troubles.push(Trouble {
                at,
                code: code.clone(),
                message: message.clone(),
            });
        }
        Fact::CallSummarised { summary } => call.summary = Some(summary.clone()),
        Fact::CallEnded {
            status,
            ended_by,
            cause,
            duration_s,
            ..
        } => {
            move_to(call, *status, at);
            call.ended_by = ended_by.clone().or(call.ended_by.take());
            call.end_cause = cause.clone().or(call.end_cause.take());
            call.duration_s = duration_s.or(call.duration_s);
        }
    }
}

fn move_to(call: &mut Call, next: CallStatus, at: DateTime<Utc>) {
    if call.status.step(next) != StatusStep::Forward {
        return;
    }
    call.status = next;
    // Wall clocks jump; a call's own times never run backwards.
    let at = at.max(call.started_at);
    if next == CallStatus::InProgress {
        call.answered_at = Some(at);
    }
    if next.is_terminal() {
        call.ended_at = Some(at.max(call.answered_at.unwrap_or(at)));
        call.media_link = MediaLink::None;
        call.listeners.clear();
        call.held_by = None;
        call.held_since = None;
        clear_alerts(call, at, None);
        for line in &mut call.lines {
            if let LineBody::Speech { interim, .. } = &mut line.body {
                *interim = false;
            }
        }
    }
}

/// Moves alerts (of one rule, or all) to those that are over.
fn clear_alerts(call: &mut Call, at: DateTime<Utc>, rule: Option<&str>) {
    let (over, open): (Vec<_>, Vec<_>) = std::mem::take(&mut call.alerts)
        .into_iter()
        .partition(|alert| rule.is_none_or(|rule| alert.rule == rule));
    call.alerts = open;
    for alert in over {
        if call.past_alerts.len() == state::PAST_ALERTS_MAX {
            call.past_alerts.remove(0);
        }
        call.past_alerts.push(PastAlert {
            alert,
            cleared_at: at,
        });
    }
}

enum Finality {
    Interim,
    Final(Option<u32>),
}

fn speak(
    call: &mut Call,
    at: DateTime<Utc>,
    turn: u32,
    track: Track,
    new_text: &str,
    finality: Finality,
) {
    if let Some(LineBody::Speech {
        text,
        interim,
        latency_ms,
        ..
    }) = speech_mut(call, turn, track)
    {
        match finality {
            // An interim that arrives after its final is late news.
            Finality::Interim if !*interim => {}
            Finality::Interim => new_text.clone_into(text),
            Finality::Final(latency) => {
                new_text.clone_into(text);
                *interim = false;
                *latency_ms = latency.or(*latency_ms);
            }
        }
        return;
    }
    let (interim, latency_ms) = match finality {
        Finality::Interim => (true, None),
        Finality::Final(latency) => (false, latency),
    };
    let body = LineBody::Speech {
        track,
        text: new_text.to_owned(),
        interim,
        latency_ms,
        cut: None,
    };
    push_line(call, Line { turn, at, body });
}

fn speech_mut(call: &mut Call, wanted_turn: u32, wanted_track: Track) -> Option<&mut LineBody> {
    // A turn's line is among the newest; do not search an hour of talk for it.
    call.lines.iter_mut().rev().take(64).find_map(|line| {
        let same = line.turn == wanted_turn
            && matches!(&line.body, LineBody::Speech { track, .. } if *track == wanted_track);
        same.then_some(&mut line.body)
    })
}

fn finish_tool(call: &mut Call, wanted: &str, succeeded: bool, text: &str, took: Option<u32>) {
    for line in call.lines.iter_mut().rev() {
        if let LineBody::Tool {
            tool_call_id,
            ok,
            result,
            took_ms,
            ..
        } = &mut line.body
        {
            if tool_call_id == wanted {
                *ok = Some(succeeded);
                text.clone_into(result);
                *took_ms = took;
                return;
            }
        }
    }
}

fn mark(call: &mut Call, at: DateTime<Utc>, text: String, command: Option<CommandId>) {
    let turn = call.lines.last().map_or(0, |line| line.turn);
    push_line(
        call,
        Line {
            turn,
            at,
            body: LineBody::Mark {
                text,
                command,
                state: command.map(|_| ActionState::Accepted),
            },
        },
    );
}

fn push_line(call: &mut Call, line: Line) {
    if call.lines.len() == state::LINES_MAX {
        // In blocks, so that a long call does not shift its whole transcript at every line.
        let block = state::LINES_MAX / 10;
        call.lines.drain(..block);
        call.lines_dropped += block as u32;
    }
    call.lines.push(line);
}

fn settle(call: &mut Call, command: CommandId, state: ActionState, message: Option<String>) {
    let about = |line: &&mut Line| matches!(line.body, LineBody::Mark { command: Some(id), .. } if id == command);
    let shown = call.lines.iter_mut().rev().take(64).find(about);
    if let Some(LineBody::Mark { state: shown, .. }) = shown.map(|line| &mut line.body) {
        *shown = Some(state);
    }
    if let Some(action) = call
        .actions
        .iter_mut()
        .find(|action| action.command == command)
    {
        action.state = state;
        action.message = message;
    }
}

/// Whether a recording that is `now` cannot become `next` any more: the answer of the carrier's REST
/// and its webhooks overtake each other.
fn is_behind(next: RecordingState, now: RecordingState) -> bool {
    let over = |state| {
        matches!(
            state,
            RecordingState::Completed | RecordingState::Absent | RecordingState::Failed
        )
    };
    (next == RecordingState::Started && now != next) || (over(now) && !over(next))
}
