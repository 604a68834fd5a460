//! The conversations the simulated peers act out: scripts, their voices, and who listens when.
//!
//! Nothing here knows a carrier or an agent vendor: a script is a list of lines, and the two actors
//! (`caller`, `agent`) turn it into sound and events by listening to each other.

mod agent;
mod caller;
mod clips;
mod script;
mod vad;

pub use agent::{AgentActor, Did, Progress};
pub use caller::{Caller, CallerTick};
pub use clips::clip;
pub use script::{
    AgentLine, CallerLine, Cut, Ending, Kind, Line, LineQuality, Outcome, Script, ToolLine,
    ToolVia, library,
};
pub use vad::{Vad, Voice};

#[cfg(test)]
mod tests;
