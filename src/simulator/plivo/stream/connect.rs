//! Opening the stream's socket: signed, and tried again before the carrier gives up.

use std::time::Duration;

use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use url::Url;

use crate::simulator::socket;

use super::super::state::Shared;
use super::{Leg, Socket};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The first connection is tried this often.
const TRIES: u32 = 3;

impl Leg<'_> {
    pub(super) async fn connect_patiently(&self) -> Result<Socket, String> {
        let mut why = String::new();
        for _ in 0..TRIES {
            match timeout(CONNECT_WITHIN, dial(self.shared, &self.step.url)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => "connection timed out".clone_into(&mut why),
            }
        }
        Err(format!("stream refused: {why}"))
    }
}

/// Opens a stream's socket, signed.
pub(in crate::simulator::plivo) async fn dial(
    shared: &Shared,
    url: &str,
) -> Result<Socket, WsError> {
    let parsed = Url::parse(url).map_err(|e| WsError::Io(std::io::Error::other(e.to_string())))?;
    let (target, host) = shared.poster.route(&parsed);
    let mut request = target.as_str().into_client_request()?;
    let headers = request.headers_mut();
    let (signature, nonce) = shared.poster.sign_upgrade(url);
    for (name, value) in [
        ("x-plivo-signature-v3", &signature),
        ("x-plivo-signature-ma-v3", &signature),
        ("x-plivo-signature-v3-nonce", &nonce),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    socket::open(request, host, 64 * 1024).await
}
