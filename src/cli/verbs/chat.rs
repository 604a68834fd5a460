//! `chat`: a conversation with an agent in a terminal, by text. A line is a turn; `/clear` makes the
//! agent be quiet, the end of the input leaves once everything was answered.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::{Secret, text};
use crate::cli::args::ChatArgs;
use crate::cli::config::Config;
use crate::cli::{Failure, Outcome, out};
use crate::engine::{Backoff, random};
use crate::remote::{ChatLink, ChatNews, RemoteSettings};

use super::Place;

/// How long an answer is waited for after the input has ended.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The backend keeps a conversation for half a minute: tries beyond that are of no use.
const AGAIN: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(5),
    tries: 8,
};
/// The command that makes the agent be quiet.
const CLEAR: &str = "/clear";

/// What is known of the conversation.
struct Talk {
    settings: RemoteSettings,
    token: Option<Secret>,
    agent: String,
    as_json: bool,
    session: Option<String>,
    /// Connections that failed since the last good one.
    failed: u32,
    /// Turns without an answer yet.
    open: u32,
}

pub async fn run(args: &ChatArgs, config: &Config, as_json: bool) -> Outcome {
    let place = Place::find(&args.remote, config)?;
    let settings = RemoteSettings::new(place.url.as_str())
        .map_err(|error| Failure::usage(error.to_string(), "check --url"))?;
    let mut talk = Talk {
        settings,
        token: place.token,
        agent: args.agent.clone(),
        as_json,
        session: None,
        failed: 0,
        open: 0,
    };
    let mut link = talk.dial()?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut ends_at: Option<Instant> = None;
    loop {
        if ends_at.is_some() && talk.open == 0 {
            return Ok(());
        }
        let deadline = ends_at.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        // Both arms are cancel-safe.
        tokio::select! {
            line = lines.next_line(), if ends_at.is_none() && talk.session.is_some() => match line {
                Ok(Some(line)) => talk.say(&link, line.trim()),
                Ok(None) | Err(_) => ends_at = Some(Instant::now() + ANSWER_WITHIN),
            },
            news = timeout_at(deadline, link.hear()) => match news {
                Ok(ChatNews::Down(reason)) => link = talk.redial(&reason).await?,
                Ok(news) => {
                    if talk.hear(news)? {
                        return Ok(());
                    }
                }
                Err(_) => return Err(Failure::failed("the agent did not answer in time", "")),
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

impl Talk {
    fn dial(&self) -> Outcome<ChatLink> {
        let auth = json!({
            "agentId": self.agent,
            "token": self.token.as_ref().map(Secret::expose),
            "session": self.session,
            "audio": false,
        });
        ChatLink::dial(&self.settings, auth)
            .map_err(|error| Failure::failed(format!("no connection: {error}"), ""))
    }

    async fn redial(&mut self, reason: &str) -> Outcome<ChatLink> {
        self.failed += 1;
        let pause = AGAIN.after(self.failed, u64::from_le_bytes(random()));
        let (Some(pause), true) = (pause, self.session.is_some()) else {
            return Err(Failure::unreachable(
                format!("the backend cannot be reached: {reason}"),
                "is it running? wallboard serve, or name another with --url",
            ));
        };
        if !self.as_json {
            out::line("[connection lost, trying again]")?;
        }
        sleep(pause).await;
        self.dial()
    }

    fn say(&mut self, link: &ChatLink, line: &str) {
        if line == CLEAR {
            self.open = 0;
            link.clear();
        } else if !line.is_empty() {
            self.open += 1;
            link.say(line);
        }
    }

    /// Shows what was heard; `true` at the end.
    fn hear(&mut self, news: ChatNews) -> Outcome<bool> {
        match news {
            ChatNews::Here { session, resumed } => {
                self.failed = 0;
                self.session = Some(session);
                if resumed {
                    self.note("[back in the conversation]")?;
                } else {
                    self.note(&format!(
                        "[{} is there; /clear, or Ctrl-D to leave]",
                        self.agent
                    ))?;
                }
            }
            ChatNews::Text {
                text: said,
                is_greeting,
            } => {
                if !is_greeting {
                    self.open = self.open.saturating_sub(1);
                }
                if self.as_json {
                    out::json(&json!({"type": "text", "text": said}))?;
                } else {
                    out::line(&format!("{}: {}", self.agent, text::clean_label(&said)))?;
                }
            }
            ChatNews::Trouble { message, hint } => {
                self.open = self.open.saturating_sub(1);
                if self.as_json {
                    out::json(&json!({"type": "error", "message": message, "hint": hint}))?;
                } else {
                    out::line(&format!(
                        "! {} ({})",
                        text::clean_label(&message),
                        text::clean_label(&hint)
                    ))?;
                }
                if self.session.is_none() {
                    return Err(Failure::not_found(message, hint));
                }
            }
            ChatNews::Ended(reason) => {
                self.note(&format!("[ended: {}]", text::clean_label(&reason)))?;
                return Ok(true);
            }
            ChatNews::Refused(word) => {
                return Err(Failure::refused(
                    format!(
                        "the backend did not let us in: {}",
                        text::clean_label(&word)
                    ),
                    "a token with the verb chat: wallboard token add NAME --verbs +chat",
                ));
            }
            ChatNews::Down(_) => {}
        }
        Ok(false)
    }

    fn note(&self, words: &str) -> Outcome {
        if self.as_json {
            Ok(())
        } else {
            out::line(words)
        }
    }
}
