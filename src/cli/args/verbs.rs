//! The arguments of each verb that is no mode.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::Remote;

#[derive(Clone, Debug, Args)]
pub struct ChatArgs {
    /// The agent's id in the backend's configuration.
    #[arg(
        long,
        value_name = "ID",
        default_value = "pipeline",
        env = "WALLBOARD_AGENT"
    )]
    pub agent: String,
    /// Begin with the microphone on: the system's, or the input of this name. On a terminal it is
    /// there and off, and Tab turns it on.
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "default", env = "WALLBOARD_MIC")]
    pub mic: Option<String>,
    /// Words only: look for no sound, and have none synthesised.
    #[arg(long, conflicts_with = "mic", env = "WALLBOARD_NO_MIC", value_parser = FalseyValueParser::new())]
    pub no_mic: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Clone, Debug, Args)]
pub struct AlertsArgs {
    #[command(flatten)]
    pub remote: Remote,
    /// Go on until Ctrl-C: what is raised, acknowledged and cleared.
    #[arg(long, short, env = "WALLBOARD_FOLLOW", value_parser = FalseyValueParser::new())]
    pub follow: bool,
}

#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub remote: Remote,
    /// Rows, the newest first.
    #[arg(long, value_name = "N", default_value_t = 50, env = "WALLBOARD_AUDIT_LIMIT",
        value_parser = clap::value_parser!(u16).range(1..=200))]
    pub limit: u16,
}

#[derive(Clone, Debug, Args)]
pub struct WebhooksArgs {
    #[command(flatten)]
    pub remote: Remote,
    /// Go on until Ctrl-C.
    #[arg(long, short, env = "WALLBOARD_FOLLOW", value_parser = FalseyValueParser::new())]
    pub follow: bool,
}

#[derive(Clone, Debug, Args)]
pub struct LsArgs {
    #[command(flatten)]
    pub remote: Remote,
    /// Only calls that are going on.
    #[arg(long, conflicts_with = "all", env = "WALLBOARD_LIVE_ONLY", value_parser = FalseyValueParser::new())]
    pub live: bool,
    /// Every call in history, not only those the board still shows.
    #[arg(long, short, env = "WALLBOARD_ALL", value_parser = FalseyValueParser::new())]
    pub all: bool,
}

