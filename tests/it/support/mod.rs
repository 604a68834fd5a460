//! What several modules need: a terminal that can be looked at.

pub mod backend;
pub mod peers;
pub mod pipeline;
pub mod pty;
#[cfg(target_os = "linux")]
pub mod pulse;
pub mod socketio;
pub mod sse;

/// Serves on loopback until the test ends; its base URL.
pub async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "a server that ends with the test"
    )]
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
