//! Everything the screen knows. Changed only by `update`, read only by `view`.

mod dialogs;
mod pages;
mod settings;
mod shown;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Offset, TimeDelta, Utc};

use crate::call::{Board, Call, CallId, CommandId, Epoch, Line, Pending, Severity};
use crate::engine::{Hello, LinkState};

use super::filter::Filter;
use super::keymap::{Act, Keymap};
use super::msg::Now;
use super::order::{Need, Rank, Sort, need};
use super::sound::{Pan, SoundState};
use super::transcript::Transcript;
use super::views::Views;
use super::watch::Watch;

pub use dialogs::{Ask, Confirm, GroupAsk, Overlay, Picker, Prompt, Tally};
pub use pages::{
    AlertKey, AlertList, AlertRow, AlertStage, AuditTrail, Groups, LeadPage, PastCalls, PastOrder,
};
pub use settings::{Endpoint, Mode, Settings};
pub use shown::{Ear, Focus, Frozen, List, Page, Readings, Tape, Toast, Totals, Unmasked, View};

/// Ended calls leave the board after this long, unless they are kept with `h`.
pub const ENDED_FADE: Duration = Duration::from_secs(10);
/// Time to take an action back before it is sent.
pub const GRACE: Duration = Duration::from_secs(3);
/// A yes this soon after its question was not meant for it: a key held down, or a paste.
pub const ANSWER_MIN: Duration = Duration::from_millis(250);
/// A text that is typed although its prompt was refused is over after a pause of this length.
pub const TYPING_PAUSE: Duration = Duration::from_secs(1);
/// An unmasked number is shown this long.
pub const UNMASKED_FOR: Duration = Duration::from_secs(30);
/// How long a line of news stays in the footer.
pub const TOAST_FOR: Duration = Duration::from_secs(5);
/// No key for this long: nobody may be looking, and an ended call need not stay under the cursor.
pub const UNATTENDED_AFTER: Duration = Duration::from_secs(60);
/// A card whose state changed is lit this long.
pub const LIT_FOR: Duration = Duration::from_millis(1200);
/// Level readings kept per leg for the small meters.
pub const LEVELS_MAX: usize = 96;
/// Scores kept per call for the trend.
pub const SCORES_MAX: usize = 60;
/// Updates kept while the picture is frozen; more and it thaws by itself.
pub const FROZEN_MAX: usize = 20_000;

#[derive(Debug)]
pub struct Model {
    pub settings: Settings,
    pub keymap: Keymap,
    pub now: Now,
    /// The backend's clock minus ours, once it is worth mentioning.
    pub skew: TimeDelta,
    pub size: (u16, u16),
    pub has_focus: bool,
    /// When a hand was last at the keys or the mouse; `None`: never.
    pub touched_at: Option<Duration>,

    pub board: Board,
    pub epoch: Option<Epoch>,
    pub hello: Option<Hello>,
    pub link: LinkState,
    pub link_since: Duration,
    /// When anything was last heard from the backend.
    pub heard_at: Duration,
    pub readings: HashMap<CallId, Readings>,
    pub pending: Pending,
    pub totals: Totals,
    pub totals_at: Option<Duration>,

    pub page: Page,
    /// The page a call was opened from.
    pub opened_from: Page,
    pub alerts: AlertList,
    pub groups: Groups,
    pub past: PastCalls,
    pub audit: AuditTrail,
    pub lead: LeadPage,
    /// Calls that what is done next is done to.
    pub marked: BTreeSet<CallId>,
    /// Where `!` has led, and how bad it was there; pressed again, it goes on to the worst of the others.
    pub worst_round: Vec<(CallId, Rank)>,
    pub is_wide: bool,
    pub watch: Watch,
    /// An export that waits for the lines the board no longer holds.
    pub exporting: Option<(CallId, super::export::Format)>,
    /// How the last order to several calls goes.
    pub tally: Option<Tally>,
    pub view: View,
    /// Kept ways of looking, and the columns of the table.
    pub views: Views,
    /// Why the file of kept views was not read.
    pub views_broken: Option<String>,
    pub focus: Focus,
    pub list: List,
    pub sort: Sort,
    pub reversed: bool,
    pub filter: Filter,
    pub keep_ended: bool,
    pub overlays: Vec<Overlay>,
    pub transcript: Transcript,
    /// Turn to show once the transcript of the selected call is laid out.
    pub jump: Option<u32>,
    /// Lines older than the board holds, of the call they were fetched for.
    pub older: Option<(CallId, Vec<Line>)>,
    pub asked_older: Option<CallId>,
    pub detail_scroll: u16,
    pub ear: Ear,
    pub tape: Option<Tape>,
    pub sound: SoundState,
    pub toast: Option<Toast>,
    pub unmasked: HashMap<CallId, Unmasked>,
    pub lit: HashMap<CallId, Duration>,
    pub frozen: Option<Frozen>,
    /// Backend notices the operator has closed.
    pub notices_read: usize,
    pub watched: Vec<CallId>,
    pub theme_name: String,
    /// By the operator, at this screen.
    pub theme_is_chosen: bool,
    pub has_mouse: bool,
    /// Step of the guided tour, from 0.
    pub tour: Option<usize>,
    /// The keys being taken in came in one read, too many for a hand: perhaps a paste that the
    /// terminal did not mark. They may move and type, but not act.
    pub in_burst: bool,
    /// What cannot be typed into now was asked for: until then what is typed is nobody's order.
    pub swallows_until: Option<Duration>,
    /// The loop is asked to give the terminal back for a while.
    pub wants_suspend: bool,
    minted: u64,
}