#[derive(Clone, Debug, Args)]
pub struct OneCall {
    /// Our id of the call, or the carrier's.
    #[arg(value_name = "CALL")]
    pub call: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    pub remote: Remote,
    /// End after this many facts.
    #[arg(long, value_name = "N", env = "WALLBOARD_MAX")]
    pub max: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AudioFormat {
    /// Stereo WAV of unknown length.
    Wav,
    /// Stereo µ-law at 8 kHz, bytes interleaved, no header.
    Ulaw,
    /// Stereo 16-bit little-endian PCM at 8 kHz, no header.
    S16le,
}

#[derive(Clone, Debug, Args)]
pub struct ListenArgs {
    /// Our id of the call, or the carrier's.
    #[arg(value_name = "CALL")]
    pub call: String,
    #[command(flatten)]
    pub remote: Remote,
    /// What is written: caller on the left, agent on the right.
    #[arg(long, value_enum, default_value_t = AudioFormat::Wav, env = "WALLBOARD_FORMAT")]
    pub format: AudioFormat,
    /// The same as --format ulaw.
    #[arg(long, conflicts_with = "format", env = "WALLBOARD_RAW", value_parser = FalseyValueParser::new())]
    pub raw: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RecordingArgs {
    /// Our id of a call, or the carrier's; or the id of a recording.
    #[arg(value_name = "CALL")]
    pub call: String,
    #[command(flatten)]
    pub remote: Remote,
    /// Which of a call's finished recordings, 1 the oldest; without it, the newest.
    #[arg(long, value_name = "N", env = "WALLBOARD_NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub number: Option<u32>,
    /// Write a file that only you may read, instead of stdout. It must not exist.
    #[arg(long, value_name = "FILE", env = "WALLBOARD_OUT")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct EndArgs {
    /// Our id of the call, or the carrier's.
    #[arg(value_name = "CALL")]
    pub call: String,
    #[command(flatten)]
    pub remote: Remote,
    /// Return as soon as the backend has accepted.
    #[arg(long, env = "WALLBOARD_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub no_wait: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_REASON")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct CallArgs {
    /// Number in E.164, like +15551230000.
    #[arg(value_name = "NUMBER")]
    pub number: String,
    #[command(flatten)]
    pub remote: Remote,
    /// Agent that talks; without it, as the routes say.
    #[arg(long, value_name = "ID", env = "WALLBOARD_AGENT")]
    pub agent: Option<String>,
    /// Carrier that dials: twilio or plivo.
    #[arg(long, value_name = "NAME", env = "WALLBOARD_CARRIER")]
    pub carrier: Option<String>,
    /// Agent vendor that places the call on a line of its own: elevenlabs. Its audio does not pass
    /// through here then.
    #[arg(long, value_name = "VENDOR", env = "WALLBOARD_VIA")]
    pub via: Option<String>,
    /// Number the other side sees.
    #[arg(long, value_name = "NUMBER", env = "WALLBOARD_CALLER_ID")]
    pub caller_id: Option<String>,
    /// Whom you call.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_NAME")]
    pub name: Option<String>,
    /// Your own id of the lead.
    #[arg(long, value_name = "ID", env = "WALLBOARD_LEAD")]
    pub lead: Option<String>,
    /// What the agent is told.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_PROMPT")]
    pub prompt: Option<String>,
    /// First words of the agent.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_FIRST_MESSAGE")]
    pub first_message: Option<String>,
    /// Return as soon as the backend has accepted.
    #[arg(long, env = "WALLBOARD_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub no_wait: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token; it is shown once.
    Add {
        /// Who or what will use it; other operators see this.
        name: String,
        /// viewer, listener, operator or admin.
        #[arg(long, default_value = "viewer", env = "WALLBOARD_ROLE")]
        role: String,
        /// Exceptions to the role, for instance +unmask,-dial.
        #[arg(
            long,
            value_name = "VERBS",
            allow_hyphen_values = true,
            env = "WALLBOARD_VERBS"
        )]
        verbs: Option<String>,
        /// Only calls of these leads, comma-separated.
        #[arg(long, value_name = "LEADS", env = "WALLBOARD_LEADS")]
        leads: Option<String>,
        /// How long it is good for, for instance 30d.
        #[arg(long, value_name = "SPAN", env = "WALLBOARD_EXPIRES")]
        expires: Option<String>,
    },
    /// All tokens; never the secrets themselves.
    Ls,
    /// Take a token away; it is refused, and its open connections are cut, within two seconds.
    Revoke { name: String },
}

#[derive(Clone, Debug, Subcommand)]
pub enum LeadsVerb {
    /// Take in a CSV file; its first line names the columns: id, name, number, and any others.
    Import(LeadsImport),
    /// All leads, one a line.
    Ls(LeadsLs),
}

#[derive(Clone, Debug, Args)]
pub struct LeadsImport {
    /// The file. Good rows are kept even if others are not; those are named by their line.
    pub file: PathBuf,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Clone, Debug, Args)]
pub struct LeadsLs {
    #[command(flatten)]
    pub remote: Remote,
    /// Only those whose name, id or number holds this.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_FIND")]
    pub find: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Where the file is read from, or would be.
    Path,
    /// What is in force; secrets as ***.
    Print {
        /// Say where each value came from.
        #[arg(long, env = "WALLBOARD_ORIGIN", value_parser = FalseyValueParser::new())]
        origin: bool,
    },
    /// A complete file, every line commented out.
    Default,
    /// Every problem, with its fix.
    Check,
}

#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Ask the vendors too, with the configured keys.
    #[arg(long, env = "WALLBOARD_LIVE", value_parser = FalseyValueParser::new())]
    pub live: bool,
}

#[derive(Clone, Debug, Args)]
pub struct TriggerArgs {
    /// For instance twilio.call-status; without it, the list.
    #[arg(value_name = "EVENT")]
    pub event: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
    /// Carrier's id of the call (CallSid, CallUUID); a random one without it.
    #[arg(long, value_name = "SID", env = "WALLBOARD_SID")]
    pub sid: Option<String>,
    /// The vendor's id of the conversation; one per lead without it.
    #[arg(long, value_name = "ID", env = "WALLBOARD_CONVERSATION")]
    pub conversation: Option<String>,
    /// Whose conversation it is, for elevenlabs events.
    #[arg(long, value_name = "ID", env = "WALLBOARD_LEAD")]
    pub lead: Option<String>,
    /// What is said, for messages.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_TEXT")]
    pub text: Option<String>,
    /// Status word, for twilio.call-status and plivo.hangup.
    #[arg(long, value_name = "WORD", env = "WALLBOARD_STATUS")]
    pub status: Option<String>,
    /// Further fields, NAME=VALUE.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub fields: Vec<String>,
}

