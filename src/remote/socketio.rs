//! One Socket.IO connection, whatever the client library does. Its rules, each learnt from a defect
//! of rust_socketio 0.6.0: a runtime of its own that is thrown away with it, no reconnecting of its
//! own, a limit on everything awaited, no acks, no binary, and callbacks that only `try_send`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::link::Heard;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const EMIT_WITHIN: Duration = Duration::from_secs(1);
/// Messages waiting for us. Full: they are lost, `overflowed` says so, and we resume.
const HEARD_MAX: usize = 1024;
/// Places among them that only news of the connection itself may take.
const RESERVED: usize = 16;
/// Messages waiting to be sent. Full: the backend does not read, the connection is given up.
const OUTBOX_MAX: usize = 128;
/// What the library puts before a refused CONNECT.
const REFUSED: &str = "Received an ConnectError frame: ";

/// Where and how to connect.
#[derive(Clone)]
pub(super) struct Address {
    /// `http(s)://host[:port][/path]`, without a slash at the end.
    pub base: String,
    pub namespace: &'static str,
    pub auth: Value,
    pub ca: Option<native_tls::Certificate>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// A connection: dropping it ends everything it started, whatever that is doing.
pub(super) struct Conn {
    runtime: Option<Runtime>,
    outbox: mpsc::Sender<(&'static str, Value)>,
    heard: mpsc::Receiver<Heard>,
    overflowed: Arc<AtomicBool>,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").finish_non_exhaustive()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The library leaves a reader behind after `disconnect`, and an emit may be wedged:
            // the only sure end is that of the runtime.
            runtime.shutdown_background();
        }
    }
}

impl Conn {
    /// Begins to connect; everything further is heard.
    ///
    /// # Errors
    /// No runtime could be started: the system is out of threads.
    pub fn dial(address: Address) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("socketio")
            .enable_all()
            .build()?;
        let (outbox, orders) = mpsc::channel(OUTBOX_MAX);
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let overflowed = Arc::new(AtomicBool::new(false));
        let ear = Ear {
            sender,
            overflowed: Arc::clone(&overflowed),
        };
        runtime.spawn(talk(address, orders, ear));
        Ok(Self {
            runtime: Some(runtime),
            outbox,
            heard,
            overflowed,
        })
    }

    /// Queues a message; `false` when the queue is full or the connection gone.
    pub fn send(&self, event: &'static str, data: Value) -> bool {
        self.outbox.try_send((event, data)).is_ok()
    }

    /// What was heard next; `None` after the end. Cancel-safe.
    pub async fn hear(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// Whether messages were lost since this was last asked. Says so only once all that was kept
    /// has been heard: resuming earlier would be of no use.
    pub fn take_overflow(&self) -> bool {
        self.heard.is_empty() && self.overflowed.swap(false, Ordering::AcqRel)
    }
}

#[derive(Clone)]
struct Ear {
    sender: mpsc::Sender<Heard>,
    overflowed: Arc<AtomicBool>,
}

impl Ear {
    fn news(&self, heard: Heard) {
        // Places are reserved; if even those are taken, the heartbeat notices the end.
        let _full = self.sender.try_send(heard);
    }

    fn message(&self, event: String, data: Value) {
        let fits = self.sender.capacity() > RESERVED
            && self.sender.try_send(Heard::Message { event, data }).is_ok();
        if !fits {
            self.overflowed.store(true, Ordering::Release);
        }
    }
}

