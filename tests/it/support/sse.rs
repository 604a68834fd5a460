//! An event stream as a browser reads one: frames by blank lines, `id` kept for coming again.

use std::time::Duration;

use serde_json::Value;

/// Generous: a loaded machine must not fail a test.
const WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct Frame {
    pub id: Option<String>,
    pub data: Value,
}

impl Frame {
    pub fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap_or_default()
    }

    pub fn words(&self) -> &str {
        self.data["message"].as_str().unwrap_or_default()
    }
}

pub struct Sse {
    response: reqwest::Response,
    held: String,
    pub last_id: Option<String>,
}

impl Sse {
    pub fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "text/event-stream");
        Self {
            response,
            held: String::new(),
            last_id: None,
        }
    }

    /// The next frame; `None` when the server has closed the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.held.find("\n\n") {
                let text: String = self.held.drain(..end + 2).collect();
                let mut frame = Frame {
                    id: None,
                    data: Value::Null,
                };
                for line in text.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => frame.id = Some(id.to_owned()),
                        Some(("data", data)) => frame.data = serde_json::from_str(data).unwrap(),
                        _ => assert!(line.is_empty(), "an unexpected line: {line}"),
                    }
                }
                if frame.id.is_some() {
                    self.last_id.clone_from(&frame.id);
                }
                return Some(frame);
            }
            let chunk = tokio::time::timeout(WITHIN, self.response.chunk());
            let chunk = chunk.await.expect("a frame in time").ok().flatten()?;
            self.held.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next frame that is no heartbeat.
    pub async fn event(&mut self) -> Frame {
        let wanted = async {
            loop {
                let frame = self.next().await.expect("an open stream");
                if frame.kind() != "heartbeat" {
                    return frame;
                }
            }
        };
        tokio::time::timeout(WITHIN, wanted)
            .await
            .expect("an event in time")
    }

    pub async fn events(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.event().await);
        }
        frames
    }
}
