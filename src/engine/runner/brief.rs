//! What a session is told about its call: the agent's brief with this call's particulars, and what
//! was said on an earlier stream of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::bridge::{AgentBrief, Floor, SessionPlan, StreamStart};
use crate::call::{Call, Direction, LineBody, Track, text};
use crate::engine::tools::{REQUEST_HUMAN, TRANSFER_CALL};
use crate::engine::{CallPlan, random};
use crate::media::Thresholds;

/// Lines of an earlier stream an agent is told at most.
const LINES_BEFORE: usize = 20;
/// Stream parameters that are for us and not for the agent: our ticket and what has a field.
const OURS: [&str; 3] = ["wb", "prompt", "first_message"];
/// Longest value of one variable, in characters.
const VALUE_CHARS_MAX: usize = 2_000;

pub(super) fn session_plan(
    call: &Call,
    plan: &CallPlan,
    start: &StreamStart,
    quality: Thresholds,
) -> SessionPlan {
    let lines_before = call
        .lines
        .iter()
        .filter_map(|line| match &line.body {
            LineBody::Speech {
                track, text, cut, ..
            } => {
                let heard = cut.as_ref().map_or(text, |cut| &cut.heard);
                (!heard.is_empty()).then(|| (*track, heard.clone()))
            }
            LineBody::Tool { .. } | LineBody::Mark { .. } => None,
        })
        .collect::<Vec<(Track, String)>>();
    let skip = lines_before.len().saturating_sub(LINES_BEFORE);
    SessionPlan {
        call: call.id,
        stream_id: text::clean_label(&start.stream_id).into_owned(),
        carrier_format: start.format,
        brief: brief(call, plan, &start.custom),
        talk_max: plan
            .agent
            .minutes_max
            .map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
        turns_before: call.lines.iter().map(|line| line.turn).max().unwrap_or(0),
        lines_before: lines_before.into_iter().skip(skip).collect(),
        seed: u64::from_le_bytes(random()),
        quality,
        floor: floor(call),
        tools: tool_names(plan),
        cost_max: plan.agent.extras.cost_max,
        spent_usd: match call.cost_source.as_deref() {
            Some("estimate:agent") => call.cost_usd.unwrap_or_default(),
            _ => 0.0,
        },
        note: transfer_failed(call),
    }
}

/// An operator keeps the call when the carrier opens a new stream for it.
fn floor(call: &Call) -> Floor {
    if call.held_by.is_some() {
        Floor::Operator
    } else {
        Floor::Agent
    }
}

fn tool_names(plan: &CallPlan) -> BTreeSet<String> {
    let ours = [TRANSFER_CALL, REQUEST_HUMAN].map(str::to_owned);
    ours.into_iter()
        .chain(plan.agent.extras.tools.keys().cloned())
        .collect()
}

/// Nobody picked up: the caller is back with the agent, who must know why.
fn transfer_failed(call: &Call) -> Option<String> {
    let transfer = call
        .transfer
        .as_ref()
        .filter(|transfer| transfer.state == "failed")?;
    let why = transfer.reason.as_deref().unwrap_or("nobody answered");
    Some(format!(
        "The caller was to be transferred to a person, but that failed ({why}). Tell them so and go \
         on helping them."
    ))
}

/// The agent's own brief, then what the stream was opened with, then what we know for certain.
fn brief(call: &Call, plan: &CallPlan, custom: &BTreeMap<String, String>) -> AgentBrief {
    let mut brief = plan.agent.brief.clone();
    let given = |key: &str| custom.get(key).filter(|value| !value.is_empty()).cloned();
    brief.prompt = given("prompt").or(brief.prompt);
    brief.first_message = given("first_message").or(brief.first_message);
    for (key, value) in custom {
        let reserved = key.is_empty() || key.starts_with("system__");
        if !reserved && !OURS.contains(&key.as_str()) {
            let value = value.chars().take(VALUE_CHARS_MAX).collect();
            brief.variables.insert(key.clone(), value);
        }
    }
    let (caller, called) = match call.facts.direction {
        Direction::Inbound => (&call.facts.from, &call.facts.to),
        Direction::Outbound => (&call.facts.to, &call.facts.from),
    };
    let certain = [
        ("call_id", Some(call.id.to_string())),
        ("caller_number", Some(caller.clone())),
        ("called_number", Some(called.clone())),
        ("lead_id", call.facts.lead_id.clone()),
        ("customer_name", call.facts.name.clone()),
    ];
    for (key, value) in certain {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            brief.variables.insert(key.to_owned(), value);
        }
    }
    brief
}
