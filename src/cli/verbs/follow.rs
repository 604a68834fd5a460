//! `events` and `tail`: every fact as it happens, over the attach protocol, so that a lost link is
//! resumed without a gap.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::text::{clean, mask_number};
use crate::call::{Call, CallEvent, CallId, Envelope, ErrorCode, Fact, Severity, Track};
use crate::cli::args::{EventsArgs, OneCall, Remote};
use crate::cli::config::Config;
use crate::cli::{Failure, Outcome, attach, out};
use crate::engine::{Backend, Clock, LinkState, Tasks, Update};
use crate::remote::RemoteBackend;

use super::Client;

/// A backend that has not answered after this is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

pub async fn events(args: &EventsArgs, config: &Config) -> Outcome {
    let wanted = Wanted {
        call: None,
        max: args.max,
        as_json: true,
        alerts_only: false,
    };
    follow(&args.remote, config, wanted).await
}

pub async fn tail(args: &OneCall, config: &Config, as_json: bool) -> Outcome {
    let client = Client::find(&args.remote, config)?;
    let call = super::look::resolve(&client, &args.call).await?;
    let wanted = Wanted {
        call: Some(call),
        max: None,
        as_json,
        alerts_only: false,
    };
    follow(&args.remote, config, wanted).await
}

/// Alerts as they are raised, acknowledged, snoozed and cleared.
pub async fn alerts(remote: &Remote, config: &Config, as_json: bool) -> Outcome {
    let wanted = Wanted {
        call: None,
        max: None,
        as_json,
        alerts_only: true,
    };
    follow(remote, config, wanted).await
}

/// What is printed.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    call: Option<CallId>,
    max: Option<u64>,
    as_json: bool,
    alerts_only: bool,
}

async fn follow(remote: &Remote, config: &Config, wanted: Wanted) -> Outcome {
    let client = Client::find(remote, config)?;
    let place = client.place.clone();
    let tasks = Tasks::new();
    let settings = attach::settings(place.url.as_str())?;
    let token = attach::token_source(place.clone(), remote.token_file.clone());
    let link = RemoteBackend::attach(&settings, token, &tasks, Clock::start())
        .map_err(|error| Failure::failed(error.to_string(), ""))?;
    let outcome = tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        outcome = print(link.clone(), place.url.as_str(), wanted) => outcome,
    };
    drop(link);
    tasks.shutdown(LEAVE_WITHIN).await;
    outcome
}

async fn print(link: Arc<dyn Backend>, url: &str, wanted: Wanted) -> Outcome {
    let mut updates = link.subscribe();
    let mut printer = Printer {
        wanted,
        names: HashMap::new(),
        printed: 0,
        was_up: false,
    };
    let deadline = tokio::time::sleep(CONNECT_WITHIN);
    tokio::pin!(deadline);
    loop {
        // Cancel-safe: `recv` loses nothing.
        let update = tokio::select! {
            update = updates.recv() => update,
            () = &mut deadline, if !printer.was_up => {
                return Err(Failure::unreachable(
                    format!("{url} did not answer in time"),
                    "check the URL and that the backend is running",
                ));
            }
        };
        let Some(update) = update else {
            return Err(Failure::failed("the link ended", "try again"));
        };
        if printer.take(update, url)? {
            return Ok(());
        }
    }
}

struct Printer {
    wanted: Wanted,
    /// How a call is called in a line for people.
    names: HashMap<CallId, String>,
    printed: u64,
    was_up: bool,
}

