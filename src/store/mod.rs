//! SQLite journal, history, recordings, retention. The only room that knows SQL.
//!
//! One named thread owns the writing connection and commits in groups; readers have connections of
//! their own. What a carrier is answered after, and what an operator did, is on disk (`FULL`)
//! before the answer. The journal keeps calls folded by the same reducer as the board.

mod history;
mod journal;
mod lines;
mod log;
mod marks;
mod open;
mod pending;
mod project;
mod purge;
mod recordings;
mod retention;
mod schema;
mod search;
mod writer;

#[cfg(test)]
mod tests;

pub use journal::SqliteJournal;
pub use open::{Opened, StoreOpenError, open};
pub use recordings::Recordings;
pub use retention::{Purged, Retention};
