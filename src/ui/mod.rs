//! The screen: Model, Msg, update, view, keymap, theme. Only `term.rs` touches the terminal.