async fn talk(address: Address, mut orders: mpsc::Receiver<(&'static str, Value)>, ear: Ear) {
    let client = match tokio::time::timeout(CONNECT_WITHIN, connect(address, &ear)).await {
        Ok(Ok(client)) => client,
        Ok(Err(reason)) => return ear.news(Heard::Down(reason)),
        Err(_) => return ear.news(Heard::Down("the backend does not answer".to_owned())),
    };
    while let Some((event, data)) = orders.recv().await {
        let failure = match tokio::time::timeout(EMIT_WITHIN, client.emit(event, data)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => plain(&error.to_string()),
            Err(_) => "the backend does not read".to_owned(),
        };
        return ear.news(Heard::Down(failure));
    }
}

async fn connect(address: Address, ear: &Ear) -> Result<Client, String> {
    let (up, failed, closed, any) = (ear.clone(), ear.clone(), ear.clone(), ear.clone());
    let mut builder = ClientBuilder::new(endpoint(&address.base))
        .namespace(address.namespace)
        .auth(address.auth)
        .transport_type(TransportType::Websocket)
        .reconnect(false)
        .on(Event::Connect, move |_, _| {
            up.news(Heard::Up);
            std::future::ready(()).boxed()
        })
        .on(Event::Error, move |payload, _| {
            error_heard(&failed, payload);
            std::future::ready(()).boxed()
        })
        .on(Event::Close, move |_, _| {
            closed.news(Heard::Down("the backend closed the connection".to_owned()));
            std::future::ready(()).boxed()
        })
        .on_any(move |event, payload, _| {
            if let (Event::Custom(event), Payload::Text(arguments)) = (event, payload) {
                any.message(event, arguments.into_iter().next().unwrap_or_default());
            }
            std::future::ready(()).boxed()
        });
    if let Some(ca) = address.ca {
        let connector = native_tls::TlsConnector::builder()
            .add_root_certificate(ca)
            .build();
        builder = builder.tls_config(connector.map_err(|_| "TLS could not be set up".to_owned())?);
    }
    builder
        .connect()
        .await
        .map_err(|error| plain(&error.to_string()))
}

/// The library's `error`: a refused CONNECT, its own trouble, or an event of that name the backend
/// sent (which arrives with whatever the backend put into it).
fn error_heard(ear: &Ear, payload: Payload) {
    let Payload::Text(arguments) = payload else {
        return;
    };
    match arguments.into_iter().next() {
        Some(Value::String(text)) => match text.strip_prefix(REFUSED) {
            Some(frame) => ear.news(Heard::Refused(refusal_word(frame))),
            None => ear.news(Heard::Down(plain(&text))),
        },
        Some(data) => ear.message("error".to_owned(), data),
        None => {}
    }
}

/// `{"message":"unauthorized"}` in a refused CONNECT.
fn refusal_word(frame: &str) -> String {
    let said = serde_json::from_str::<Value>(frame).ok();
    let word = said.as_ref().and_then(|said| {
        said.get("message")
            .and_then(Value::as_str)
            .or(said.as_str())
    });
    word.unwrap_or(frame).to_owned()
}

/// Library errors in words for the header line.
fn plain(error: &str) -> String {
    let has = |word: &str| error.to_ascii_lowercase().contains(word);
    if has("refused") {
        "connection refused".to_owned()
    } else if has("certificate") || has("tls") || has("ssl") {
        "TLS failed: is it https, and is its certificate trusted?".to_owned()
    } else if has("dns") || has("lookup") || has("name or service") {
        "the host's name is not known".to_owned()
    } else if has("http error") || has("handshake") || has("404") {
        "there is no Socket.IO server at this address".to_owned()
    } else if has("closed") || has("reset") || has("broken pipe") || has("eof") {
        "the connection broke".to_owned()
    } else {
        "the connection failed".to_owned()
    }
}

/// The library completes only an empty path.
fn endpoint(base: &str) -> String {
    let path = base
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'));
    match path {
        Some(_) => format!("{base}/socket.io/"),
        None => format!("{base}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed_below_a_path() {
        assert_eq!(endpoint("http://h:1"), "http://h:1/");
        assert_eq!(endpoint("https://h/wb"), "https://h/wb/socket.io/");
    }

    #[test]
    fn refusals_are_read_from_the_frame() {
        assert_eq!(
            refusal_word(r#"{"message":"unauthorized"}"#),
            "unauthorized"
        );
        assert_eq!(
            refusal_word("\"No error message provided\""),
            "No error message provided"
        );
        assert_eq!(refusal_word("odd"), "odd");
    }

    #[test]
    fn overflow_is_noticed_and_news_of_the_line_still_passes() {
        let (sender, mut heard) = mpsc::channel(HEARD_MAX);
        let ear = Ear {
            sender,
            overflowed: Arc::default(),
        };
        for _ in 0..HEARD_MAX * 2 {
            ear.message("x".into(), Value::Null);
        }
        assert!(ear.overflowed.load(Ordering::Acquire));
        ear.news(Heard::Down("gone".into()));
        let last = std::iter::from_fn(|| heard.try_recv().ok()).last();
        assert!(matches!(last, Some(Heard::Down(_))));
    }
}
