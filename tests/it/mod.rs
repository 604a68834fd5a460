//! Capabilities, one module each.

mod ui_fake;
