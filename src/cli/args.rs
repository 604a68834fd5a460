//! The command line. Every flag has an environment variable; tokens are never arguments, because
//! arguments can be read by every user of the machine.

mod modes;
mod steer;
mod verbs;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use modes::*;
pub use steer::*;
pub use verbs::*;

/// Exit codes and the environment, shown under `--help`.
const AFTER: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 refused, 4 not found, 5 unreachable.
Every flag is also an environment variable, shown in brackets. Tokens come from --token-file,
WALLBOARD_TOKEN or the token store, never from an argument.";

/// Watch, hear and end live AI phone calls from one terminal.
#[derive(Debug, Parser)]
#[command(name = "wallboard", version, after_help = AFTER, disable_version_flag = true, args_conflicts_with_subcommands = false)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// Print the version (with --json as one JSON line).
    #[arg(short = 'V', long)]
    pub version: bool,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file instead of the user's or the machine's.
    #[arg(long, global = true, value_name = "FILE", env = "WALLBOARD_CONFIG")]
    pub config: Option<PathBuf>,
    /// Directory of journal, recordings and tokens.
    #[arg(long, global = true, value_name = "DIR", env = "WALLBOARD_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Machine-readable output, one JSON value a line.
    #[arg(long, global = true, env = "WALLBOARD_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// No colour, whatever the terminal can do.
    #[arg(long, global = true, env = "WALLBOARD_NO_COLOR", value_parser = FalseyValueParser::new())]
    pub no_color: bool,
    /// Lines of text instead of a screen, for screen readers and pipes.
    #[arg(long, global = true, env = "WALLBOARD_PLAIN", value_parser = FalseyValueParser::new())]
    pub plain: bool,
    /// Theme of the screen, by name or file.
    #[arg(long, global = true, value_name = "NAME", env = "WALLBOARD_THEME")]
    pub theme: Option<String>,
    /// Draw with ASCII only.
    #[arg(long, global = true, env = "WALLBOARD_ASCII", value_parser = FalseyValueParser::new())]
    pub ascii: bool,
    /// For a slow line: fewer repaints, no meters.
    #[arg(long, global = true, env = "WALLBOARD_LOW_BANDWIDTH", value_parser = FalseyValueParser::new())]
    pub low_bandwidth: bool,
    /// Do not begin with the view the screen was left with.
    #[arg(long, global = true, env = "WALLBOARD_FRESH", value_parser = FalseyValueParser::new())]
    pub fresh: bool,
    /// Take mouse clicks; the terminal's own selection then needs shift.
    #[arg(long, global = true, env = "WALLBOARD_MOUSE", value_parser = FalseyValueParser::new())]
    pub mouse: bool,
    /// Sound card to listen on, or "none".
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "WALLBOARD_AUDIO_DEVICE"
    )]
    pub audio_device: Option<String>,
    /// Refuse everything that touches a call.
    #[arg(long, global = true, env = "WALLBOARD_READ_ONLY", value_parser = FalseyValueParser::new())]
    pub read_only: bool,
    /// How logs are written: text on a terminal, JSON on a pipe, unless said here.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "WALLBOARD_LOG_FORMAT"
    )]
    pub log_format: Option<LogFormat>,
    /// How much is logged: error, warn, info, debug or trace.
    #[arg(long, global = true, value_name = "LEVEL", env = "WALLBOARD_LOG")]
    pub log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