impl Printer {
    /// Returns whether enough was printed.
    fn take(&mut self, update: Update, url: &str) -> Outcome<bool> {
        match update {
            Update::Link(LinkState::Refused(refusal)) => return Err(refused(refusal)),
            Update::Link(LinkState::Down { reason, .. }) => {
                if !self.was_up {
                    return Err(Failure::unreachable(
                        format!("{url} cannot be reached: {}", clean(&reason)),
                        "check the URL and that the backend is running",
                    ));
                }
                crate::cli::config_verbs::notice(&format!(
                    "link lost: {}; trying again",
                    clean(&reason)
                ));
            }
            Update::Snapshot { calls, .. } => {
                if self.was_up {
                    crate::cli::config_verbs::notice("facts were missed while the link was down");
                }
                self.was_up = true;
                self.names = calls.iter().map(|call| (call.id, name(call))).collect();
            }
            Update::Envelopes { items, .. } => {
                self.was_up = true;
                for envelope in items {
                    if self.envelope(&envelope)? {
                        return Ok(true);
                    }
                }
            }
            Update::Hello(hello) => {
                if let Some(words) = skew_words(hello.now, Clock::start().now()) {
                    crate::cli::config_verbs::notice(&words);
                }
            }
            Update::Link(_) | Update::Gauges(_) | Update::Reply(_) | Update::Alive => {}
        }
        Ok(false)
    }

    fn envelope(&mut self, envelope: &Envelope) -> Outcome<bool> {
        if let (Some(id), CallEvent::Known(Fact::CallSeen { facts, .. })) =
            (envelope.call, &envelope.event)
        {
            self.names.insert(id, mask(&facts.from));
        }
        if self.wanted.call.is_some() && envelope.call != self.wanted.call {
            return Ok(false);
        }
        if self.wanted.alerts_only && !is_about_alerts(envelope) {
            return Ok(false);
        }
        if self.wanted.as_json {
            out::json(envelope)?;
        } else if let Some(line) = self.line(envelope) {
            out::line(&line)?;
        }
        self.printed += 1;
        Ok(self.wanted.max.is_some_and(|max| self.printed >= max))
    }

    /// A fact for people; `None` for those that would only flicker.
    fn line(&self, envelope: &Envelope) -> Option<String> {
        let at = envelope.at.with_timezone(&chrono::Local).format("%H:%M:%S");
        let CallEvent::Known(fact) = &envelope.event else {
            return None;
        };
        let words = fact_words(fact)?;
        let words = clean(&words).replace('\n', " ");
        match (self.wanted.call, envelope.call) {
            (None, Some(id)) => {
                let name = self.names.get(&id).map_or("", String::as_str);
                Some(format!("{at}  {name:<16}  {words}"))
            }
            _ => Some(format!("{at}  {words}")),
        }
    }
}

/// That the two clocks differ, where that would matter: signatures and tokens go by the clock.
pub fn skew_words(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Option<String> {
    /// What a slow link explains, seconds.
    const EXPLAINED: i64 = 5;
    let off = (theirs - ours).num_seconds();
    (off.abs() > EXPLAINED).then(|| {
        let way = if off > 0 { "behind" } else { "ahead of" };
        format!(
            "this machine's clock is {} s {way} the backend's; set it (timedatectl set-ntp true), or \
             times here are off",
            off.abs()
        )
    })
}

fn is_about_alerts(envelope: &Envelope) -> bool {
    matches!(
        &envelope.event,
        CallEvent::Known(
            Fact::AlertRaised { .. }
                | Fact::AlertCleared { .. }
                | Fact::AlertAcknowledged { .. }
                | Fact::AlertSnoozed { .. }
        )
    )
}

fn refused(refusal: crate::call::Refusal) -> Failure {
    let is_about_us = matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::Forbidden);
    let mut failure = Failure::from(refusal);
    if failure.fix.is_empty() && is_about_us {
        failure.fix = "give a token with --token-file or WALLBOARD_TOKEN".into();
    }
    failure
}

fn name(call: &Call) -> String {
    mask(call.caller_number())
}

fn mask(number: &str) -> String {
    if number.contains('•') {
        number.to_owned()
    } else {
        mask_number(number)
    }
}

fn who(track: Track) -> &'static str {
    match track {
        Track::FromCaller => "caller",
        Track::FromAgent => "agent",
        Track::FromOperator => "operator",
    }
}

