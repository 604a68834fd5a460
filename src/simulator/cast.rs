//! Who plays what: the number of the person on the phone → their conversation. Both simulated peers
//! look a call up by the numbers they were told over their own sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::speech::{Ending, Line, Outcome, Script, library};

/// Most numbers remembered; beyond that all are forgotten, because a simulation that dials this many
/// strangers is a load run and needs no scripts.
const NUMBERS_MAX: usize = 20_000;

/// Shared by the peers of one simulation.
#[derive(Clone, Debug, Default)]
pub struct Cast(Arc<Mutex<HashMap<String, Arc<Script>>>>);

impl Cast {
    pub fn assign(&self, number: &str, script: Arc<Script>) {
        let mut cast = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cast.len() >= NUMBERS_MAX {
            cast.clear();
        }
        cast.insert(number.to_owned(), script);
    }

    /// The script of a call between these two, or `None` when neither was cast.
    pub fn find(&self, one: &str, other: &str) -> Option<Arc<Script>> {
        let cast = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cast.get(one).or_else(|| cast.get(other)).cloned()
    }

    /// A number nobody cast (an operator dialled it): some answered call, always the same.
    pub fn improvise(number: &str) -> Arc<Script> {
        let answered: Vec<_> = library()
            .iter()
            .filter(|s| {
                s.outcome == Outcome::Answered
                    && s.answered_by.as_deref() != Some("machine_end_beep")
            })
            .collect();
        let sum: usize = number.bytes().map(usize::from).sum();
        answered.get(sum % answered.len().max(1)).map_or_else(
            || Arc::new(Script::tones("spare", 4, 800)),
            |script| Arc::clone(script),
        )
    }

    /// For an agent that knows nothing of the call: it answers whatever it hears, without end.
    pub fn talkative() -> Arc<Script> {
        let said: Vec<Line> = library()
            .iter()
            .filter(|s| s.id == "human" || s.id == "survey")
            .flat_map(|s| {
                s.lines
                    .iter()
                    .filter(|l| matches!(l, Line::Agent(_)))
                    .cloned()
            })
            .collect();
        let unheard = Script::tones("unheard", 2, 0).lines.pop();
        let mut script = Script::tones("talkative", 0, 0).with_ending(Ending::Nobody);
        for line in said.iter().cycle().take(200) {
            script.lines.push(line.clone());
            if let Some(Line::Caller(mut any)) = unheard.clone() {
                any.text = String::new();
                script.lines.push(Line::Caller(any));
            }
        }
        Arc::new(script)
    }
}
