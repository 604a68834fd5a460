//! A bare Socket.IO client: Engine.IO v4 text over one WebSocket. Knows no acks but its own.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Longest wait for anything: a busy machine takes its time over a minute of sound.
pub const WITHIN: Duration = Duration::from_secs(20);

pub struct SioClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    namespace: String,
    acks: u64,
    /// Acks that came while something else was waited for.
    pub acked: Vec<(u64, Value)>,
}

impl SioClient {
    /// Connects to `http://…` and joins a namespace; the refusal's message otherwise.
    pub async fn join(url: &str, namespace: &str, auth: Value) -> Result<Self, String> {
        let url = format!(
            "{}/socket.io/?EIO=4&transport=websocket",
            url.replacen("http", "ws", 1)
        );
        let (socket, _) = connect_async_with_config(url, None, true)
            .await
            .map_err(|error| error.to_string())?;
        let mut client = Self {
            socket,
            namespace: namespace.to_owned(),
            acks: 0,
            acked: Vec::new(),
        };
        let open = client.text().await.ok_or("closed")?;
        assert!(open.starts_with('0'), "{open}");
        client.write(format!("40{}{auth}", client.prefix())).await;
        loop {
            let text = client.text().await.ok_or("closed")?;
            if text.starts_with("40") {
                return Ok(client);
            }
            if let Some(refusal) = text.strip_prefix("44") {
                let body = refusal.trim_start_matches(&client.prefix());
                let body: Value = serde_json::from_str(body).unwrap();
                return Err(body["message"].as_str().unwrap_or_default().to_owned());
            }
        }
    }

    fn prefix(&self) -> String {
        if self.namespace == "/" {
            String::new()
        } else {
            format!("{},", self.namespace)
        }
    }

    pub async fn emit(&mut self, event: &str, data: Value) {
        let body = json!([event, data]);
        self.write(format!("42{}{body}", self.prefix())).await;
    }

    /// An event without an argument.
    pub async fn emit_bare(&mut self, event: &str) {
        let body = json!([event]);
        self.write(format!("42{}{body}", self.prefix())).await;
    }

    /// Emits and asks for an ack; returns its number.
    pub async fn emit_acked(&mut self, event: &str, data: Value) -> u64 {
        self.acks += 1;
        let body = json!([event, data]);
        self.write(format!("42{}{}{body}", self.prefix(), self.acks))
            .await;
        self.acks
    }

    /// The next event; `None` when the server said goodbye or closed.
    pub async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let text = self.text().await?;
            if text.starts_with("41") {
                return None;
            }
            if let Some(rest) = text.strip_prefix("43") {
                let rest = rest.trim_start_matches(&self.prefix());
                let digits = rest.find('[').unwrap_or(0);
                let body: Value = serde_json::from_str(&rest[digits..]).unwrap();
                self.acked
                    .push((rest[..digits].parse().unwrap(), body[0].clone()));
                continue;
            }
            if let Some(rest) = text.strip_prefix("42") {
                let rest = rest.trim_start_matches(&self.prefix());
                let mut body: Value = serde_json::from_str(rest).unwrap();
                let event = body[0].as_str().unwrap().to_owned();
                return Some((event, body[1].take()));
            }
        }
    }

    /// Skips to the next event of this name.
    pub async fn wait_for(&mut self, name: &str) -> Value {
        loop {
            match self.event().await {
                Some((event, data)) if event == name => return data,
                Some(_) => {}
                None => panic!("the server closed before `{name}`"),
            }
        }
    }

    /// A packet as it is; the socket may be gone.
    pub async fn emit_raw(&mut self, text: String) {
        let _gone = self.socket.send(Message::text(text)).await;
    }

    async fn write(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next Engine.IO text, pings answered.
    async fn text(&mut self) -> Option<String> {
        loop {
            let message = timeout(WITHIN, self.socket.next())
                .await
                .expect("in time")?;
            match message.ok()? {
                Message::Text(text) if text.as_str() == "2" => self.write("3".into()).await,
                Message::Text(text) if text.as_str() == "1" => return None,
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }
}