impl Model {
    pub fn new(settings: Settings, keymap: Keymap, now: Now) -> Self {
        let theme_name = settings.theme.clone();
        let watch = Watch::of(&settings.watch_words);
        let has_mouse = settings.mouse;
        let (views, views_broken) = match Views::parse(&settings.views) {
            Ok(views) => (views, None),
            Err(why) => (Views::default(), Some(why)),
        };
        Self {
            settings,
            keymap,
            now,
            skew: TimeDelta::zero(),
            size: (80, 24),
            has_focus: true,
            touched_at: None,
            board: Board::new(),
            epoch: None,
            hello: None,
            link: LinkState::Connecting { attempt: 1 },
            link_since: now.mono,
            heard_at: now.mono,
            readings: HashMap::new(),
            pending: Pending::default(),
            totals: Totals::default(),
            totals_at: None,
            page: Page::Board,
            opened_from: Page::Board,
            alerts: AlertList::default(),
            groups: Groups::default(),
            past: PastCalls::default(),
            audit: AuditTrail::default(),
            lead: LeadPage::default(),
            marked: BTreeSet::new(),
            worst_round: Vec::new(),
            is_wide: false,
            watch,
            exporting: None,
            tally: None,
            view: View::Cards,
            views,
            views_broken,
            focus: Focus::Calls,
            list: List {
                is_stale: true,
                ..List::default()
            },
            sort: Sort::default(),
            reversed: false,
            filter: Filter::default(),
            keep_ended: false,
            overlays: Vec::new(),
            transcript: Transcript::default(),
            jump: None,
            older: None,
            asked_older: None,
            detail_scroll: 0,
            ear: Ear {
                call: None,
                is_open: false,
                volume: 100,
                muted: false,
                pan: Pan::Split,
            },
            tape: None,
            sound: SoundState::default(),
            toast: None,
            unmasked: HashMap::new(),
            lit: HashMap::new(),
            frozen: None,
            notices_read: 0,
            watched: Vec::new(),
            theme_name,
            theme_is_chosen: false,
            has_mouse,
            tour: None,
            in_burst: false,
            swallows_until: None,
            wants_suspend: false,
            minted: 0,
        }
    }

    /// The time for durations on the board: the backend's clock, standing still while frozen.
    pub fn board_now(&self) -> DateTime<Utc> {
        let wall = self
            .frozen
            .as_ref()
            .map_or(self.now.wall, |frozen| frozen.at);
        wall + self.skew
    }

    pub fn zone(&self) -> FixedOffset {
        self.now.zone
    }

    /// The call under the cursor.
    pub fn list_selected(&self) -> Option<CallId> {
        self.list.selected
    }

    /// Whether what is shown are calls of the past, not the board's.
    pub fn is_past(&self) -> bool {
        match self.page {
            Page::History => true,
            Page::Call => self.opened_from == Page::History,
            _ => false,
        }
    }

    /// The call that is looked at: under the cursor of the board, or of the past calls. What the
    /// board knows of a call is newer than what was found in the past.
    pub fn selected(&self) -> Option<&Call> {
        match self.page {
            // There the cursor stands on a group, and what nobody sees must not be acted on.
            Page::Quality => return None,
            Page::Audit => {
                let row = self.audit.rows.get(self.audit.at)?;
                return self.board.get(row.call?);
            }
            Page::Lead => return self.board.get(self.lead.selected()?.call?),
            _ => {}
        }
        let past = self.is_past().then_some(&self.past);
        looked_at(&self.board, past, self.list.selected)
    }

    /// Its id.
    pub fn subject(&self) -> Option<CallId> {
        self.selected().map(|call| call.id)
    }

    /// A call by id, wherever it is known.
    pub fn find(&self, id: CallId) -> Option<&Call> {
        let past = || self.past.items.iter().find(|call| call.id == id);
        self.board.get(id).or_else(past)
    }

