//! Voice Insights as Event Streams deliver them: the carrier's own figures, minutes late.
//! One CloudEvent or a batch; every leaf optional. Spec: Twilio docs, "Voice Insights Event Streams
//! (Call Metrics/2, Call Summary/7)", read 2026-11; leaf names there are partly unproven.

use serde::Deserialize;
use serde_json::Value;

use crate::call::text::clean_label;
use crate::call::{Band, CallStatus, Fact, Quality, Source};
use crate::providers::News;

use super::{CARRIER, is_id, sip_text};

/// Events read from one delivery; the rest of a larger batch is passed over.
const BATCH_MAX: usize = 1_000;

/// The body is not a CloudEvent or an array of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a CloudEvents body: {0}")]
pub struct InsightsError(String);

#[derive(Deserialize)]
struct CloudEvent {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Delivery {
    Batch(Vec<Value>),
    Single(Value),
}

/// Reads a delivery. Events of types we do not use, or without a call, are no news.
///
/// # Errors
/// The body is not JSON, or neither an object nor an array.
pub fn read_insights(body: &[u8]) -> Result<Vec<News>, InsightsError> {
    let delivery: Delivery =
        serde_json::from_slice(body).map_err(|error| InsightsError(error.to_string()))?;
    let events = match delivery {
        Delivery::Batch(events) => events,
        Delivery::Single(event @ Value::Object(_)) => vec![event],
        Delivery::Single(_) => return Err(InsightsError("neither an object nor an array".into())),
    };
    Ok(events
        .into_iter()
        .take(BATCH_MAX)
        .filter_map(read_event)
        .collect())
}

fn read_event(event: Value) -> Option<News> {
    let CloudEvent { kind, data } = serde_json::from_value(event).ok()?;
    let call = data.get("call_sid")?.as_str().filter(|id| is_id(id))?;
    let facts = if kind.contains(".call-metrics.") {
        read_metrics(&data).into_iter().collect()
    } else if kind.contains(".call-summary.") {
        read_summary(&data)
    } else {
        Vec::new()
    };
    (!facts.is_empty()).then(|| News::known(CARRIER, call, facts))
}

/// One interval of one edge.
fn read_metrics(data: &Value) -> Option<Fact> {
    let edge = edge_of(data)?;
    let interval = edge.get("interval").or_else(|| edge.get("cumulative"))?;
    quality_of(interval)
}

/// The figures of the whole call, and the only place where the carrier says who hung up.
fn read_summary(data: &Value) -> Vec<Fact> {
    let mut facts = Vec::new();
    let edge = edge_of(data);
    let metrics = edge.and_then(|edge| edge.get("metrics"));
    // What we hear of the caller comes first; the other way only if there is nothing else.
    let side = metrics.and_then(|both| both.get("inbound").or_else(|| both.get("outbound")));
    facts.extend(side.and_then(quality_of));
    let properties = [
        edge.and_then(|edge| edge.get("properties")),
        data.get("properties"),
    ];
    let property = |name: &str| {
        properties
            .iter()
            .flatten()
            .find_map(|all| all.get(name))
            .cloned()
    };
    let ended_by = property("disconnected_by")
        .and_then(|word| word.as_str().map(|word| clean_label(word).into_owned()))
        .filter(|word| !word.is_empty() && word != "unknown");
    let cause = property("last_sip_response_num")
        .and_then(|code| number(&code))
        .map(|code| sip_text(code as u32));
    if let Some(status) = data
        .get("call_state")
        .and_then(Value::as_str)
        .and_then(call_state)
    {
        let duration_s = data
            .get("connect_duration")
            .or_else(|| data.get("duration"))
            .and_then(number);
        facts.push(Fact::CallEnded {
            status,
            ended_by,
            cause,
            duration_s: duration_s.map(|seconds| seconds as u32),
            source: Source::Webhook,
        });
    }
    facts
}

/// The edge that saw the call; of a phone call only the carrier's exists.
fn edge_of(data: &Value) -> Option<&Value> {
    let named = data
        .get("edge")
        .and_then(Value::as_str)
        .and_then(|edge| data.get(edge));
    ["carrier_edge", "sip_edge", "sdk_edge", "client_edge"]
        .iter()
        .map(|edge| data.get(*edge))
        .fold(named, |found, next| {
            found.filter(|edge| edge.is_object()).or(next)
        })
        .filter(|edge| edge.is_object())
}

fn quality_of(figures: &Value) -> Option<Fact> {
    let figure = |name: &str, leaves: &[&str]| -> Option<f32> {
        let value = figures.get(name)?;
        let leaf = leaves
            .iter()
            .find_map(|leaf| value.get(*leaf))
            .unwrap_or(value);
        number(leaf).map(|figure| figure as f32)
    };
    let jitter_ms = figure("jitter", &["avg", "value", "max"]);
    let gap_pct =
        figure("packets_loss_percentage", &[]).or_else(|| figure("packets_lost_percentage", &[]));
    let rtt_ms = figure("rtt", &["value", "avg", "max"]);
    let score = figure("mos", &["value", "avg", "min"]);
    if jitter_ms.is_none() && gap_pct.is_none() && rtt_ms.is_none() && score.is_none() {
        return None;
    }
    let bands = [
        band(jitter_ms, |ms| ms < 15.0, |ms| ms <= 30.0),
        band(gap_pct, |pct| pct < 1.0, |pct| pct <= 5.0),
        band(rtt_ms, |ms| ms < 200.0, |ms| ms <= 400.0),
        band(score, |mos| mos >= 4.0, |mos| mos >= 3.5),
    ];
    let quality = Quality {
        band: bands.into_iter().max().unwrap_or_default(),
        bridge_score: score,
        jitter_ms,
        gap_pct,
        rtt_ms,
        source: CARRIER.to_owned(),
    };
    Some(Fact::QualityChanged { quality })
}

fn band(figure: Option<f32>, good: fn(f32) -> bool, fair: fn(f32) -> bool) -> Band {
    match figure {
        None => Band::Unknown,
        Some(figure) if good(figure) => Band::Good,
        Some(figure) if fair(figure) => Band::Warn,
        Some(_) => Band::Bad,
    }
}

/// A finite, non-negative figure; Twilio writes some as strings.
fn number(value: &Value) -> Option<f64> {
    let figure = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    (figure.is_finite() && figure >= 0.0).then_some(figure)
}

/// Insights spells the ends differently from the call resource.
fn call_state(word: &str) -> Option<CallStatus> {
    match word {
        "completed" | "answered" => Some(CallStatus::Completed),
        "busy" => Some(CallStatus::Busy),
        "fail" | "failed" | "undialed" => Some(CallStatus::Failed),
        "noanswer" | "no-answer" => Some(CallStatus::NoAnswer),
        "canceled" => Some(CallStatus::Canceled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Subject;

    const METRIC: &str = r#"{"specversion":"1.0","type":"com.twilio.voice.insights.call-metrics.gateway","source":"DG1","id":"EZ1","data":{
        "timestamp":"2026-11-21T04:00:10Z","call_sid":"CA1234567890abcdef1234567890abcdef","edge":"carrier_edge","direction":"inbound","sdk_edge":null,
        "carrier_edge":{"interval":{"codec":0,"codec_name":"pcmu","packets_received":500,"packets_lost":2,"packets_loss_percentage":0.4,
        "jitter":{"min":0.1,"max":9.0,"avg":3.0,"value":3.0},"rtt":{"value":81},"mos":{"value":4.39},"latency":{"value":40}},"cumulative":{}}}}"#;

    #[test]
    fn metric_becomes_the_carriers_quality() {
        let news = read_insights(METRIC.as_bytes()).unwrap();
        let quality = Quality {
            band: Band::Good,
            bridge_score: Some(4.39),
            jitter_ms: Some(3.0),
            gap_pct: Some(0.4),
            rtt_ms: Some(81.0),
            source: "twilio".into(),
        };
        assert_eq!(news[0].facts, [Fact::QualityChanged { quality }]);
        assert!(
            matches!(&news[0].subject, Subject::Known { carrier_call_id, .. } if carrier_call_id.starts_with("CA12"))
        );
    }

    #[test]
    fn batches_are_read_and_unknown_types_passed_over() {
        let batch = format!(
            r#"[{METRIC},{{"type":"com.twilio.other","data":{{"call_sid":"CA1"}}}},7,null]"#
        );
        assert_eq!(read_insights(batch.as_bytes()).unwrap().len(), 1);
        assert!(read_insights(b"7").is_err() && read_insights(b"{").is_err());
    }

    #[test]
    fn summary_names_who_hung_up_in_the_carriers_word() {
        let body = r#"{"type":"com.twilio.voice.insights.call-summary.complete","data":{"call_sid":"CA1","call_state":"completed","duration":50,"connect_duration":"47",
            "carrier_edge":{"metrics":{"inbound":{"packets_loss_percentage":7.5,"jitter":{"avg":2.0,"max":40.0}}},"properties":{"disconnected_by":"callee","last_sip_response_num":200}}}}"#;
        let news = read_insights(body.as_bytes()).unwrap();
        let Fact::QualityChanged { quality } = &news[0].facts[0] else {
            panic!()
        };
        assert_eq!(quality.band, Band::Bad);
        assert_eq!(
            news[0].facts[1],
            Fact::CallEnded {
                status: CallStatus::Completed,
                ended_by: Some("callee".into()),
                cause: Some("normal end".into()),
                duration_s: Some(47),
                source: Source::Webhook,
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in proptest::collection::vec(0u8.., 0..200), text in ".{0,200}") {
            let _either = (read_insights(&body), read_insights(text.as_bytes()));
        }
    }
}
