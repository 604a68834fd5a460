//! The HTTP side every simulated vendor has: served until its tasks are told to stop.

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::engine::Tasks;

/// Serves `router` as a task of that name, without Nagle's delay.
pub(super) fn serve(tasks: &Tasks, name: &'static str, listener: TcpListener, router: Router) {
    let listener = listener.tap_io(|tcp| {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let token = tasks.token().clone();
    tasks.spawn(name, async move {
        tokio::select! {
            () = token.cancelled() => {}
            served = async { axum::serve(listener, router).await } => {
                if let Err(error) = served {
                    tracing::warn!(%error, name, "a simulated vendor no longer serves");
                }
            }
        }
    });
}
