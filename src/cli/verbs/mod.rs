//! The verbs without a screen, on a running backend.

mod act;
mod audit;
mod chat;
mod client;
mod follow;
mod leads;
mod listen;
mod look;
mod recording;
mod said;

pub use act::{
    Plain, Wordy, ack, call, dialing, end, handback, plain, record, snooze, transfer, unmask, wordy,
};
pub use audit::audit;
pub use chat::run as chat;
pub use client::{Client, Place, http, parse_url, store_token, stored_token};
pub use follow::{events, fact_words, skew_words, tail};
pub use leads::run as leads;
pub use listen::run as listen;
pub use look::{alerts, ls, show, webhooks};
pub use recording::run as recording;
pub use said::{export, lead, purge, search};
