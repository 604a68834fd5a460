//! Tools in the transcript: what the agent asked for and what came of it.

use std::time::Duration;

use crate::call::{Fact, text};

use super::super::Effects;
use super::{Turns, millis};

/// Calls remembered until their answer comes.
const TOOLS_MAX: usize = 32;
/// Longest arguments shown, in characters.
const ARGS_CHARS_MAX: usize = 2_000;

impl Turns {
    pub(in crate::bridge) fn tool_called(
        &mut self,
        tool_call_id: &str,
        name: &str,
        args: &str,
        now: Duration,
        effects: &mut Effects,
    ) {
        if self.tools.len() == TOOLS_MAX {
            self.tools.pop_front();
        }
        self.tools.push_back((tool_call_id.to_owned(), now));
        let args = text::clean(args);
        effects.fact(Fact::ToolCalled {
            turn: self.turn,
            tool_call_id: text::clean_label(tool_call_id).into_owned(),
            name: text::clean_label(name).into_owned(),
            args: args.chars().take(ARGS_CHARS_MAX).collect(),
        });
    }

    /// A tool finished. One the vendor never announced gets its line now.
    pub(in crate::bridge) fn tool_returned(
        &mut self,
        tool_call_id: &str,
        name: &str,
        ok: bool,
        result: &str,
        now: Duration,
        effects: &mut Effects,
    ) {
        let known = self.tools.iter().position(|(id, _)| id == tool_call_id);
        let took = known
            .and_then(|index| self.tools.remove(index))
            .map(|(_, began)| millis(now.saturating_sub(began)));
        if took.is_none() {
            self.tool_called(tool_call_id, name, "", now, effects);
            self.tools.pop_back();
        }
        effects.fact(Fact::ToolReturned {
            tool_call_id: text::clean_label(tool_call_id).into_owned(),
            ok,
            result: text::clean(result).into_owned(),
            took_ms: took,
        });
    }
}
