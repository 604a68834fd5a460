//! Namespace `/`: the event family dashboards in the wild listen to, fixed where it was broken and
//! extended (`protocols/seed-socketio-events`, contract A4). Facts are translated once for everybody;
//! each socket has a task that passes on what it subscribed to, each fact once.

mod translate;
mod translator;
mod viewer;

use std::sync::Arc;

use socketioxide::SocketIo;

use super::state::App;

/// Opens the namespace and starts translating.
pub(super) fn attach(io: &SocketIo, app: &Arc<App>) {
    let frames = translator::start(app);
    viewer::open(io, app, frames);
}
