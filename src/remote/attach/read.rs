//! The backend's messages, read tolerantly: what a newer backend adds is passed over.

use serde::Deserialize;
use serde_json::Value;

use crate::call::text::clean_label;
use crate::call::{CommandId, Epoch, ErrorCode, Gauge, Refusal, Verb};
use crate::engine::HistoryPage;

#[derive(Deserialize)]
pub(super) struct SnapshotPart {
    pub epoch: Epoch,
    pub seq: u64,
    pub part: usize,
    pub parts: usize,
    #[serde(default)]
    pub calls: Vec<Value>,
}

#[derive(Deserialize)]
pub(super) struct Batch {
    pub from: u64,
    pub to: u64,
    #[serde(default)]
    pub items: Vec<Value>,
}

#[derive(Deserialize)]
pub(super) struct RawReply {
    pub id: CommandId,
    #[serde(default)]
    pub ok: bool,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub result: Option<Value>,
    #[serde(default)]
    pub error: Option<Value>,
}

/// Verbs and roles a newer backend may know and this build does not are left out.
pub(super) fn known_verbs(mut hello: Value) -> Value {
    if let Some(verbs) = hello.get_mut("verbs").and_then(Value::as_array_mut) {
        verbs.retain(|verb| {
            verb.as_str()
                .is_some_and(|verb| Verb::parse(verb).is_some())
        });
    }
    hello
}

pub(super) fn gauges_of(mut data: Value) -> Vec<Gauge> {
    let calls = data.get_mut("calls").map(Value::take);
    let Some(Value::Array(calls)) = calls else {
        return Vec::new();
    };
    calls
        .into_iter()
        .filter_map(|gauge| serde_json::from_value(gauge).ok())
        .collect()
}

pub(super) fn page_of(result: Option<Value>) -> HistoryPage {
    let mut result = result.unwrap_or_default();
    let items = match result.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    HistoryPage {
        items: items
            .into_iter()
            .filter_map(|call| serde_json::from_value(call).ok())
            .collect(),
        next: result
            .get("next")
            .and_then(Value::as_str)
            .map(str::to_owned),
        audit: result
            .get_mut("audit")
            .map(Value::take)
            .and_then(|rows| serde_json::from_value(rows).ok())
            .unwrap_or_default(),
        said: result
            .get_mut("said")
            .map(Value::take)
            .and_then(|rows| serde_json::from_value(rows).ok())
            .unwrap_or_default(),
    }
}

/// A refusal, even one whose code this build does not know.
pub(super) fn refusal_of(error: Option<Value>) -> Refusal {
    let error = error.unwrap_or_default();
    serde_json::from_value(error.clone()).unwrap_or_else(|_| {
        let said = error
            .get("message")
            .and_then(Value::as_str)
            .or(error.as_str());
        Refusal::new(
            ErrorCode::Unavailable,
            clean_label(said.unwrap_or("the backend refused without a reason")).into_owned(),
            error
                .get("hint")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )
    })
}
