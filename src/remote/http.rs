//! What does not fit into Socket.IO: live audio over a plain WebSocket, tickets, and the REST of
//! foreign backends. The token goes into headers only, and only to the backend's own address.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use crate::call::text::clean_label;
use crate::call::{CallId, ErrorCode, Refusal, Secret};
use crate::engine::{
    FRAME_SAMPLES, Fetched, ListenStream, RECORDING_MAX, StereoFrame, Tasks, too_long,
};

use super::{RemoteError, RemoteSettings};

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Frames waiting for the ear: 400 ms. Full: new ones are dropped until it has caught up.
const FRAMES_MAX: usize = 20;
/// Bytes of one stereo frame on the wire: caller and agent sample by sample.
const FRAME_BYTES: usize = 2 * FRAME_SAMPLES;
/// Nothing on the listening socket for this long: it is dead.
const SILENT_MAX: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// A whole recording, over a slow line.
const RECORDING_WITHIN: Duration = Duration::from_secs(600);
/// The next piece of it must come within this.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

/// The backend's plain HTTP side.
#[derive(Clone)]
pub(super) struct Rest {
    client: Client,
    base: Arc<str>,
    connector: Option<Connector>,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Rest {
    pub fn new(settings: &RemoteSettings) -> Result<Self, RemoteError> {
        // Already installed is what we want.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .use_rustls_tls()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none());
        if !settings.is_exposed() && settings.base().starts_with("http://") {
            builder = builder.no_proxy();
        }
        let mut connector = None;
        if let Some(pem) = &settings.ca_pem {
            let wrong = |error: String| RemoteError::Authority(error);
            let certificate =
                reqwest::Certificate::from_pem(pem).map_err(|error| wrong(error.to_string()))?;
            builder = builder.add_root_certificate(certificate);
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
            let config = rustls::ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            connector = Some(Connector::Rustls(Arc::new(config)));
        }
        Ok(Self {
            client: builder.build()?,
            base: settings.base().into(),
            connector,
        })
    }

    /// Opens the live audio of a call; the stream ends when the returned receiver is dropped.
    pub async fn listen(
        &self,
        tasks: &Tasks,
        token: Option<Secret>,
        call: CallId,
    ) -> Result<ListenStream, Refusal> {
        let url = format!("{}/api/calls/{call}/listen", self.base).replacen("http", "ws", 1);
        let mut request = url
            .into_client_request()
            .map_err(|_| unreachable("the URL is unusable"))?;
        if let Some(token) = token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                    Refusal::new(
                        ErrorCode::Unauthorized,
                        "the token is not one",
                        "look at its file",
                    )
                })?;
            value.set_sensitive(true);
            request.headers_mut().insert("authorization", value);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(256 * 1024));
        let connecting =
            connect_async_tls_with_config(request, Some(config), true, self.connector.clone());
        let mut socket = match tokio::time::timeout(ANSWER_WITHIN, connecting).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                return Err(refusal(answer.status().as_u16(), body));
            }
            Ok(Err(_)) => return Err(unreachable("the backend cannot be reached")),
            Err(_) => return Err(unreachable("the backend does not answer")),
        };
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let token = tasks.token().clone();
        tasks.spawn("listen", async move {
            loop {
                // Cancel-safe: `next` keeps partial messages in the socket.
                let message = tokio::select! {
                    biased;
                    () = token.cancelled() => break,
                    () = sender.closed() => break,
                    message = tokio::time::timeout(SILENT_MAX, socket.next()) => message,
                };
                match message {
                    Ok(Some(Ok(Message::Binary(bytes)))) => {
                        for frame in frames_of(&bytes) {
                            // A full queue means the ear is behind: what it misses is gone.
                            let _full = sender.try_send(frame);
                        }
                    }
                    Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => break,
                    Ok(Some(Ok(_))) => {}
                }
            }
            // The other side may be gone already.
            let _gone = tokio::time::timeout(Duration::from_secs(1), socket.close(None)).await;
        });
        Ok(ListenStream { frames })
    }

    /// The listening page of one call, with a ticket that opens it once: the same URL the screen in
    /// the backend's own process gives out.
    pub async fn listen_url(&self, token: Option<Secret>, call: CallId) -> Result<String, Refusal> {
        let body = json!({ "use": "listen", "call": call });
        let answer = self.post("/api/tickets", token, &body, None).await?;
        let field = |name: &str| {
            let inner = answer.get("data").and_then(|data| data.get(name));
            inner.or_else(|| answer.get(name)).and_then(Value::as_str)
        };
        if let Some(path) = field("url").filter(|path| path.starts_with("/listen/")) {
            return Ok(format!("{}{path}", self.base));
        }
        let ticket =
            field("ticket").ok_or_else(|| unreachable("the backend's ticket cannot be read"))?;
        let ticket: String = url::form_urlencoded::byte_serialize(ticket.as_bytes()).collect();
        Ok(format!("{}/listen/{call}?ticket={ticket}", self.base))
    }

    /// The whole file of a recording, piece by piece, at most [`RECORDING_MAX`].
    pub async fn recording(
        &self,
        token: Option<Secret>,
        id: &str,
        progress: &watch::Sender<Fetched>,
    ) -> Result<Bytes, Refusal> {
        let path: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let mut request = self
            .client
            .get(format!("{}/api/recordings/{path}", self.base))
            .timeout(RECORDING_WITHIN);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        let sent = tokio::time::timeout(PIECE_WITHIN, request.send()).await;
        let mut response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => return Err(unreachable("the backend cannot be reached")),
            Err(_) => return Err(unreachable("the backend does not answer")),
        };
        let status = response.status();
        let most = if status.is_success() {
            RECORDING_MAX
        } else {
            ANSWER_BYTES_MAX as u64
        };
        let of = response.content_length();
        if of.is_some_and(|length| length > most) {
            return Err(too_long(id));
        }
        let mut audio = BytesMut::new();
        loop {
            let piece = tokio::time::timeout(PIECE_WITHIN, response.chunk()).await;
            let Ok(Ok(piece)) = piece else {
                return Err(unreachable("the recording broke off"));
            };
            let Some(piece) = piece else { break };
            if (audio.len() + piece.len()) as u64 > most {
                return Err(too_long(id));
            }
            audio.extend_from_slice(&piece);
            let bytes = audio.len() as u64;
            progress.send_replace(Fetched { bytes, of });
        }
        if status.is_success() {
            Ok(audio.freeze())
        } else {
            Err(refusal(status.as_u16(), &audio))
        }
    }

    /// Ends a call of a foreign backend by its REST.
    pub async fn terminate(
        &self,
        token: Option<Secret>,
        call_sid: &str,
        key: &str,
        reason: Option<&str>,
    ) -> Result<(), Refusal> {
        let sid: String = url::form_urlencoded::byte_serialize(call_sid.as_bytes()).collect();
        let body = json!({ "reason": reason.unwrap_or("ended by the operator") });
        self.post(
            &format!("/api/calls/{sid}/terminate"),
            token,
            &body,
            Some(key),
        )
        .await
        .map(|_| ())
    }

    async fn post(
        &self,
        path: &str,
        token: Option<Secret>,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, Refusal> {
        let mut request = self.client.post(format!("{}{path}", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let mut response = request
            .send()
            .await
            .map_err(|_| unreachable("the backend cannot be reached"))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|_| unreachable("the answer broke off"))?
        {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(unreachable("the answer is too large"));
            }
            bytes.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &bytes));
        }
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match answer.get("success").and_then(Value::as_bool) {
            Some(false) => Err(refusal(status.as_u16(), &bytes)),
            _ => Ok(answer),
        }
    }
}

