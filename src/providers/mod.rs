//! One folder per vendor: pure codecs between bytes and the bridge's words; `shell.rs` does the I/O.
