//! The verbs without a screen, on a running backend.

mod client;

pub use client::{Client, Place, http, parse_url, store_token, stored_token};
