//! Namespace `/`: the event family dashboards in the wild listen to, as a superset.

use std::sync::Arc;

use socketioxide::SocketIo;

use super::state::App;

pub(super) fn attach(_io: &SocketIo, _app: &Arc<App>) {}
