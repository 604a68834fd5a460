//! The verbs that touch a call or place one: they wait for the fact.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{CallId, Refusal};
use crate::cli::args::{
    AckArgs, CallArgs, DialingArgs, DialingOrder, EndArgs, HandbackArgs, RecordArgs, RecordOrder,
    SnoozeArgs, TextArgs, TransferArgs, UnmaskArgs,
};
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
    let words = Words {
        done: "has ended",
        accepted: "is being ended",
        what: "ended",
    };
    order(args, config, &["terminate"], json!({}), &words, as_json).await
}

/// One order about one call: `POST /api/calls/{id}/…`.
async fn order(
    on: &EndArgs,
    config: &Config,
    path: &[&str],
    body: Value,
    words: &Words,
    as_json: bool,
) -> Outcome {
    let client = Client::find(&on.remote, config)?;
    let mut segments = vec!["api", "calls", on.call.as_str()];
    segments.extend(path);
    let mut url = client.url(&segments);
    url.query_pairs_mut()
        .append_pair("wait", if on.no_wait { "false" } else { "true" });
    let mut body = body;
    if let Some(reason) = &on.reason {
        body["reason"] = json!(reason);
    }
    let answer: Answer = client.post(url, &body).await?;
    report(&answer, &on.call, words, as_json)
}

/// An order that says all there is to say by its name.
pub async fn plain(verb: Plain, on: &EndArgs, config: &Config, as_json: bool) -> Outcome {
    let (path, words) = match verb {
        Plain::Pause => ("pause", Words::of("agent paused")),
        Plain::Resume => ("resume", Words::of("agent resumed")),
        Plain::Takeover => ("takeover", Words::of("taken over")),
        Plain::Claim => ("claim", Words::of("claimed")),
        Plain::Release => ("release", Words::of("released")),
    };
    order(on, config, &[path], json!({}), &words, as_json).await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    Pause,
    Resume,
    Takeover,
    Claim,
    Release,
}

/// An order that is words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wordy {
    Whisper,
    Say,
    Flag,
    Note,
}

pub async fn wordy(verb: Wordy, args: &TextArgs, config: &Config, as_json: bool) -> Outcome {
    let (path, field, words) = match verb {
        Wordy::Whisper => ("whisper", "text", Words::of("whispered to")),
        Wordy::Say => ("say", "text", Words::of("spoken to")),
        Wordy::Flag => ("flag", "label", Words::of("flagged")),
        Wordy::Note => ("note", "text", Words::of("noted on")),
    };
    let body = json!({ field: args.text.join(" ") });
    order(&args.on, config, &[path], body, &words, as_json).await
}

pub async fn handback(args: &HandbackArgs, config: &Config, as_json: bool) -> Outcome {
    let body = json!({ "note": args.note });
    let words = Words::of("handed back");
    order(&args.on, config, &["handback"], body, &words, as_json).await
}

pub async fn transfer(args: &TransferArgs, config: &Config, as_json: bool) -> Outcome {
    let body = json!({ "to": args.to });
    let words = Words::of("transferred");
    order(&args.on, config, &["transfer"], body, &words, as_json).await
}

pub async fn record(args: &RecordArgs, config: &Config, as_json: bool) -> Outcome {
    let (path, words) = match args.order {
        RecordOrder::Start => ("start", Words::of("recorded")),
        RecordOrder::Pause => ("pause", Words::of("no longer recorded, for now")),
        RecordOrder::Resume => ("resume", Words::of("recorded again")),
        RecordOrder::Stop => ("stop", Words::of("no longer recorded")),
    };
    order(
        &args.on,
        config,
        &["record", path],
        json!({}),
        &words,
        as_json,
    )
    .await
}

/// Acknowledges one alert of a call, or all.
pub async fn ack(args: &AckArgs, config: &Config, as_json: bool) -> Outcome {
    let words = Words::of("acknowledged");
    for rule in rules(args, config).await? {
        let body = json!({ "rule": rule });
        order(&args.on, config, &["ack"], body, &words, as_json).await?;
    }
    Ok(())
}

/// Silences one alert of a call, or all, for some minutes.
pub async fn snooze(args: &SnoozeArgs, config: &Config, as_json: bool) -> Outcome {
    let words = Words::of("snoozed");
    for rule in rules(&args.ack, config).await? {
        let body = json!({ "rule": rule, "minutes": args.minutes });
        order(&args.ack.on, config, &["snooze"], body, &words, as_json).await?;
    }
    Ok(())
}

/// The alerts that are meant.
async fn rules(args: &AckArgs, config: &Config) -> Outcome<Vec<String>> {
    if let Some(rule) = &args.rule {
        return Ok(vec![rule.clone()]);
    }
    let client = Client::find(&args.on.remote, config)?;
    let standing = super::look::standing(&client, Some(args.on.call.as_str())).await?;
    if standing.is_empty() {
        return Err(Failure::not_found(
            format!("no alert stands on {}", args.on.call),
            "`wallboard alerts` lists them",
        ));
    }
    Ok(standing.into_iter().map(|alert| alert.rule).collect())
}

/// Full numbers of a call, on record.
pub async fn unmask(args: &UnmaskArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let url = client.url(&["api", "calls", &args.call, "unmask"]);
    let answer: Value = client.post(url, &json!({ "reason": args.reason })).await?;
    let numbers = &answer["result"];
    if as_json {
        return out::json(&json!({
            "id": answer["call"], "ok": true, "from": numbers["from"], "to": numbers["to"],
        }));
    }
    let number = |name: &str| numbers[name].as_str().unwrap_or("unknown").to_owned();
    out::line(&format!("from {}  to {}", number("from"), number("to")))
}

/// No more outbound calls, or again.
pub async fn dialing(args: &DialingArgs, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let (path, text) = match args.order {
        DialingOrder::Stop => ("stop", "no more calls are placed; those in progress go on"),
        DialingOrder::Resume => ("resume", "calls may be placed again"),
    };
    let body = json!({ "reason": args.reason });
    let _answer: Value = client
        .post(client.url(&["api", "dialing", path]), &body)
        .await?;
    if as_json {
        return out::json(&json!({"id": null, "ok": true, "state": "done", "error": null}));
    }
    out::line(text)
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

/// How an outcome is told to a person.
struct Words {
    done: &'static str,
    accepted: &'static str,
    what: &'static str,
}

impl Words {
    /// `ID: claimed`.
    const fn of(what: &'static str) -> Self {
        Self {
            done: "",
            accepted: "",
            what,
        }
    }

    fn line(&self, name: &str, is_done: bool) -> String {
        match (self.done.is_empty(), is_done) {
            (true, true) => format!("{name}: {}", self.what),
            (true, false) => format!("{name}: accepted, to be {}", self.what),
            (false, true) => format!("{name} {}", self.done),
            (false, false) => format!("{name} {}", self.accepted),
        }
    }
}

fn report(answer: &Answer, asked: &str, words: &Words, as_json: bool) -> Outcome {
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
        "done" => out::line(&words.line(name, true)),
        "accepted" => out::line(&words.line(name, false)),
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
