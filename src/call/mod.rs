//! The words: ids, statuses, facts, commands and the board folded from them.

mod event;
mod ids;
mod status;

pub use event::*;
pub use ids::*;
pub use status::*;