    pub fn need<'a>(&self, call: &'a Call) -> Need<'a> {
        need(call, &self.pending, self.board_now())
    }

    pub fn live_score(&self, call: CallId) -> Option<f32> {
        self.readings.get(&call)?.gauge.score
    }

    pub fn is_stale(&self) -> bool {
        matches!(
            self.link,
            LinkState::Down { .. } | LinkState::Refused(_) | LinkState::Connecting { .. }
        ) && self.hello.is_some()
            || matches!(self.link, LinkState::Refused(_))
    }

    /// Age of what is on the screen, whole seconds.
    pub fn data_age(&self) -> Duration {
        self.now.mono.saturating_sub(self.heard_at)
    }

    /// The operator's own name.
    pub fn user(&self) -> &str {
        self.hello.as_ref().map_or("you", |hello| &hello.user)
    }

    /// A new command id: time and a counter stirred into the seed.
    pub fn mint(&mut self) -> CommandId {
        self.minted += 1;
        let (low, high) = self.settings.seed.split_at(8);
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte))
        };
        let first = stir(word(low) ^ self.minted);
        let second = stir(word(high) ^ first);
        let mut random = [0; 10];
        let bytes = first.to_le_bytes().into_iter().chain(second.to_le_bytes());
        for (slot, byte) in random.iter_mut().zip(bytes) {
            *slot = byte;
        }
        let unix_ms = u64::try_from(self.now.wall.timestamp_millis()).unwrap_or(0);
        CommandId::from_parts(unix_ms, random)
    }

    /// Puts a line of news into the footer.
    pub fn say(&mut self, severity: Severity, text: impl Into<String>) {
        let long = if severity == Severity::Info { 1 } else { 2 };
        self.toast = Some(Toast {
            severity,
            text: text.into(),
            until: self.now.mono + TOAST_FOR * long,
        });
    }

    /// Whether seconds count: while calls are shown or the link is down. Otherwise the screen
    /// sleeps, and shows no seconds that would stand still.
    pub fn is_ticking(&self) -> bool {
        !self.list.order.is_empty()
            || self.board.live().next().is_some()
            || !matches!(self.link, LinkState::Embedded | LinkState::Up)
            || !self.settings.endpoints.is_empty()
    }

    /// Nobody has been at the keys for a while.
    pub fn is_unattended(&self) -> bool {
        self.touched_at
            .is_none_or(|at| self.now.mono.saturating_sub(at) >= UNATTENDED_AFTER)
    }

    /// When something on the screen changes next by time alone; `None` while nothing does.
    pub fn next_wake(&self) -> Option<Duration> {
        let now = self.now.mono;
        // Just after the next full second of the wall clock, so that all durations tick together.
        let into_second = self.now.wall.timestamp_subsec_millis().min(999);
        let second = Duration::from_millis(u64::from(1005 - into_second));
        let idle = Duration::from_millis(
            60_005
                - self
                    .now
                    .wall
                    .timestamp_millis()
                    .rem_euclid(60_000)
                    .unsigned_abs(),
        );
        let tick = now + if self.is_ticking() { second } else { idle };
        let deadlines = [
            self.pending.next_deadline(),
            self.toast.as_ref().map(|toast| toast.until),
            self.lit.values().min().copied(),
            self.unmasked.values().map(|shown| shown.until).min(),
        ];
        deadlines.into_iter().flatten().chain([tick]).min()
    }

    /// The context of the key table.
    pub fn context(&self) -> super::keymap::Context {
        use super::keymap::Context;
        match (self.page, self.focus) {
            (Page::Call, _) => Context::Call,
            (_, Focus::Transcript | Focus::Detail) => Context::Call,
            (Page::History | Page::Audit | Page::Lead, Focus::Calls) => Context::Past,
            (_, Focus::Calls) => Context::Calls,
        }
    }

    /// Keys of an act, for messages; its palette name when it has none.
    pub fn key(&self, act: Act) -> &str {
        let name = super::keymap::binding(act).name;
        self.keymap.first(act).unwrap_or(name)
    }
}

/// The call that is looked at: see [`Model::selected`].
pub fn looked_at<'a>(
    board: &'a Board,
    past: Option<&'a PastCalls>,
    selected: Option<CallId>,
) -> Option<&'a Call> {
    match past {
        Some(past) => {
            let found = past.selected()?;
            Some(board.get(found.id).unwrap_or(found))
        }
        None => board.get(selected?),
    }
}

/// SplitMix64's finaliser.
fn stir(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Now {
    /// Midnight of nothing in UTC: for models that are given the time before they are shown.
    pub fn at(wall: DateTime<Utc>) -> Self {
        Self {
            mono: Duration::ZERO,
            wall,
            zone: Utc.fix(),
        }
    }
}
