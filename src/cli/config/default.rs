//! `wallboard config default`: a complete file in which every line that sets something is a comment.

use std::fmt::Write;

use crate::providers::vendor::registry::{self, CARRIER_NAMES};
use crate::providers::vendor::{Key, Kind};

use super::keys;

const HEAD: &str = "\
# wallboard configuration.
#
# Every key is shown with its default, commented out; remove the # to change it.
# Stronger than this file: a .env in the working directory (run and serve only), the environment,
# flags. Every key is also WALLBOARD_<SECTION>__<KEY>, for instance WALLBOARD_SERVER__LISTEN.
# Secrets may be given as files: auth_token_file = \"/run/secrets/{carrier}\" instead of auth_token.
";

const TAIL: &str = r#"
# Keys of the screen: action = "key" or ["key", "key"]. `wallboard keys` lists the actions.
# [keys]
# end_call = "E"

# Which agent takes which call. The first [[route]] that matches wins; conditions left out match
# anything. If none matches, server.default_agent takes it.
# [[route]]
# match = { carrier = "{carrier}", to = "+15557650000", direction = "inbound" }
# agent = "support"
# record = false
# store = "all"                # all, no_audio (recordings stay with the carrier), facts_only (no words either)
# amd = "off"                  # off, detect, message_end
# on_machine = "continue"      # continue, end
# fallback = { say = "Sorry, we will call you back." }   # or { transfer = "+15550001111" }

# Agents besides the built-in ones.
# [[agent]]
# id = "support"
# kind = "{kind}"          # {kinds}
# agent_id = "agent_..."
# welcome = "Hello, this is Ava."
# instructions = "Be brief."
# voice = "shimmer"
# model = "gpt-realtime-2.1"
# language = "en"
# limits = { concurrent = 20, minutes = 30, usd = 2.0 }
# tools = ["transfer_call", "lookup"]

# Tools an agent may call: a POST to your server, signed as Standard Webhooks are (webhook-id,
# webhook-timestamp, webhook-signature). https to public addresses only; allow_loopback = true permits
# this machine, for development. transfer_call and request_human need no [[tool]].
# [[tool]]
# name = "lookup"
# description = "Looks up an order by its number."
# url = "https://tools.example.com/lookup"
# secret_file = "/run/secrets/lookup"
# timeout_ms = 3000
# parameters = { type = "object", properties = { id = { type = "string" } } }

# Numbers offered for a transfer.
# [[transfer]]
# name = "Front desk"
# to = "+15550001111"
"#;

/// The text of the default file.
pub fn default_file() -> String {
    let mut out = String::from(HEAD);
    for (section, about) in keys::sections() {
        let _ = write!(out, "\n# {about}\n[{section}]\n");
        for key in keys::all().iter().filter(|key| key.section() == *section) {
            for line in key.doc.lines() {
                let _ = writeln!(out, "# {line}");
            }
            if let Kind::Choice(words) = key.kind {
                let _ = writeln!(out, "# One of: {}.", words.join(", "));
            }
            if !key.env.is_empty() {
                let _ = writeln!(out, "# Also from {}.", key.env.join(", "));
            }
            let _ = writeln!(out, "# {} = {}", key.leaf(), shown(key));
        }
    }
    out.push_str(TAIL);
    let kinds = registry::agent_kinds();
    let [carrier, ..] = CARRIER_NAMES;
    out.replace("{carrier}", carrier)
        .replace("{kind}", kinds.first().copied().unwrap_or_default())
        .replace("{kinds}", &kinds.join(", "))
}

fn shown(key: &Key) -> String {
    match key.kind {
        Kind::Flag => key.default.to_owned(),
        Kind::Whole { .. } | Kind::Figure { .. } if key.default.is_empty() => "0".into(),
        Kind::Whole { .. } | Kind::Figure { .. } => key.default.to_owned(),
        Kind::List if key.default.is_empty() => "[]".into(),
        Kind::List => format!("{:?}", key.default.split(',').collect::<Vec<_>>()),
        _ => format!("{:?}", key.default),
    }
}
