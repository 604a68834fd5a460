//! `Core`: the running backend as one value, shared by the server and the embedded screen.

use std::sync::Arc;

use crate::call::{Command, Grant, Reply};

use super::commands;
use super::ports::{Carriers, Journal};
use super::{Bridges, Clock, Gauges, Plans, Switchboard, Taps, Tasks};

/// Everything that makes up a running backend.
#[derive(Clone, Debug)]
pub struct Core {
    pub backend_id: String,
    pub clock: Clock,
    pub tasks: Tasks,
    pub switchboard: Switchboard,
    pub journal: Arc<dyn Journal>,
    pub carriers: Arc<Carriers>,
    pub plans: Arc<Plans>,
    pub bridges: Bridges,
    pub taps: Taps,
    pub gauges: Gauges,
    pub commands: commands::Commands,
}

impl Core {
    /// Carries out a command for whoever holds `grant`. Always answers, exactly once.
    pub async fn command(&self, grant: &Grant, command: Command) -> Reply {
        self.commands.handle(self, grant, command).await
    }
}
