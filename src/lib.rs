//! wallboard: watch, hear and end live AI phone calls from one terminal.

pub mod call;
