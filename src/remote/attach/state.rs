//! What is under way between us and the backend.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::call::{Call, Command, CommandId, Epoch};

/// The present connection.
#[derive(Debug)]
pub(super) struct Open {
    pub since: Duration,
    pub heard_at: Duration,
    pub ping_at: Duration,
    /// The backend's run, once it has said hello.
    pub epoch: Option<Epoch>,
    pub sync: Option<Sync>,
}

/// A `resume` that is not finished.
#[derive(Debug)]
pub(super) struct Sync {
    pub id: CommandId,
    /// Last progress.
    pub at: Duration,
    pub parts: Option<Parts>,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub epoch: Epoch,
    pub seq: u64,
    pub wanted: usize,
    pub have: BTreeSet<usize>,
    pub calls: Vec<Call>,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub at: Duration,
    pub epoch: Option<Epoch>,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Command(Command),
    History,
}
