//! What can be done by key can be done by verb, with the same permission, and is documented.

use clap::CommandFactory;

use super::args::Cli;
use crate::call::Verb;
use crate::ui::keymap::{Act, BINDINGS};

/// Acts that touch a call or need a permission, the verbs that do the same, and the permission.
const TABLE: &[(Act, &[&str], Verb)] = &[
    (Act::End, &["end"], Verb::Terminate),
    (Act::Whisper, &["whisper"], Verb::Whisper),
    (Act::Say, &["say"], Verb::Say),
    (Act::PauseAgent, &["pause", "resume"], Verb::Pause),
    (Act::TakeOver, &["takeover"], Verb::Takeover),
    (Act::HandBack, &["handback"], Verb::Takeover),
    (Act::Transfer, &["transfer"], Verb::Transfer),
    (Act::Record, &["record"], Verb::Record),
    (Act::RecordStop, &["record"], Verb::Record),
    (Act::Claim, &["claim", "release"], Verb::Claim),
    (Act::Flag, &["flag"], Verb::Flag),
    (Act::Note, &["note"], Verb::Note),
    (Act::Acknowledge, &["ack"], Verb::Ack),
    (Act::Snooze, &["snooze"], Verb::Snooze),
    (Act::Unmask, &["unmask"], Verb::Unmask),
    (Act::Dial, &["call"], Verb::Dial),
    (Act::StopDialing, &["dialing"], Verb::StopDialing),
    (Act::Listen, &["listen"], Verb::Listen),
    (Act::Play, &["recording"], Verb::Recordings),
    (Act::PageHistory, &["ls", "show"], Verb::History),
    (Act::PageAudit, &["audit"], Verb::Tokens),
    (Act::Lead, &["lead"], Verb::Transcript),
    (Act::Export, &["export"], Verb::Export),
];

/// Verbs that show what the screen shows.
const LOOKING: &[&str] = &[
    "ls", "show", "tail", "events", "alerts", "webhooks", "theme", "keys", "snapshot",
];

#[test]
fn every_act_with_a_permission_has_a_verb_with_the_same() {
    let commands = Cli::command();
    let has = |name: &str| commands.find_subcommand(name).is_some();
    for binding in BINDINGS {
        let Some(verb) = binding.verb else { continue };
        let row = TABLE.iter().find(|(act, ..)| *act == binding.act);
        // An act that is added later is told here: give it a verb, and a row.
        let (_, names, permission) = row.unwrap_or_else(|| panic!("{} has no verb", binding.name));
        assert_eq!(*permission, verb, "{}", binding.name);
        assert!(names.iter().all(|name| has(name)), "{names:?}");
    }
    assert!(LOOKING.iter().all(|name| has(name)));
}

#[test]
fn every_verb_is_documented() {
    let docs = include_str!("../../docs/cli.md");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        if name != "help" && !command.is_hide_set() {
            assert!(
                docs.contains(&format!("`{name}")),
                "docs/cli.md lacks {name}"
            );
        }
    }
}
