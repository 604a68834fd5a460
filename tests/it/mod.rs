//! Capabilities, one module each.
mod providers;
