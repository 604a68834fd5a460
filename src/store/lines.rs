//! Which transcript lines a fact changes, and calls put together again from their rows.

use rusqlite::{Connection, OptionalExtension, params};

use crate::call::{Call, Fact, Line, LineBody, StoreLevel, Track};

/// Lines a fact can still reach: the reducer looks no further back for a turn.
const REACH: usize = 64;

/// Numbers (counted from the call's beginning) of the lines that `fact` has changed in `call`,
/// which has taken it in already. `opened` are those that were interim before.
pub(super) fn changed_by(call: &Call, fact: &Fact, opened: &[u32], out: &mut Vec<u32>) {
    match fact {
        Fact::UtteranceInterim { turn, track, .. }
        | Fact::UtteranceFinal { turn, track, .. }
        | Fact::UtteranceTruncated { turn, track, .. } => {
            out.extend(speech(call, *turn, *track));
        }
        Fact::TurnTimed { timing } => out.extend(speech(call, timing.turn, Track::FromAgent)),
        Fact::ToolCalled { .. }
        | Fact::Dtmf { .. }
        | Fact::Whispered { .. }
        | Fact::TakenOver { .. }
        | Fact::HandedBack { .. } => {
            out.extend(call.lines.len().checked_sub(1).map(|at| number(call, at)));
        }
        Fact::CommandDone { command, .. }
        | Fact::CommandFailed { command, .. }
        | Fact::CommandUnconfirmed { command, .. } => {
            let newest = call.lines.iter().enumerate().rev().take(REACH);
            out.extend(
                newest
                    .filter(|(_, line)| {
                        matches!(&line.body, LineBody::Mark { command: Some(id), .. } if id == command)
                    })
                    .map(|(at, _)| number(call, at)),
            );
        }
        Fact::ToolReturned { tool_call_id, .. } => {
            let at = call.lines.iter().rposition(|line| {
                matches!(&line.body, LineBody::Tool { tool_call_id: id, .. } if id == tool_call_id)
            });
            out.extend(at.map(|at| number(call, at)));
        }
        Fact::StatusChanged { .. } | Fact::CallEnded { .. } if !call.is_live() => {
            out.extend_from_slice(opened);
        }
        _ => {}
    }
}

/// Numbers of the lines that may still be rewritten.
pub(super) fn open_lines(call: &Call) -> Vec<u32> {
    let interim = |line: &Line| matches!(line.body, LineBody::Speech { interim: true, .. });
    let open = call.lines.iter().enumerate();
    open.filter(|(_, line)| interim(line))
        .map(|(at, _)| number(call, at))
        .collect()
}

fn speech(call: &Call, wanted_turn: u32, wanted_track: Track) -> Option<u32> {
    let newest = call.lines.iter().enumerate().rev().take(REACH);
    newest
        .filter(|(_, line)| line.turn == wanted_turn)
        .find(|(_, line)| {
            matches!(line.body, LineBody::Speech { track, .. } if track == wanted_track)
        })
        .map(|(at, _)| number(call, at))
}

fn number(call: &Call, at: usize) -> u32 {
    call.lines_dropped.saturating_add(at as u32)
}

/// The words of a line as they are searched for, and whether they can still change.
pub(super) fn words(line: &Line) -> (String, bool) {
    match &line.body {
        LineBody::Speech { text, interim, .. } => (text.clone(), !interim),
        LineBody::Tool {
            name, args, result, ..
        } => (format!("{name} {args} {result}"), true),
        LineBody::Mark { text, .. } => (text.clone(), true),
    }
}

/// Which lines of a call to load.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// As many as the call held in memory: the exact call.
    AsHeld,
    /// All there are, up to a limit.
    All(u32),
    /// Only the newest.
    Last(u32),
}

/// Reads one call; `None` when there is no such call.
pub(super) fn load(
    connection: &Connection,
    id: &str,
    wanted: Wanted,
) -> rusqlite::Result<Option<Call>> {
    let state: Option<String> = connection
        .prepare_cached("SELECT state FROM calls WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    state
        .map(|state| with_lines(connection, id, &state, wanted))
        .transpose()
}

/// What the newest call of a lead keeps; everything, where there is none.
pub(super) fn level_of_lead(connection: &Connection, lead: &str) -> rusqlite::Result<StoreLevel> {
    let word: Option<String> = connection
        .prepare_cached(
            "SELECT coalesce(json_extract(state, '$.store'), 'all') FROM calls
             WHERE lead_id = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([lead], |row| row.get(0))
        .optional()?;
    Ok(word.map_or(StoreLevel::All, |word| {
        StoreLevel::parse(&word).unwrap_or(StoreLevel::FactsOnly)
    }))
}

/// A call from its state column and its lines.
pub(super) fn with_lines(
    connection: &Connection,
    id: &str,
    state: &str,
    wanted: Wanted,
) -> rusqlite::Result<Call> {
    let mut call: Call = parse(state)?;
    let (from, limit) = match wanted {
        Wanted::AsHeld => (call.lines_dropped, u32::MAX),
        Wanted::All(limit) => (0, limit),
        Wanted::Last(limit) => (0, limit),
    };
    let mut statement = connection.prepare_cached(
        "SELECT no, body FROM utterances WHERE call_id = ?1 AND no >= ?2
         ORDER BY no DESC LIMIT ?3",
    )?;
    let mut rows = statement.query(params![id, from, limit])?;
    let mut first = None;
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        call.lines.push(parse(&body)?);
        first = Some(row.get::<_, u32>(0)?);
    }
    call.lines.reverse();
    if !matches!(wanted, Wanted::AsHeld) {
        call.lines_dropped = first.unwrap_or(0);
    }
    Ok(call)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}