impl LogFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// How to reach a running backend.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Backend")]
pub struct Remote {
    /// Backend to ask; without it, the one running on this machine.
    #[arg(long, value_name = "URL", env = "WALLBOARD_URL")]
    pub url: Option<String>,
    /// File that holds the token.
    #[arg(long, value_name = "FILE", env = "WALLBOARD_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// What a backend of our own is started with.
#[derive(Clone, Debug, Default, Args)]
pub struct Start {
    /// Address to listen on; ":9000" changes the port alone.
    #[arg(long, value_name = "ADDRESS", env = "WALLBOARD_LISTEN")]
    pub listen: Option<String>,
    /// How carriers reach this backend, for instance `https://calls.example.com`.
    #[arg(long, value_name = "URL", env = "WALLBOARD_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Accept webhooks without checking who sent them. For experiments only.
    #[arg(long, env = "WALLBOARD_INSECURE_SKIP_SIGNATURES", value_parser = FalseyValueParser::new())]
    pub insecure_skip_signatures: bool,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Screen and backend in one process (the default).
    Run(Start),
    /// See it work: simulated carriers and agents, no keys, no network.
    Demo(DemoArgs),
    /// The backend alone; prints the URLs to paste at the vendors.
    Serve(Start),
    /// The screen on a backend that runs elsewhere.
    Attach(AttachArgs),
    /// A simulated carrier or agent, against any URL.
    #[command(subcommand)]
    Simulate(SimulateVerb),
    /// Calls, one a line: live ones and those that ended in the last ten minutes.
    Ls(LsArgs),
    /// One call with its transcript.
    Show(OneCall),
    /// What happens on one call, line by line, until Ctrl-C.
    Tail(OneCall),
    /// What happens on all calls, line by line, until Ctrl-C.
    Events(EventsArgs),
    /// A call's live sound on stdout: wallboard listen ID | mpv -
    Listen(ListenArgs),
    /// A finished recording's file on stdout, or saved: wallboard recording CALL --out FILE
    Recording(RecordingArgs),
    /// End a call and wait until the carrier says so.
    End(EndArgs),
    /// Place a call and wait until the carrier has taken it.
    Call(CallArgs),
    /// The people to be called: a list taken in, and what became of them.
    #[command(subcommand)]
    Leads(LeadsVerb),
    /// Write to an agent through the voice gateway; text only, a line is a turn.
    Chat(ChatArgs),
    /// Everything said with one lead, by voice and by text.
    Lead(OneLead),
    /// Words in all transcripts, newest first.
    Search(SearchArgs),
    /// Calls with their transcripts as JSON Lines or CSV on stdout.
    Export(ExportArgs),
    /// Remove everything of one lead for good: calls, messages, recordings.
    Purge(PurgeArgs),
    /// Hint to the agent; the caller hears nothing.
    Whisper(TextArgs),
    /// The agent speaks these words to the caller.
    Say(TextArgs),
    /// Silence the agent.
    Pause(EndArgs),
    /// Let the agent speak again.
    Resume(EndArgs),
    /// Take the agent's place.
    Takeover(EndArgs),
    /// Give the call back to the agent.
    Handback(HandbackArgs),
    /// Hand the caller to a number.
    Transfer(TransferArgs),
    /// Start, pause, resume or stop a recording.
    Record(RecordArgs),
    /// Say that this call is yours.
    Claim(EndArgs),
    /// Give a claimed call back.
    Release(EndArgs),
    /// Flag a call with a label.
    Flag(TextArgs),
    /// Write a note on a call.
    Note(TextArgs),
    /// Acknowledge a call's alerts.
    Ack(AckArgs),
    /// Silence a call's alerts for a while.
    Snooze(SnoozeArgs),
    /// Show a call's full numbers; the reason is kept in the audit log.
    Unmask(UnmaskArgs),
    /// Stop or resume placing calls; those in progress go on.
    Dialing(DialingArgs),
    /// Calls that ask for attention, and why.
    Alerts(AlertsArgs),
    /// Who did what, to which call, why, and what came of it.
    Audit(AuditArgs),
    /// Requests of vendors as they come in, with the verdict on each signature.
    Webhooks(WebhooksArgs),
    /// Who may look and who may act.
    #[command(subcommand)]
    Token(TokenVerb),
    /// Where configuration comes from and whether it is right.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Check everything a start needs; one mending line per failure.
    Doctor(DoctorArgs),
    /// Send a correctly signed fake webhook to a backend.
    Trigger(TriggerArgs),
    /// The themes of the screen.
    #[command(subcommand)]
    Theme(ThemeVerb),
    /// The key table, and whether the `keys` table is right.
    Keys(KeysArgs),
    /// A picture of the screen with sample calls; always the same.
    Snapshot(SnapshotArgs),
    /// Shell completions on stdout.
    Completions { shell: clap_complete::Shell },
    /// The manual page on stdout.
    Man,
    /// Print the version.
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable() {
        fn walk(command: &clap::Command, missing: &mut Vec<String>) {
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                let exempt =
                    ["help", "version", "fields"].contains(&id) || arg.get_long().is_none();
                if !exempt && arg.get_env().is_none() {
                    missing.push(format!("{} --{id}", command.get_name()));
                }
            }
            for sub in command.get_subcommands() {
                walk(sub, missing);
            }
        }
        let mut missing = Vec::new();
        walk(&Cli::command(), &mut missing);
        assert!(missing.is_empty(), "{missing:?}");
    }
}
