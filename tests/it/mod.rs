//! Capabilities, one module each.
