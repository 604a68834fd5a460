//! `end` and `call`: commands that wait for the fact.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{CallId, Refusal};
use crate::cli::args::{CallArgs, EndArgs, HandbackArgs, RecordVerb, SteerArgs, TransferArgs};
use crate::cli::config::{Config, is_phone};
use crate::cli::out;
use crate::cli::{Exit, Failure, Outcome};

use super::Client;

/// The backend's answer to a command.
#[derive(Debug, Deserialize)]
struct Answer {
    state: String,
    #[serde(default)]
    call: Option<CallId>,
    #[serde(default)]
    error: Option<Refusal>,
}

pub async fn end(args: &EndArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let mut url = client.url(&["api", "calls", &args.call, "terminate"]);
    url.query_pairs_mut()
        .append_pair("wait", if args.no_wait { "false" } else { "true" });
    let mut body = json!({});
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    let answer: Answer = client.post(url, &body).await?;
    let words = Words {
        done: "has ended",
        accepted: "is being ended",
        what: "ended",
    };
    report(&answer, &args.call, &words, as_json)
}

pub async fn call(args: &CallArgs, config: &Config, as_json: bool) -> Outcome {
    if !is_phone(&args.number) {
        return Err(Failure::usage(
            format!("{} is not a phone number", args.number),
            "write it in E.164, like +15551230000",
        ));
    }
    let client = Client::find(&args.remote, config)?;
    let mut url = client.url(&["api", "outbound-call"]);
    url.query_pairs_mut()
        .append_pair("wait", if args.no_wait { "false" } else { "true" });
    let fields = [
        ("agent", &args.agent),
        ("carrier", &args.carrier),
        ("via", &args.via),
        ("caller_id", &args.caller_id),
        ("name", &args.name),
        ("lead_id", &args.lead),
        ("prompt", &args.prompt),
        ("first_message", &args.first_message),
    ];
    let mut body = json!({"number": args.number});
    for (name, value) in fields {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let answer: Answer = client.post(url, &body).await?;
    let words = Words {
        done: "is dialled",
        accepted: "is being dialled",
        what: "placed",
    };
    report(&answer, "the call", &words, as_json)
}

/// An order that needs no words.
pub async fn steer(args: &SteerArgs, verb: &str, config: &Config, as_json: bool) -> Outcome {
    order(args, &[verb], json!({}), config, as_json).await
}

/// An order with words for the agent or the caller.
pub async fn text(
    args: &SteerArgs,
    verb: &str,
    text: &str,
    config: &Config,
    as_json: bool,
) -> Outcome {
    order(args, &[verb], json!({ "text": text }), config, as_json).await
}

pub async fn hand_back(args: &HandbackArgs, config: &Config, as_json: bool) -> Outcome {
    let body = match &args.note {
        Some(note) => json!({ "note": note }),
        None => json!({}),
    };
    order(&args.steer, &["handback"], body, config, as_json).await
}

pub async fn transfer(args: &TransferArgs, config: &Config, as_json: bool) -> Outcome {
    let mut body = json!({ "to": args.to });
    if let Some(reason) = &args.reason {
        body["reason"] = json!(reason);
    }
    order(&args.steer, &["transfer"], body, config, as_json).await
}

pub async fn record(verb: &RecordVerb, config: &Config, as_json: bool) -> Outcome {
    let (args, word) = match verb {
        RecordVerb::Start(args) => (args, "start"),
        RecordVerb::Pause(args) => (args, "pause"),
        RecordVerb::Resume(args) => (args, "resume"),
        RecordVerb::Stop(args) => (args, "stop"),
    };
    order(args, &["record", word], json!({}), config, as_json).await
}

async fn order(
    args: &SteerArgs,
    verb: &[&str],
    body: Value,
    config: &Config,
    as_json: bool,
) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let path = [&["api", "calls", args.call.as_str()], verb].concat();
    let mut url = client.url(&path);
    url.query_pairs_mut()
        .append_pair("wait", if args.no_wait { "false" } else { "true" });
    let answer: Answer = client.post(url, &body).await?;
    let what = verb.join(" ");
    let done = format!("{what}: done");
    let accepted = format!("{what}: accepted");
    let words = Words {
        done: &done,
        accepted: &accepted,
        what: &what,
    };
    report(&answer, &args.call, &words, as_json)
}

/// How an outcome is told to a person.
struct Words<'a> {
    done: &'a str,
    accepted: &'a str,
    what: &'a str,
}

fn report(answer: &Answer, asked: &str, words: &Words<'_>, as_json: bool) -> Outcome {
    let ok = matches!(answer.state.as_str(), "done" | "accepted");
    let id = answer.call.map(|id| id.to_string());
    if as_json {
        let error = answer.error.as_ref().filter(|_| !ok).map(|refusal| {
            json!({"code": refusal.code, "message": refusal.message, "hint": refusal.hint})
        });
        out::json(&json!({
            "id": id, "ok": ok, "state": answer.state, "error": error.unwrap_or(Value::Null),
        }))?;
        return if ok {
            Ok(())
        } else {
            Err(Failure::said(Exit::Failed))
        };
    }
    let name = id.as_deref().unwrap_or(asked);
    match answer.state.as_str() {
        "done" => out::line(&format!("{name} {}", words.done)),
        "accepted" => out::line(&format!("{name} {}", words.accepted)),
        "unconfirmed" => Err(Failure::failed(
            format!(
                "{name}: accepted, but the carrier has not confirmed that it was {}",
                words.what
            ),
            "look again in a moment: wallboard show ID",
        )),
        _ => {
            let (message, hint) = answer.error.as_ref().map_or_else(
                || (format!("{name} could not be {}", words.what), String::new()),
                |refusal| (refusal.message.clone(), refusal.hint.clone()),
            );
            Err(Failure::failed(message, hint))
        }
    }
}
