//! `chat`: a conversation with an agent in a terminal, by text and, where there is a microphone, by
//! voice. A line is a turn; `/clear` makes the agent be quiet, `/mic` (on a terminal also Tab) turns
//! the microphone on and off; the end of the input leaves once everything was answered.

mod voice;

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::audio::{AudioConfig, MIC_RATE_HZ, MicConfig, Volume};
use crate::call::{Secret, text};
use crate::cli::args::ChatArgs;
use crate::cli::config::Config;
use crate::cli::run::on_a_terminal;
use crate::cli::{Failure, Outcome, out};
use crate::engine::{Backoff, Tasks, random};
use crate::remote::{ChatLink, ChatNews, RemoteSettings};
use crate::ui::{LineKey, Signals, StatusLine};

use super::Place;
use voice::{STATUS_EVERY, Voice};

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
/// The command that turns the microphone on and off.
const MIC: &str = "/mic";
/// How the agent's voice is asked for: what loudspeakers here play.
const SOUND: (&str, u32) = ("mulaw", 8_000);

/// What is known of the conversation.
struct Talk {
    settings: RemoteSettings,
    token: Option<Secret>,
    agent: String,
    as_json: bool,
    screen: Screen,
    voice: Option<Voice>,
    session: Option<String>,
    /// Connections that failed since the last good one.
    failed: u32,
    /// Turns without an answer yet.
    open: u32,
}

/// Where lines come from and go to.
enum Screen {
    Plain(Lines<BufReader<Stdin>>),
    /// A terminal, with a status line below.
    Live(StatusLine),
}

pub async fn run(args: &ChatArgs, config: &Config, as_json: bool) -> Outcome {
    let place = Place::find(&args.remote, config)?;
    let settings = RemoteSettings::new(place.url.as_str())
        .map_err(|error| Failure::usage(error.to_string(), "check --url"))?;
    let tasks = Tasks::new();
    let (voice, why) = voice(args, config, as_json, &tasks).await;
    let is_live = voice.is_some() && !as_json && on_a_terminal();
    let screen = match is_live.then(StatusLine::enter) {
        Some(Ok(line)) => Screen::Live(line),
        Some(Err(_)) | None => Screen::Plain(BufReader::new(tokio::io::stdin()).lines()),
    };
    let mut talk = Talk {
        settings,
        token: place.token,
        agent: args.agent.clone(),
        as_json,
        screen,
        voice,
        session: None,
        failed: 0,
        open: 0,
    };
    if let Some(reason) = why {
        talk.told_of_mic("none", &reason)?;
    }
    let outcome = talk.run(args.mic.is_some()).await;
    drop(talk);
    tasks.shutdown(Duration::from_millis(500)).await;
    outcome
}

/// The voice, or why there is none; neither where nobody would speak: on a pipe, unless asked for.
async fn voice(
    args: &ChatArgs,
    config: &Config,
    as_json: bool,
    tasks: &Tasks,
) -> (Option<Voice>, Option<String>) {
    let may_speak = args.mic.is_some() || (on_a_terminal() && !as_json);
    if args.no_mic || !may_speak {
        return (None, None);
    }
    let env = |name: &str| std::env::var(name).ok();
    let mic = MicConfig::new(args.mic.as_deref().unwrap_or_default(), env);
    if let Err(reason) = mic.find().await {
        return (None, Some(reason));
    }
    let mut speakers = AudioConfig::new(config.ui.audio_device.as_deref(), env);
    speakers.volume = Volume(config.ui.volume);
    (Some(Voice::new(mic, speakers, tasks)), None)
}

