//! Capabilities, one module each.

mod e2e;
mod support;
