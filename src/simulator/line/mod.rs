//! What every simulated carrier has: somebody on the phone, a play-out buffer, frames on their
//! deadlines, signed requests with retries, documents in XML, and the faults of a bad day.

mod far_end;
mod faults;
mod pace;
mod playout;
pub(super) mod poster;
mod reach;
pub(super) mod xml;

pub(crate) use far_end::{FarEnd, FarTick, Payload};
pub use faults::{CutHow, Faults, StreamCut, Timing};
pub use pace::{Pace, Slot};
pub use playout::Playout;
pub use reach::Reach;

/// How a carrier asks for a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    Get,
    #[default]
    Post,
}