/// A fact in words, for people; `None` for those that would only flicker.
pub fn fact_words(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::UtteranceInterim { .. } | Fact::StatusIgnored { .. } | Fact::CallDescribed { .. } => {
            return None;
        }
        Fact::CallSeen { status, facts, .. } => {
            format!("{} call, {}", facts.carrier, status.as_str())
        }
        Fact::StatusChanged { status, .. } => format!("status {}", status.as_str()),
        Fact::AnsweredBy { verdict, .. } => format!("answered by {}", verdict.as_str()),
        Fact::MediaLinkChanged { link, .. } => format!("media {}", link.as_str()),
        Fact::AgentLinkChanged { link, reason, .. } => match reason {
            Some(reason) => format!("agent {}: {reason}", link.as_str()),
            None => format!("agent {}", link.as_str()),
        },
        Fact::UtteranceFinal {
            track,
            text,
            latency_ms,
            ..
        } => {
            let latency = latency_ms
                .map(|ms| format!("  [{:.1} s]", f64::from(ms) / 1000.0))
                .unwrap_or_default();
            format!("{:<9}{text}{latency}", who(*track))
        }
        Fact::UtteranceTruncated {
            track,
            heard,
            cut_at_ms: 0,
            ..
        } if heard.is_empty() => format!("{:<9}that was not heard", who(*track)),
        Fact::UtteranceTruncated {
            track,
            heard,
            cut_at_ms,
            ..
        } => format!(
            "{:<9}cut off after {:.1} s; heard: {heard}",
            who(*track),
            f64::from(*cut_at_ms) / 1000.0
        ),
        Fact::ToolCalled { name, args, .. } => format!("tool     {name} {args}"),
        Fact::ToolReturned { ok, result, .. } => {
            format!("tool     {}: {result}", if *ok { "ok" } else { "failed" })
        }
        Fact::AlertRaised { alert } => {
            let severity = match alert.severity {
                Severity::Info => "info",
                Severity::Warn => "warning",
                Severity::Critical => "critical",
            };
            format!("alert    {severity}: {} ({})", alert.reason, alert.rule)
        }
        Fact::AlertCleared { rule } => format!("alert    {rule} is over"),
        Fact::AlertAcknowledged { rule, by } => format!("alert    {rule} acknowledged by {by}"),
        Fact::AlertSnoozed { rule, by, .. } => format!("alert    {rule} snoozed by {by}"),
        Fact::CommandAccepted { verb, by, .. } => format!("{by} asked: {verb}"),
        Fact::CommandDone { verb, .. } => format!("done: {verb}"),
        Fact::CommandFailed { verb, message, .. } => format!("failed: {verb}: {message}"),
        Fact::CommandUnconfirmed { verb, .. } => format!("unconfirmed: {verb}"),
        Fact::Dtmf { digit } => format!("key {digit}"),
        Fact::TroubleNoted { code, message } => format!("trouble {code}: {message}"),
        Fact::Notice { code, text, .. } => format!("notice {code}: {text}"),
        Fact::CallEnded {
            status,
            ended_by,
            cause,
            ..
        } => {
            let by = ended_by
                .as_ref()
                .map(|by| format!(" by {by}"))
                .unwrap_or_default();
            let cause = cause
                .as_ref()
                .map(|cause| format!(", {cause}"))
                .unwrap_or_default();
            format!("ended {}{by}{cause}", status.as_str())
        }
        other => {
            let value = serde_json::to_value(other).ok()?;
            value.get("type")?.as_str()?.replace('_', " ")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_named_and_a_slow_link_is_not() {
        let ours: DateTime<Utc> = "2026-11-26T12:00:00Z".parse().unwrap();
        let off = |seconds: i64| skew_words(ours + chrono::TimeDelta::seconds(seconds), ours);
        assert_eq!(off(3), None);
        assert!(off(90).unwrap().contains("90 s behind"));
        assert!(off(-90).unwrap().contains("90 s ahead of"));
    }
}
