//! What is said, line by line, and what typed words mean. Pure: time and updates in, lines and
//! effects out.

mod words;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::call::{Call, CallEvent, CallId, Command, Direction, Envelope, Fact, Refusal};
use crate::engine::{LinkState, Update};
use crate::ui::words::{agent_name, duration, ending, masked, status_word};
use crate::ui::{
    self, Effect, Exit, Keymap, Mode, Model, Msg, Now, Settings, Typed, is_about_a_call,
    typed_commands,
};

use super::super::verbs::{fact_words, skew_words};
use words::{alert_line, ascii, calm, is_news};

/// Calls listed at once.
const LIST_MAX: usize = 40;

/// What the next line answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Nothing,
    /// Yes or no.
    Confirm,
    /// Keep, drain or cancel.
    Leave,
}

pub(super) struct Lines {
    model: Model,
    is_ascii: bool,
    /// Calls have small numbers that stay theirs: ids cannot be typed.
    numbers: BTreeMap<u32, CallId>,
    known: HashMap<CallId, u32>,
    last: u32,
    followed: Option<CallId>,
    asking: Asking,
    link: String,
    said: Option<(String, std::time::Duration)>,
    out: Vec<String>,
}

impl Lines {
    pub fn new(mode: Mode, name: Option<String>, is_ascii: bool, now: Now) -> Self {
        let settings = Settings {
            mode,
            name,
            seed: crate::engine::random(),
            ..Settings::default()
        };
        let mut model = Model::new(settings, Keymap::default(), now);
        // Tall enough for every call to be within reach.
        model.size = (200, 1_000);
        Self {
            model,
            is_ascii,
            numbers: BTreeMap::new(),
            known: HashMap::new(),
            last: 0,
            followed: None,
            asking: Asking::Nothing,
            link: "the backend has not answered".into(),
            said: None,
            out: Vec::new(),
        }
    }

    /// The lines that are due, oldest first; safe to print.
    pub fn take_output(&mut self) -> Vec<String> {
        let is_ascii = self.is_ascii;
        let clean = |line: String| {
            let line = crate::call::text::clean(&line).replace('\n', " ");
            let line = calm(&line);
            if is_ascii { ascii(&line) } else { line }
        };
        std::mem::take(&mut self.out)
            .into_iter()
            .map(clean)
            .collect()
    }

    pub fn say(&mut self, text: impl Into<String>) {
        self.out.push(text.into());
    }

    pub fn link_words(&self) -> String {
        self.link.clone()
    }

    pub fn tick(&mut self, now: Now) -> Vec<Effect> {
        self.message(now, Msg::Tick)
    }

    pub fn backend_gone(&mut self, now: Now) {
        self.message(now, Msg::BackendGone);
    }

    pub fn not_sent(&mut self, now: Now, command: Command, refusal: Refusal) {
        self.message(now, Msg::NotSent { command, refusal });
    }

    pub fn update(&mut self, now: Now, update: Update) -> Vec<Effect> {
        match &update {
            Update::Gauges(_) | Update::Alive => return Vec::new(),
            Update::Link(link) => self.link(link),
            Update::Hello(hello) => {
                let role = hello.role.as_str();
                self.say(format!(
                    "{}: you are {} ({role}); type help for the commands",
                    self.model
                        .settings
                        .name
                        .as_ref()
                        .unwrap_or(&hello.backend_id),
                    hello.user,
                ));
                if let Some(words) = skew_words(hello.now, now.wall) {
                    self.say(words);
                }
            }
            Update::Snapshot { .. } | Update::Envelopes { .. } | Update::Reply(_) => {}
        }
        let facts: Vec<_> = match &update {
            Update::Envelopes { items, .. } => items.clone(),
            _ => Vec::new(),
        };
        let is_snapshot = matches!(update, Update::Snapshot { .. });
        let effects = self.message(now, Msg::Backend(update));
        self.number();
        if is_snapshot {
            self.list(false);
        }
        for envelope in facts {
            self.fact(&envelope);
        }
        effects
    }

    fn message(&mut self, now: Now, message: Msg) -> Vec<Effect> {
        self.model.now = now;
        let mut effects = ui::update(&mut self.model, message);
        effects.extend(ui::prepare(&mut self.model));
        self.news();
        effects
    }

    /// What the screen would show in its footer.
    fn news(&mut self) {
        let Some(toast) = &self.model.toast else {
            return;
        };
        let news = (toast.text.clone(), toast.until);
        if self.said.as_ref() != Some(&news) {
            self.out.push(news.0.clone());
            self.said = Some(news);
        }
    }