impl Talk {
    async fn run(&mut self, is_mic_wanted: bool) -> Outcome {
        let mut signals = Signals::new()
            .map_err(|error| Failure::failed(format!("signals cannot be handled: {error}"), ""))?;
        let mut link = self.dial()?;
        let mut ends_at: Option<Instant> = None;
        let mut looks = interval(STATUS_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut mic_wanted = is_mic_wanted && self.voice.is_some();
        loop {
            if mic_wanted && self.session.is_some() {
                mic_wanted = false;
                self.toggle(&link).await?;
            }
            // Who is being listened to has not left, whatever became of the keyboard.
            let is_heard = self.voice.as_ref().is_some_and(Voice::is_on);
            if ends_at.is_some() && self.open == 0 && !is_heard {
                return Ok(());
            }
            let never = Instant::now() + Duration::from_secs(86_400);
            let deadline = ends_at.filter(|_| !is_heard).unwrap_or(never);
            let reads = ends_at.is_none() && self.session.is_some();
            // All arms are cancel-safe.
            tokio::select! {
                key = self.screen.key(), if reads => match key {
                    LineKey::Entered(line) => self.enter(&link, line.trim()).await?,
                    LineKey::Toggled => self.toggle(&link).await?,
                    LineKey::Left => {
                        ends_at = Some(Instant::now() + ANSWER_WITHIN);
                        self.leave(&link).await?;
                    }
                },
                recorded = recorded(&mut self.voice) => match recorded {
                    Ok(sound) => link.speak(&sound, MIC_RATE_HZ, false),
                    Err(reason) => self.told_of_mic("off", &reason)?,
                },
                _ = looks.tick() => self.look(),
                news = timeout_at(deadline, link.hear()) => match news {
                    Ok(ChatNews::Down(reason)) => link = self.redial(&reason).await?,
                    Ok(news) => {
                        if self.hear(news)? {
                            return Ok(());
                        }
                    }
                    Err(_) => return Err(Failure::failed("the agent did not answer in time", "")),
                },
                _ = signals.next() => return Ok(()),
            }
        }
    }

    async fn enter(&mut self, link: &ChatLink, line: &str) -> Outcome {
        if let (Screen::Live(_), false) = (&self.screen, line.is_empty()) {
            // The terminal does not echo what is typed on the status line.
            self.line(&format!("you: {}", text::clean_label(line)))?;
        }
        match line {
            "" => Ok(()),
            MIC => self.toggle(link).await,
            CLEAR => {
                self.open = 0;
                link.clear();
                self.quiet();
                Ok(())
            }
            words => {
                self.open += 1;
                link.say(words);
                Ok(())
            }
        }
    }

    /// Nobody is at the keyboard any more. A microphone that was turned on from there goes with it;
    /// one on a pipe, which nobody else could turn off either, goes on.
    async fn leave(&mut self, link: &ChatLink) -> Outcome {
        match (&self.screen, &self.voice) {
            (Screen::Live(_), Some(voice)) if voice.is_on() => self.toggle(link).await,
            _ => Ok(()),
        }
    }

    /// Turns the microphone on or off.
    async fn toggle(&mut self, link: &ChatLink) -> Outcome {
        let Some(voice) = &mut self.voice else {
            return self.told_of_mic("none", "this conversation is text only");
        };
        let (was_on, rest) = voice.turn_off().await;
        if let Some(rest) = rest {
            link.speak(&rest, MIC_RATE_HZ, true);
        }
        if was_on {
            return self.told_of_mic("off", "");
        }
        match voice.turn_on().await {
            Ok(name) => self.told_of_mic("on", &name),
            Err(reason) => self.told_of_mic("off", &reason),
        }
    }

    /// One line, or one JSON line, about the microphone.
    fn told_of_mic(&mut self, state: &str, about: &str) -> Outcome {
        let about = text::clean_label(about).into_owned();
        if self.as_json {
            return out::json(&json!({"type": "mic", "state": state, "about": about}));
        }
        let words = match (state, about.as_str()) {
            ("none", reason) => format!("[text only: {reason}]"),
            (state, "") => format!("[mic {state}]"),
            (state, about) => format!("[mic {state}: {about}]"),
        };
        self.line(&words)
    }

    fn quiet(&mut self) {
        if let Some(voice) = &mut self.voice {
            voice.clear();
        }
    }

    fn look(&mut self) {
        if let (Screen::Live(line), Some(voice)) = (&mut self.screen, &self.voice) {
            line.status(&voice.status());
        }
    }

    fn line(&mut self, words: &str) -> Outcome {
        match &mut self.screen {
            Screen::Plain(_) => out::line(words),
            Screen::Live(line) => line
                .say(words)
                .map_err(|error| Failure::failed(format!("the terminal is gone: {error}"), "")),
        }
    }

    fn dial(&self) -> Outcome<ChatLink> {
        let auth = json!({
            "agentId": self.agent,
            "token": self.token.as_ref().map(Secret::expose),
            "session": self.session,
            "audio": self.voice.is_some(),
            "format": SOUND.0,
            "sample_rate": SOUND.1,
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
        self.quiet();
        self.note("[connection lost, trying again]")?;
        sleep(pause).await;
        self.dial()
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
                    let keys = match (&self.screen, &self.voice) {
                        (Screen::Live(_), _) => {
                            "Tab or /mic: microphone, /clear, or Ctrl-D to leave"
                        }
                        (Screen::Plain(_), Some(_)) => "/mic, /clear, or Ctrl-D to leave",
                        (Screen::Plain(_), None) => "/clear, or Ctrl-D to leave",
                    };
                    self.note(&format!("[{} is there; {keys}]", self.agent))?;
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
                    self.line(&format!("{}: {}", self.agent, text::clean_label(&said)))?;
                }
            }
            ChatNews::Audio { data, is_last } => {
                if let Some(voice) = &mut self.voice {
                    voice.heard(&data, is_last);
                }
            }
            ChatNews::Clear => self.quiet(),
            ChatNews::Trouble { message, hint } => {
                self.open = self.open.saturating_sub(1);
                if self.as_json {
                    out::json(&json!({"type": "error", "message": message, "hint": hint}))?;
                } else {
                    self.line(&format!(
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

    fn note(&mut self, words: &str) -> Outcome {
        if self.as_json {
            Ok(())
        } else {
            self.line(words)
        }
    }
}

impl Screen {
    /// What is entered next. Cancel-safe.
    async fn key(&mut self) -> LineKey {
        match self {
            Self::Live(line) => line.key().await,
            Self::Plain(lines) => match lines.next_line().await {
                Ok(Some(line)) => LineKey::Entered(line),
                Ok(None) | Err(_) => LineKey::Left,
            },
        }
    }
}

/// The next sound to send; meanwhile the agent's is played. Cancel-safe.
async fn recorded(voice: &mut Option<Voice>) -> Result<Bytes, String> {
    match voice {
        Some(voice) => voice.next().await,
        None => std::future::pending().await,
    }
}
