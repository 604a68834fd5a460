//! The arguments of the verbs that touch a call.

use clap::{Args, ValueEnum};

use super::{EndArgs, Remote};

#[derive(Clone, Debug, Args)]
pub struct TextArgs {
    #[command(flatten)]
    pub on: EndArgs,
    /// The words; quotes are not needed.
    #[arg(value_name = "TEXT", required = true, num_args = 1..)]
    pub text: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct HandbackArgs {
    #[command(flatten)]
    pub on: EndArgs,
    /// What the agent should know of what was said meanwhile.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_NOTE")]
    pub note: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct TransferArgs {
    #[command(flatten)]
    pub on: EndArgs,
    /// Number in E.164, a SIP address, or the name of a configured transfer target.
    #[arg(value_name = "TO")]
    pub to: String,
}

#[derive(Clone, Debug, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    pub on: EndArgs,
    #[arg(value_enum, value_name = "ORDER")]
    pub order: RecordOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordOrder {
    Start,
    Pause,
    Resume,
    Stop,
}

#[derive(Clone, Debug, Args)]
pub struct AckArgs {
    #[command(flatten)]
    pub on: EndArgs,
    /// Which alert, for instance `dead_air`; all of the call without it.
    #[arg(value_name = "RULE")]
    pub rule: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct SnoozeArgs {
    #[command(flatten)]
    pub ack: AckArgs,
    /// For how long.
    #[arg(long, value_name = "MINUTES", default_value_t = 10, env = "WALLBOARD_MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub minutes: u32,
}

#[derive(Clone, Debug, Args)]
pub struct UnmaskArgs {
    /// Our id of the call, or the carrier's.
    #[arg(value_name = "CALL")]
    pub call: String,
    #[command(flatten)]
    pub remote: Remote,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_REASON")]
    pub reason: String,
}

#[derive(Clone, Debug, Args)]
pub struct DialingArgs {
    #[arg(value_enum, value_name = "ORDER")]
    pub order: DialingOrder,
    #[command(flatten)]
    pub remote: Remote,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", env = "WALLBOARD_REASON")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DialingOrder {
    Stop,
    Resume,
}