    fn link(&mut self, link: &LinkState) {
        let words = match link {
            LinkState::Embedded | LinkState::Up => "link up".to_owned(),
            LinkState::Connecting { attempt: 1 } => "connecting".to_owned(),
            LinkState::Connecting { .. } => return,
            LinkState::Down {
                reason, retry_in, ..
            } => format!(
                "the backend cannot be reached: {reason}; next try in {} s; what is shown may be old",
                retry_in.as_secs().max(1)
            ),
            LinkState::Refused(refusal) => format!("refused: {}", refusal.message),
        };
        if self.link != words {
            if !matches!(link, LinkState::Embedded) {
                self.say(words.clone());
            }
            self.link = words;
        }
    }

    /// Gives numbers to calls that have none, and takes those of calls that are gone.
    fn number(&mut self) {
        let board = &self.model.board;
        self.numbers.retain(|_, id| board.get(*id).is_some());
        self.known.retain(|id, _| board.get(*id).is_some());
        for call in board.calls() {
            if !self.known.contains_key(&call.id) {
                // Never given twice: whoever types an old number must not meet another call.
                self.last += 1;
                let number = self.last;
                self.numbers.insert(number, call.id);
                self.known.insert(call.id, number);
            }
        }
    }

    fn fact(&mut self, envelope: &Envelope) {
        let CallEvent::Known(fact) = &envelope.event else {
            return;
        };
        let is_followed = envelope.call.is_some() && envelope.call == self.followed;
        if !is_followed && !is_news(fact) {
            return;
        }
        let Some(words) = fact_words(fact) else {
            return;
        };
        let at = envelope
            .at
            .with_timezone(&self.model.now.zone)
            .format("%H:%M:%S");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = match envelope.call.and_then(|id| self.model.board.get(id)) {
            None => format!("{at} {words}"),
            Some(call) => {
                let number = self.known.get(&call.id).copied().unwrap_or(0);
                let who = masked(call.caller_number());
                match fact {
                    Fact::CallSeen { .. } => {
                        format!("{at} call {number}: {who} {}, {words}", Self::with(call))
                    }
                    _ if is_followed => format!("{at} call {number}: {words}"),
                    _ => format!("{at} call {number}, {who}: {words}"),
                }
            }
        };
        self.say(line);
    }

    fn with(call: &Call) -> String {
        let name = call.facts.name.as_deref().unwrap_or_default();
        let way = match call.facts.direction {
            Direction::Inbound => "to",
            Direction::Outbound => "from",
        };
        if name.is_empty() {
            format!("{way} {}", agent_name(call))
        } else {
            format!("{way} {}, {name}", agent_name(call))
        }
    }

    /// Takes a typed line.
    pub fn typed(&mut self, now: Now, line: &str) -> Vec<Effect> {
        self.model.now = now;
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let word = word.to_lowercase();
        match std::mem::replace(&mut self.asking, Asking::Nothing) {
            Asking::Confirm => return self.confirmed(&word),
            Asking::Leave => return self.leave(&word),
            Asking::Nothing => {}
        }
        let rest = rest.trim();
        match word.as_str() {
            "" => {}
            "help" | "?" => self.help(),
            "list" | "ls" | "l" => self.list(true),
            "alerts" => self.alerts(),
            "show" => {
                if let Some((id, _)) = self.named(rest) {
                    self.show(id);
                }
            }
            "follow" => {
                if let Some((id, _)) = self.named(rest) {
                    self.followed = Some(id);
                    self.show(id);
                }
            }
            "unfollow" => {
                self.followed = None;
                self.say("following no call");
            }
            "listen" | "recording" => {
                if let Some((id, _)) = self.named(rest) {
                    self.say(format!(
                        "to hear it, elsewhere: wallboard {word} {id} | mpv -"
                    ));
                }
            }
            "quit" | "exit" | "q" => return self.quit(),
            _ => return self.command(&word, rest),
        }
        Vec::new()
    }

