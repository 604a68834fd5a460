//! Audio arithmetic.
mod format;
pub use format::{Encoding, MediaFormat};
