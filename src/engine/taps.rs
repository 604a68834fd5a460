//! Taps: read-only copies of what is heard on a call, for listeners. A tap can never slow a call
//! and has no way to speak into it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::call::CallId;

use super::backend::StereoFrame;

/// Frames a listener may be behind (400 ms); then the oldest are skipped.
const TAP_FRAMES_MAX: usize = 20;

/// The audio of all bridged calls, by call.
#[derive(Clone, Debug, Default)]
pub struct Taps {
    open: Arc<Mutex<HashMap<CallId, Tap>>>,
}

/// Where a bridge puts what is heard on its call. Shared frames: the places of a queue that nobody
/// reads stay small, and there is one queue per call.
#[derive(Clone, Debug)]
pub struct Tap(broadcast::Sender<Arc<StereoFrame>>);

impl Tap {
    /// Gives every listener the frame. Having none is a normal state.
    pub fn send(&self, frame: StereoFrame) {
        let _nobody = self.0.send(Arc::new(frame));
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.0.receiver_count()
    }
}

impl Taps {
    /// Opens the tap of a call; the bridge feeds it. A stream that replaces another reuses its tap.
    pub fn open(&self, call: CallId) -> Tap {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(call)
            .or_insert_with(|| Tap(broadcast::channel(TAP_FRAMES_MAX).0))
            .clone()
    }

    /// Closes the tap; listeners see the end of the stream.
    pub fn close(&self, call: CallId) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&call);
    }

    /// Joins the listeners of a call; `None` when its audio does not pass through us.
    pub fn join(&self, call: CallId) -> Option<broadcast::Receiver<Arc<StereoFrame>>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&call).map(|tap| tap.0.subscribe())
    }

    /// How many taps are open.
    pub fn len(&self) -> usize {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
