//! A client of the voice gateway: Socket.IO over one WebSocket, as little of it as is needed, acting
//! the caller of a script. Spec: Engine.IO protocol 4, Socket.IO protocol 5.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::speech::{Line, Script};
use super::ulaw::{FRAME_BYTES, SILENCE};

const NAMESPACE: &str = "/chat/v1";
/// Longest wait for anything.
const WITHIN: Duration = Duration::from_secs(40);
/// Audio in one message: a tenth of a second, as a page's recorder gives it.
const PIECE: usize = FRAME_BYTES * 5;
/// Silence after the caller's words, so that the turn ends.
const AFTER_WORDS: Duration = Duration::from_millis(1_200);

/// A connected client.
#[derive(Debug)]
pub struct ChatClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// One answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub text: String,
    pub chunks: u32,
    /// From the question to its first sound, and to its text.
    pub first_audio: Option<Duration>,
    pub whole: Duration,
}

fn broken(what: impl ToString) -> io::Error {
    io::Error::other(what.to_string())
}

impl ChatClient {
    /// Connects to `http://…` and joins with this `auth`.
    ///
    /// # Errors
    /// Not reached, or turned away.
    pub async fn join(base: &str, auth: &Value) -> io::Result<Self> {
        super::install_tls();
        let url = format!(
            "{}/socket.io/?EIO=4&transport=websocket",
            base.replacen("http", "ws", 1)
        );
        let (socket, _) = connect_async_with_config(url, None, true)
            .await
            .map_err(broken)?;
        let mut client = Self { socket };
        client.text().await?;
        client.write(format!("40{NAMESPACE},{auth}")).await?;
        loop {
            let text = client.text().await?;
            if text.starts_with("40") {
                return Ok(client);
            }
            if let Some(refusal) = text.strip_prefix("44") {
                return Err(broken(refusal));
            }
        }
    }

    /// Sends one event.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn emit(&mut self, event: &str, data: &Value) -> io::Result<()> {
        self.write(format!("42{NAMESPACE},{}", json!([event, data])))
            .await
    }

    /// The next event.
    ///
    /// # Errors
    /// Nothing came in time, or the connection is gone.
    pub async fn event(&mut self) -> io::Result<(String, Value)> {
        loop {
            let text = self.text().await?;
            if text.starts_with("41") {
                return Err(broken("put out"));
            }
            let Some(rest) = text.strip_prefix("42") else {
                continue;
            };
            let body = rest
                .strip_prefix(NAMESPACE)
                .and_then(|rest| rest.strip_prefix(','))
                .unwrap_or(rest);
            let mut body: Value = serde_json::from_str(body).map_err(broken)?;
            let event = body.get(0).and_then(Value::as_str).unwrap_or_default();
            let event = event.to_owned();
            let data = body.get_mut(1).map(Value::take).unwrap_or_default();
            return Ok((event, data));
        }
    }

    /// Waits for the text of an answer; its audio comes before it.
    ///
    /// # Errors
    /// It did not come.
    pub async fn answer(&mut self) -> io::Result<Answered> {
        let asked = Instant::now();
        let mut answered = Answered::default();
        loop {
            let (event, data) = self.event().await?;
            match event.as_str() {
                "audio" => {
                    answered.chunks += 1;
                    answered.first_audio.get_or_insert(asked.elapsed());
                }
                "text" if data.pointer("/meta_info/partial").is_none() => {
                    let text = data.get("data").and_then(Value::as_str);
                    text.unwrap_or_default().clone_into(&mut answered.text);
                    answered.whole = asked.elapsed();
                    return Ok(answered);
                }
                "error" => {
                    let message = data.get("message").and_then(Value::as_str);
                    return Err(broken(message.unwrap_or("an error")));
                }
                _ => {}
            }
        }
    }

    /// Speaks µ-law at the pace it is heard.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn speak(&mut self, ulaw: &[u8]) -> io::Result<()> {
        let silence = vec![SILENCE; AFTER_WORDS.as_millis() as usize * 8];
        let began = Instant::now();
        let mut spoken = Duration::ZERO;
        for piece in ulaw.chunks(PIECE).chain(silence.chunks(PIECE)) {
            let message = json!({
                "data": STANDARD.encode(piece),
                "meta_info": {"format": "mulaw", "stream_sid": "rehearsal"},
            });
            self.emit("audio", &message).await?;
            spoken += Duration::from_millis(piece.len() as u64 / 8);
            sleep(spoken.saturating_sub(began.elapsed())).await;
        }
        Ok(())
    }

    /// Acts the caller of a script to its end, then leaves.
    ///
    /// # Errors
    /// The conversation broke.
    pub async fn act(mut self, script: &Script) -> io::Result<()> {
        self.answer().await?;
        for line in &script.lines {
            if let Line::Caller(line) = line {
                sleep(line.reply).await;
                self.speak(&line.audio).await?;
                self.answer().await?;
            }
        }
        self.leave().await
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// The connection is gone already.
    pub async fn leave(mut self) -> io::Result<()> {
        self.write(format!("41{NAMESPACE},")).await?;
        self.socket.close(None).await.map_err(broken)
    }

    async fn write(&mut self, text: String) -> io::Result<()> {
        self.socket.send(Message::text(text)).await.map_err(broken)
    }

    /// The next Engine.IO text, pings answered.
    async fn text(&mut self) -> io::Result<String> {
        loop {
            let message = timeout(WITHIN, self.socket.next())
                .await
                .map_err(|_| broken("nothing came in time"))?
                .ok_or_else(|| broken("closed"))?;
            match message.map_err(broken)? {
                Message::Text(text) if text.as_str() == "2" => self.write("3".into()).await?,
                Message::Text(text) if text.as_str() == "1" => return Err(broken("closed")),
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(_) => return Err(broken("closed")),
                _ => {}
            }
        }
    }
}