    /// `end 3`, `whisper 3 no refunds`, `stop dialing`.
    fn command(&mut self, word: &str, rest: &str) -> Vec<Effect> {
        let (mut name, mut rest) = (word.to_owned(), rest);
        let (second, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let joined = format!("{name}-{}", second.to_lowercase());
        if typed_commands().any(|binding| binding.name == joined) {
            (name, rest) = (joined, after.trim());
        }
        if is_about_a_call(&name) {
            let Some((id, argument)) = self.named(rest) else {
                return Vec::new();
            };
            self.model.list.selected = Some(id);
            rest = argument;
        }
        let argument = Some(rest).filter(|rest| !rest.is_empty());
        let effects = match ui::typed(&mut self.model, &name, argument) {
            Typed::Done(effects) => effects,
            Typed::Question(question) => {
                self.say(question);
                self.asking = Asking::Confirm;
                Vec::new()
            }
            Typed::Incomplete(missing) => {
                self.say(missing);
                Vec::new()
            }
            Typed::Unknown => {
                self.say(format!("there is no command {word}; type help"));
                Vec::new()
            }
        };
        self.news();
        effects
    }

    fn confirmed(&mut self, word: &str) -> Vec<Effect> {
        let is_yes = word == "yes" || word == "y";
        let effects = ui::answered(&mut self.model, is_yes);
        self.say(if is_yes {
            "in 3 seconds; type undo to take it back"
        } else {
            "nothing was done"
        });
        effects
    }

    fn quit(&mut self) -> Vec<Effect> {
        let live = self.model.board.live().count();
        if self.model.settings.mode == Mode::Run && live > 0 {
            self.asking = Asking::Leave;
            self.say(format!(
                "{live} live calls: keep serves on without this board, drain takes no new calls and \
                 ends when these are over, cancel stays here"
            ));
            return Vec::new();
        }
        vec![Effect::Leave(Exit::Quit)]
    }

    fn leave(&mut self, word: &str) -> Vec<Effect> {
        match word {
            // The end of the input is no reason to end a call.
            "keep" | "k" | "quit" => vec![Effect::Leave(Exit::KeepServing)],
            "drain" | "d" => vec![Effect::Leave(Exit::Drain)],
            _ => {
                self.say("staying");
                Vec::new()
            }
        }
    }

    /// The call a command names by number, or the followed one; and what comes after the number.
    fn named<'t>(&mut self, rest: &'t str) -> Option<(CallId, &'t str)> {
        let (first, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if let Ok(number) = first.parse::<u32>() {
            if let Some(id) = self.numbers.get(&number) {
                return Some((*id, after.trim()));
            }
            self.say(format!("there is no call {number}; type list"));
            return None;
        }
        let followed = self
            .followed
            .filter(|id| self.model.board.get(*id).is_some());
        if followed.is_none() {
            self.say("which call? give its number, or follow one first");
        }
        followed.map(|id| (id, rest))
    }

    fn help(&mut self) {
        self.say("list: all calls. alerts: what asks for somebody. show 3: one call. follow 3: every word of it. unfollow.");
        self.say("listen 3: how to hear it. recording 3: what was recorded. quit: leave; never ends a call by itself.");
        let lines: Vec<String> = typed_commands()
            .map(|binding| {
                let number = if is_about_a_call(binding.name) {
                    " 3"
                } else {
                    ""
                };
                format!(
                    "{}{number}: {}",
                    binding.name.replace('-', " "),
                    binding.help
                )
            })
            .collect();
        self.out.extend(lines);
        self.say("without a number a command is about the call you follow");
    }

    fn list(&mut self, is_asked: bool) {
        let totals = self.model.totals;
        let all = self.model.board.len();
        self.say(format!(
            "{all} calls: {} live, {} ringing, {} need attention",
            totals.live, totals.ringing, totals.attention
        ));
        let order = self.model.list.order.clone();
        let shown = if is_asked { LIST_MAX } else { LIST_MAX / 2 };
        for id in order.iter().take(shown) {
            if let Some(line) = self.model.board.get(*id).map(|call| self.row(call)) {
                self.say(line);
            }
        }
        if order.len() > shown {
            self.say(format!("and {} more", order.len() - shown));
        }
    }

    fn row(&self, call: &Call) -> String {
        let number = self.known.get(&call.id).copied().unwrap_or(0);
        let mut line = format!(
            "call {number}: {} {}, {} {}",
            status_word(call),
            duration(call.elapsed_s(self.model.board_now())),
            masked(call.caller_number()),
            Self::with(call)
        );
        let why = self.model.need(call).reason.map(Cow::into_owned);
        let why =
            why.or_else(|| Some(ending(call)).filter(|words| !call.is_live() && !words.is_empty()));
        for part in why.into_iter().chain(
            call.claimed_by
                .as_ref()
                .map(|by| format!("claimed by {by}")),
        ) {
            line.push_str(", ");
            line.push_str(&part);
        }
        line
    }

    fn show(&mut self, id: CallId) {
        let Some(call) = self.model.board.get(id) else {
            return;
        };
        let mut lines = vec![self.row(call)];
        lines.extend(call.alerts.iter().map(alert_line));
        let zone = self.model.now.zone;
        for said in crate::call::utterances(call).iter().rev().take(10).rev() {
            let at = said.at.with_timezone(&zone).format("%H:%M:%S");
            let who = fact_words(&Fact::UtteranceFinal {
                turn: said.turn,
                track: said.track,
                text: said.text.clone(),
                latency_ms: said.latency_ms,
            });
            let words = who.unwrap_or_default();
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            lines.push(format!("{at} {words}"));
        }
        self.out.extend(lines);
    }

    fn alerts(&mut self) {
        let mut lines = Vec::new();
        for call in self.model.board.live() {
            let number = self.known.get(&call.id).copied().unwrap_or(0);
            for alert in &call.alerts {
                lines.push(format!("call {number}: {}", alert_line(alert)));
            }
        }
        if lines.is_empty() {
            lines.push("nothing asks for attention".into());
        }
        self.out.extend(lines);
    }
}

#[cfg(test)]
mod tests;