/// One lead.
#[derive(Clone, Debug, Args)]
pub struct OneLead {
    /// Your own id of the lead.
    #[arg(value_name = "LEAD")]
    pub lead: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Clone, Debug, Args)]
pub struct SearchArgs {
    /// Words that must all be in a line; the last may be a beginning.
    #[arg(value_name = "TEXT")]
    pub text: String,
    #[command(flatten)]
    pub remote: Remote,
    /// Only this lead's calls.
    #[arg(long, value_name = "ID", env = "WALLBOARD_LEAD")]
    pub lead: Option<String>,
    /// Only what was said since then, like 2026-11-21T00:00:00Z.
    #[arg(long, value_name = "TIME", env = "WALLBOARD_SINCE")]
    pub since: Option<String>,
    /// Only the words of `user` or `agent`.
    #[arg(long, value_name = "WHO", env = "WALLBOARD_BY")]
    pub by: Option<String>,
    /// Lines at most.
    #[arg(long, value_name = "N", env = "WALLBOARD_LIMIT", default_value_t = 50)]
    pub limit: u32,
}

#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub remote: Remote,
    /// jsonl or csv.
    #[arg(long, value_name = "FORMAT", env = "WALLBOARD_FORMAT", default_value = "jsonl", value_parser = ["jsonl", "csv"])]
    pub format: String,
    /// Only this lead's calls.
    #[arg(long, value_name = "ID", env = "WALLBOARD_LEAD")]
    pub lead: Option<String>,
    /// Only calls since then, like 2026-11-21T00:00:00Z.
    #[arg(long, value_name = "TIME", env = "WALLBOARD_SINCE")]
    pub since: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct PurgeArgs {
    /// The lead to forget.
    #[arg(long, value_name = "ID", env = "WALLBOARD_LEAD")]
    pub lead: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ThemeVerb {
    /// Names of all themes.
    Ls,
    /// Every problem of a theme file.
    Check { file: PathBuf },
    /// The roles of a theme in their colours.
    Preview { name: Option<String> },
}

#[derive(Clone, Debug, Args)]
pub struct KeysArgs {
    /// Only say whether the `keys` table is right.
    #[arg(long, env = "WALLBOARD_CHECK", value_parser = FalseyValueParser::new())]
    pub check: bool,
}

#[derive(Clone, Debug, Args)]
pub struct SnapshotArgs {
    /// Columns and rows.
    #[arg(
        long,
        value_name = "WxH",
        default_value = "120x36",
        env = "WALLBOARD_SIZE"
    )]
    pub size: String,
    /// Which screen.
    #[arg(long, value_enum, default_value_t = SnapshotScene::Board, env = "WALLBOARD_SCENE")]
    pub scene: SnapshotScene,
    /// How the calls are laid out.
    #[arg(long, value_enum, default_value_t = SnapshotView::Cards, env = "WALLBOARD_VIEW")]
    pub view: SnapshotView,
    /// Which demo: the same number gives the same calls.
    #[arg(long, value_name = "N", default_value_t = 1, env = "WALLBOARD_SEED")]
    pub seed: u64,
    /// Calls alive at a time, about.
    #[arg(long, value_name = "N", default_value_t = 12, env = "WALLBOARD_CALLS",
        value_parser = clap::value_parser!(u32).range(1..=500))]
    pub calls: u32,
    /// Seconds since the beginning of the demo; nobody waits for them.
    #[arg(long, value_name = "SECONDS", default_value_t = 48, env = "WALLBOARD_AFTER",
        value_parser = clap::value_parser!(u32).range(0..=900))]
    pub after: u32,
    /// Keys to press first, separated by blanks.
    #[arg(
        long,
        value_name = "KEYS",
        default_value = "",
        env = "WALLBOARD_KEYS_PRESSED"
    )]
    pub keys: String,
    #[arg(long, value_enum, default_value_t = SnapshotFormat::Text, env = "WALLBOARD_SNAPSHOT_FORMAT")]
    pub format: SnapshotFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SnapshotView {
    Cards,
    Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SnapshotScene {
    Board,
    Empty,
    /// One call, whole screen.
    Call,
    Help,
    /// The confirmation before a call is ended.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SnapshotFormat {
    Text,
    /// With colours, for a terminal.
    Ansi,
    Svg,
}
