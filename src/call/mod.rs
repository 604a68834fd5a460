//! The words: ids, statuses, facts, commands and the board folded from them.
//!
//! Level 0: nothing here reads a clock, touches I/O, spawns or locks; time comes in as an argument.

mod board;
mod command;
mod event;
mod fold;
mod gauge;
mod ids;
mod lead;
mod pending;
mod report;
mod rows;
mod sanitise;
mod secret;
mod state;
mod status;
mod store_level;
pub mod text;

pub use board::{Applied, Board};
pub use command::*;
pub use event::*;
pub use gauge::Gauge;
pub use ids::*;
pub use lead::{
    Lead, LeadKey, LeadRow, apart_key, e164, is_apart_of, lead_status, names_lead_apart,
};
pub use pending::{CONFIRM_WITHIN, PENDING_MAX, Pending, PendingAction, PendingState, SHOWN_AFTER};
pub use report::{AlertReport, CallReport, Numbers, UtteranceReport, utterances};
pub use rows::Rows;
pub use secret::Secret;
pub use state::*;
pub use status::*;
pub use store_level::StoreLevel;

#[cfg(test)]
mod tests;
