//! The screen: Model, Msg, update, view, keymap, theme. Only `term.rs` touches the terminal.
//!
//! `run` is the whole of it for callers: give it a [`crate::engine::Backend`], a [`Sound`] and
//! [`UiOptions`]; it returns how the operator left. `update` and `view` are pure, so every screen can
//! be had as text, as SVG ([`Still`]) or in a test without a terminal.
#![allow(
    clippy::single_match_else,
    clippy::single_match,
    reason = "two arms side by side read better where both draw something"
)]

mod columns;
mod export;
mod filter;
mod groups;
mod handover;
pub mod keymap;
mod line_edit;
mod model;
mod msg;
mod order;
mod paint;
mod pen;
mod picture;
mod run;
pub mod sample;
mod sound;
mod term;
pub mod theme;
mod tour;
mod transcript;
mod update;
mod view;
mod views;
mod watch;
pub mod words;
mod wrap;

pub use filter::Filter;
pub use keymap::Keymap;
pub use model::{Endpoint, Mode, Model, Settings};
pub use msg::{Effect, Exit, Msg, Now};
pub use order::{Rank, Sort};
pub use paint::Painter;
pub use picture::{Still, svg, text};
pub use run::{Kept, UiError, UiOptions, run};
pub use sound::{Device, Pan, Sound, SoundState};
pub use term::{LineKey, Notify, Signal, Signals, StatusLine, one_key, restore};
pub use theme::{Depth, Theme, ThemeError};
pub use update::{Typed, answered, is_about_a_call, prepare, typed, typed_commands, update};
pub use view::draw;
pub use views::{FILE as VIEWS_FILE, FILE_BYTES_MAX as VIEWS_BYTES_MAX};
