//! Every binding there is: the rows that footer, help, palette and key card are made from.

use crate::call::Verb;

use super::{Act, Binding, Context, Group, Needs, plain};

/// Every binding there is.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    // Act on the call.
    plain(Act::End, "end", &["E"], Group::Act, "end", "end the call (asks, then 3 s to undo)")
        .may(Verb::Terminate).on(Needs::LiveCall).foot(3),
    plain(Act::Undo, "undo", &["u"], Group::Act, "undo", "take back what is still in its 3 s grace"),
    plain(Act::Whisper, "whisper", &["W"], Group::Act, "whisper", "hint to the agent; the caller hears nothing")
        .may(Verb::Whisper).if_backend("whisper").on(Needs::InCall).foot(8),
    plain(Act::Say, "say", &["S"], Group::Act, "say", "the agent speaks your words to the caller")
        .may(Verb::Say).if_backend("say").on(Needs::InCall),
    plain(Act::PauseAgent, "pause-agent", &["P"], Group::Act, "pause AI", "pause or resume the agent")
        .may(Verb::Pause).if_backend("pause").on(Needs::InCall),
    plain(Act::TakeOver, "take-over", &["T"], Group::Act, "take over", "take over: the agent is silent, what you type is spoken to the caller")
        .may(Verb::Takeover).if_backend("takeover").on(Needs::InCall),
    plain(Act::HandBack, "hand-back", &["B"], Group::Act, "hand back", "give the call back with a note: the agent goes on and does not greet")
        .may(Verb::Takeover).if_backend("takeover").on(Needs::InCall),
    plain(Act::Transfer, "transfer", &["X"], Group::Act, "transfer", "hand the caller to a number (asks)")
        .may(Verb::Transfer).if_backend("transfer").on(Needs::InCall).foot(9),
    plain(Act::Record, "record", &["R"], Group::Act, "record", "start, pause or resume the recording")
        .may(Verb::Record).if_backend("record").on(Needs::InCall),
    plain(Act::RecordStop, "record-stop", &[], Group::Act, "rec stop", "stop the recording for good")
        .may(Verb::Record).if_backend("record").on(Needs::InCall),
    plain(Act::Claim, "claim", &["c"], Group::Act, "claim", "claim the call for you, or release it")
        .may(Verb::Claim).if_backend("claim").on(Needs::LiveCall),
    plain(Act::Flag, "flag", &["f"], Group::Act, "flag", "flag the call with a label")
        .may(Verb::Flag).if_backend("flag").on(Needs::Call),
    plain(Act::Note, "note", &["e"], Group::Act, "note", "write a note on the call")
        .may(Verb::Note).if_backend("note").on(Needs::Call),
    plain(Act::Acknowledge, "ack", &["x"], Group::Act, "ack", "acknowledge the call's alert")
        .may(Verb::Ack).if_backend("ack").on(Needs::LiveCall),
    plain(Act::Snooze, "snooze", &["z"], Group::Act, "snooze", "silence the call's alert for 10 minutes")
        .may(Verb::Snooze).if_backend("snooze").on(Needs::LiveCall),
    plain(Act::Unmask, "unmask", &["M"], Group::Act, "unmask", "show the number for 30 s (asks the reason, audited)")
        .may(Verb::Unmask).if_backend("unmask").on(Needs::Call),
    plain(Act::Copy, "copy", &["y"], Group::Act, "copy", "copy or export: id, number, turn, transcript, listen link")
        .on(Needs::Call),
    plain(Act::Export, "export", &[], Group::Act, "export", "write the call to a file: :export markdown; past list: :export csv")
        .may(Verb::Export).on(Needs::Call),
    plain(Act::HandOver, "handover", &[], Group::Look, "hand-over", "draft the note for the next shift: what is open, silenced, and the past calls listed"),
    plain(Act::Dial, "dial", &["D"], Group::Act, "dial", "place a call")
        .may(Verb::Dial).if_backend("dial"),
    plain(Act::StopDialing, "stop-dialing", &[], Group::Act, "halt dial", "no more outbound calls; those in progress go on")
        .may(Verb::StopDialing).if_backend("dial"),
    // Hear.
    plain(Act::Listen, "listen", &["L"], Group::Hear, "listen", "listen on or off; one way, nobody hears you")
        .may(Verb::Listen).if_backend("listen").on(Needs::InCall).foot(2),
    plain(Act::VolumeUp, "louder", &["+", "="], Group::Hear, "louder", "louder"),
    plain(Act::VolumeDown, "softer", &["-"], Group::Hear, "softer", "softer"),
    plain(Act::Mute, "mute", &["m"], Group::Hear, "mute", "mute or unmute what you hear"),
    plain(Act::Legs, "legs", &["a"], Group::Hear, "legs", "which leg in which ear"),
    plain(Act::Play, "play", &["r"], Group::Hear, "play", "play, pause or go on with the call's recording; :play 1 the first of several")
        .may(Verb::Recordings).if_backend("recordings").foot(2),
    plain(Act::PlayStop, "play-stop", &["."], Group::Hear, "full stop", "stop the recording that plays"),
    plain(Act::PlayBack, "play-back", &["<"], Group::Hear, "back 5 s", "5 s back in the recording"),
    plain(Act::PlayAhead, "play-ahead", &[">"], Group::Hear, "on 5 s", "5 s ahead in the recording"),
    // Look.
    plain(Act::Open, "open", &["enter"], Group::Look, "open", "open the call full screen; of a group: only its calls").foot(1),
    plain(Act::Back, "back", &["esc"], Group::Look, "back", "back; on the board: clear the filter"),
    plain(Act::Worst, "worst", &["!"], Group::Look, "worst", "to the call that needs you most, at the turn that shows it; again: the next").foot(4),
    plain(Act::Filter, "filter", &["/"], Group::Look, "filter", "filter: words, !not, agent:ava, turn>2, ~fuzzy")
        .within(Context::Calls).foot(6),
    plain(Act::Search, "search", &["/"], Group::Look, "search", "search the transcript")
        .within(Context::Call).foot(6),
    plain(Act::SearchPast, "search-past", &["/"], Group::Look, "search", "search past calls: words, since:8h, flag:*, agent:ava")
        .within(Context::Past).foot(6),
    plain(Act::NextMatch, "next-match", &["n"], Group::Look, "next", "next match in the transcript; of a past call without a search: the next call"),
    plain(Act::PreviousMatch, "previous-match", &["N"], Group::Look, "previous", "previous match, or call"),
    plain(Act::View, "view", &["v"], Group::Look, "view", "cards, dense table, or four transcripts at once; :view NAME: one you kept").foot(13),
    plain(Act::Columns, "columns", &["t"], Group::Look, "columns", "which columns the dense table has")
        .within(Context::Calls),
    plain(Act::SaveView, "save-view", &[], Group::Look, "keep view", "keep filter, order, grouping, layout and columns: save-view night"),
    plain(Act::ForgetView, "forget-view", &[], Group::Look, "drop view", "forget a view you kept"),
    plain(Act::Wide, "wide", &["w"], Group::Look, "wide", "the list over the whole width, or beside the call"),
    plain(Act::GroupBy, "group", &["b"], Group::Look, "group", "one sick call or one sick carrier: group by carrier, agent, prefix, route").foot(12),
    plain(Act::Mark, "mark", &["space"], Group::Look, "mark", "mark the call; what you do then is done to all marked (asks for their number)")
        .within(Context::Calls).on(Needs::Call),
    plain(Act::MarkPast, "mark-past", &["space"], Group::Look, "mark", "mark the call; a flag or note is then for all marked (asks for their number)")
        .within(Context::Past).on(Needs::Call),
    plain(Act::FoldTools, "fold-tools", &["t"], Group::Look, "tools", "fold or unfold what tools were told and answered")
        .within(Context::Call),
    plain(Act::Sort, "sort", &["s"], Group::Look, "sort", "next order: attention, duration, turn, score, newest; of past calls: time, risk"),
    plain(Act::Reverse, "reverse", &["o"], Group::Look, "reverse", "turn the order round"),
    plain(Act::KeepEnded, "keep-ended", &["h"], Group::Look, "ended", "keep ended calls on the board")
        .within(Context::Calls),
    plain(Act::Freeze, "freeze", &["p"], Group::Look, "freeze", "freeze the picture; events are counted, none is lost"),
    // Move.
    plain(Act::Down, "down", &["j", "down"], Group::Move, "down", "down"),
    plain(Act::Up, "up", &["k", "up"], Group::Move, "up", "up"),
    plain(Act::Left, "left", &["left", "h"], Group::Move, "left", "to the pane on the left")
        .within(Context::Call),
    plain(Act::Right, "right", &["l", "right"], Group::Move, "right", "to the pane on the right"),
    plain(Act::NextPane, "next-pane", &["tab"], Group::Move, "pane", "next pane"),
    plain(Act::PreviousPane, "previous-pane", &["backtab"], Group::Move, "pane up", "previous pane"),
    plain(Act::Top, "top", &["g", "home"], Group::Move, "top", "to the top"),
    plain(Act::Bottom, "bottom", &["G", "end"], Group::Move, "end", "to the end; the transcript follows again"),
    plain(Act::HalfDown, "half-down", &["ctrl-d"], Group::Move, "half down", "half a page down"),
    plain(Act::HalfUp, "half-up", &["ctrl-u"], Group::Move, "half up", "half a page up"),
    plain(Act::PageDown, "page-down", &["pgdn", "ctrl-f"], Group::Move, "page down", "a page down"),
    plain(Act::PageUp, "page-up", &["pgup", "ctrl-b"], Group::Move, "page up", "a page up"),
    plain(Act::NextTurn, "next-turn", &["}"], Group::Move, "next turn", "next turn of the transcript"),
    plain(Act::PreviousTurn, "previous-turn", &["{"], Group::Move, "turn back", "previous turn of the transcript"),
    plain(Act::NextFlag, "next-flag", &[")"], Group::Move, "next flag", "next turn an alert, watch word or failed tool points at"),
    plain(Act::PreviousFlag, "previous-flag", &["("], Group::Move, "flag back", "previous such turn"),
    plain(Act::Follow, "follow", &["F"], Group::Move, "follow", "follow the transcript"),
    plain(Act::PageBoard, "board", &["1"], Group::Move, "board", "the board"),
    plain(Act::PageAlerts, "alerts", &["2"], Group::Move, "alerts", "every alert: open, snoozed, acknowledged, over").foot(11),
    plain(Act::PageHistory, "history", &["3"], Group::Move, "history", "past calls, searchable")
        .may(Verb::History).foot(14),
    plain(Act::PageQuality, "quality", &["4"], Group::Move, "quality", "quality by carrier, agent, prefix, route"),
    plain(Act::PageAudit, "audit", &["5"], Group::Move, "audit", "who did what")
        .may(Verb::Tokens).if_backend("audit"),
    plain(Act::Lead, "lead", &[], Group::Move, "lead", "everything said with a lead, by voice and text: :lead ID, or of this call")
        .may(Verb::Transcript).if_backend("timeline"),
    // wallboard itself.
    plain(Act::Palette, "palette", &[":"], Group::App, "commands", "every command by name, with arguments").foot(7),
    plain(Act::Help, "help", &["?"], Group::App, "help", "this help").foot(5),
    plain(Act::Theme, "theme", &[], Group::App, "theme", "next theme, or :theme NAME, :theme auto"),
    plain(Act::Tour, "tour", &[], Group::App, "tour", "six steps with the real keys; again leaves it"),
    plain(Act::Mouse, "mouse", &[], Group::App, "mouse", "mouse on or off; while on, shift-drag selects text"),
    plain(Act::Demo, "demo", &["d"], Group::App, "demo", "on an empty board: practice calls instead")
        .within(Context::Calls),
    plain(Act::Redraw, "redraw", &["ctrl-l"], Group::App, "redraw", "draw the whole screen again"),
    plain(Act::Suspend, "suspend", &["ctrl-z"], Group::App, "suspend", "to the shell and back with fg"),
    plain(Act::Quit, "quit", &["q", "ctrl-c"], Group::App, "quit", "leave; never ends a call by itself").foot(10),
];