/// The whole frames of a message; a rest that is none is dropped.
fn frames_of(bytes: &[u8]) -> impl Iterator<Item = StereoFrame> {
    bytes
        .chunks_exact(FRAME_BYTES)
        .map(StereoFrame::from_interleaved)
}

fn unreachable(message: &str) -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        message,
        "look at the link in the header, then try again",
    )
}

/// `{"success":false,"error":{code,message,hint}}`, `{statusCode,error,message}`, or only a status.
fn refusal(status: u16, body: &[u8]) -> Refusal {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&Value::Null);
    let word = error
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let code = match (word, status) {
        ("CALL_NOT_ACTIVE", _) | (_, 409) => ErrorCode::Conflict,
        (_, 401) => ErrorCode::Unauthorized,
        (_, 403) => ErrorCode::Forbidden,
        (_, 404) => ErrorCode::NotFound,
        (_, 429) => ErrorCode::Overloaded,
        (_, 400 | 422) => ErrorCode::Invalid,
        (_, 405 | 501) => ErrorCode::Unsupported,
        (_, 504) => ErrorCode::Timeout,
        _ => ErrorCode::Unavailable,
    };
    let said = error
        .get("message")
        .or_else(|| body.get("message"))
        .and_then(Value::as_str);
    let message = said.map_or_else(
        || format!("the backend answered HTTP {status}"),
        |said| clean_label(said).into_owned(),
    );
    let hint = error
        .get("hint")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Refusal::new(code, message, clean_label(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_both_families_are_read() {
        let ours = refusal(
            403,
            br#"{"success":false,"error":{"code":"forbidden","message":"no","hint":"ask"}}"#,
        );
        assert_eq!(
            (ours.code, ours.message.as_str(), ours.hint.as_str()),
            (ErrorCode::Forbidden, "no", "ask")
        );
        let seed = refusal(
            400,
            br#"{"success":false,"error":{"code":"CALL_NOT_ACTIVE","message":"over"}}"#,
        );
        assert_eq!(seed.code, ErrorCode::Conflict);
        let bare = refusal(
            404,
            br#"{"statusCode":404,"error":"Not Found","message":"no call"}"#,
        );
        assert_eq!(
            (bare.code, bare.message.as_str()),
            (ErrorCode::NotFound, "no call")
        );
        assert_eq!(refusal(502, b"<html>").code, ErrorCode::Unavailable);
    }

    #[test]
    fn an_authority_that_is_none_is_refused() {
        let mut settings = RemoteSettings::new("https://h").unwrap();
        settings.ca_pem = Some(b"not a certificate".to_vec());
        assert!(matches!(
            Rest::new(&settings),
            Err(RemoteError::Authority(_))
        ));
    }
}
