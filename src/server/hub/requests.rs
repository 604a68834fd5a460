//! What clients ask for, read tolerantly, and its replies. Every request gets exactly one.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::call::{CallId, Command, CommandId, Epoch, ErrorCode, Grant, Refusal, Verb};
use crate::engine::HistoryQuery;

use super::super::state::App;
use super::encode::masked_call;

/// Calls in one page of history at most.
const PAGE_MAX: usize = 200;
const PAGE_DEFAULT: usize = 50;

/// The place a client says it has reached; `None` asks for a snapshot.
pub(super) fn place(data: &Value) -> Option<(Epoch, u64)> {
    let epoch = data.get("epoch")?.as_str()?.parse().ok()?;
    Some((epoch, data.get("since")?.as_u64()?))
}

pub(super) fn refused(id: &Value, refusal: &Refusal) -> Value {
    json!({ "id": id, "ok": false, "error": refusal })
}

pub(super) fn too_many() -> Refusal {
    Refusal::new(
        ErrorCode::Overloaded,
        "too many requests at once",
        "wait for their replies",
    )
}

pub(super) fn stopping() -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        "the backend is stopping",
        "try again in a moment",
    )
}

/// Carries out a command.
pub(super) async fn command(app: &Arc<App>, grant: &Grant, id: &Value, data: Value) -> Value {
    let command = match read_command(app, grant, data) {
        Ok(command) => command,
        Err(refusal) => return refused(id, &refusal),
    };
    let reply = app.core.command(grant, command).await;
    serde_json::to_value(reply).unwrap_or_else(|_| json!({ "id": id, "ok": false }))
}

fn read_command(app: &App, grant: &Grant, mut data: Value) -> Result<Command, Refusal> {
    let invalid = |message: String| {
        Refusal::new(
            ErrorCode::Invalid,
            message,
            "see the protocol: {id, call, verb, args}",
        )
    };
    let fields = data
        .as_object_mut()
        .ok_or_else(|| invalid("a command is one JSON object".into()))?;
    let id = fields.get("id").and_then(Value::as_str);
    if id.is_none_or(|id| id.parse::<CommandId>().is_err()) {
        return Err(invalid("a command's id is a UUID".into()));
    }
    normalise(fields);
    if let Some(key) = fields.get("call").and_then(Value::as_str) {
        // A carrier's id is taken too; a call this token may not see does not exist for it.
        let found = app.core.switchboard.read(|board| {
            board
                .find(key)
                .filter(|call| grant.sees_lead(call.facts.lead_id.as_deref()))
                .map(|call| call.id)
        });
        // What can still be done to a call that has left the board is for the commands to say.
        let Some(call) = found.or_else(|| key.parse::<CallId>().ok()) else {
            return Err(Refusal::new(
                ErrorCode::NotFound,
                "no such call",
                "it may have left the board; look into history",
            ));
        };
        fields.insert("call".into(), call.to_string().into());
    }
    serde_json::from_value(data).map_err(|error| invalid(format!("not a command: {error}")))
}

/// Fills in what may be left out: no arguments, and the short name for ending a call.
fn normalise(fields: &mut Map<String, Value>) {
    if fields.get("args").is_none_or(Value::is_null) {
        fields.insert("args".into(), json!({}));
    }
    if fields.get("verb").and_then(Value::as_str) == Some("end") {
        fields.insert("verb".into(), "terminate".into());
    }
}

/// Looks up past calls. `query` may be words or an object; `cursor` and `limit` stand beside it.
pub(super) async fn history(app: &Arc<App>, grant: &Grant, id: &Value, data: Value) -> Value {
    if !grant.allows(Verb::History) {
        return refused(id, &Refusal::forbidden(Verb::History));
    }
    let query = match read_query(&data) {
        Ok(query) => query,
        Err(error) => {
            let hint = "see the protocol: {id, query, cursor?, limit}";
            let refusal = Refusal::new(ErrorCode::Invalid, format!("not a query: {error}"), hint);
            return refused(id, &refusal);
        }
    };
    if query.audit {
        if let Err(refusal) = app.core.may_read_audit(grant) {
            return refused(id, &refusal);
        }
    }
    let unmasked = grant.allows(Verb::Unmask);
    let found = if query.timeline {
        match app.core.history(grant, query).await {
            Ok(page) => Ok(page),
            Err(refusal) => return refused(id, &refusal),
        }
    } else {
        app.core.journal.history(query).await
    };
    match found {
        Ok(page) => {
            let items: Vec<_> = page
                .items
                .into_iter()
                .filter(|call| grant.sees_lead(call.facts.lead_id.as_deref()))
                .map(|call| if unmasked { call } else { masked_call(call) })
                .collect();
            let mut result = json!({ "items": items, "next": page.next });
            if !page.audit.is_empty() {
                result["audit"] = json!(page.audit);
            }
            if !page.said.is_empty() {
                result["said"] = json!(page.said);
            }
            json!({ "id": id, "ok": true, "result": result })
        }
        Err(error) => {
            let hint = "look at the disk of data.dir";
            let refusal = Refusal::new(ErrorCode::Unavailable, error.to_string(), hint);
            refused(id, &refusal)
        }
    }
}

fn read_query(data: &Value) -> Result<HistoryQuery, serde_json::Error> {
    let mut query = match data.get("query") {
        None | Some(Value::Null) => HistoryQuery::default(),
        Some(Value::String(words)) => HistoryQuery {
            text: Some(words.clone()).filter(|words| !words.trim().is_empty()),
            ..HistoryQuery::default()
        },
        Some(object) => serde_json::from_value(object.clone())?,
    };
    if let Some(cursor) = data.get("cursor").and_then(Value::as_str) {
        query.cursor = Some(cursor.to_owned());
    }
    if let Some(limit) = data.get("limit").and_then(Value::as_u64) {
        query.limit = usize::try_from(limit).unwrap_or(PAGE_MAX);
    }
    if query.limit == 0 {
        query.limit = PAGE_DEFAULT;
    }
    query.limit = query.limit.min(PAGE_MAX);
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_may_be_words_or_an_object() {
        let words = read_query(&json!({ "query": "refund", "cursor": "c", "limit": 900 })).unwrap();
        assert_eq!(words.text.as_deref(), Some("refund"));
        assert_eq!(
            (words.cursor.as_deref(), words.limit),
            (Some("c"), PAGE_MAX)
        );
        let object = read_query(&json!({ "query": { "lead_id": "L1" } })).unwrap();
        assert_eq!(
            (object.lead_id.as_deref(), object.limit),
            (Some("L1"), PAGE_DEFAULT)
        );
        assert!(read_query(&json!({ "query": { "limit": "many" } })).is_err());
    }

    #[test]
    fn a_place_needs_epoch_and_number() {
        let epoch = "0190a000-0000-7000-8000-000000000001";
        assert!(place(&json!({ "epoch": epoch, "since": 7 })).is_some());
        for data in [
            json!({ "epoch": epoch, "since": null }),
            json!({ "epoch": null, "since": 7 }),
            json!({ "epoch": "x", "since": 7 }),
            json!({}),
            Value::Null,
        ] {
            assert!(place(&data).is_none(), "{data}");
        }
    }

    #[test]
    fn what_may_be_left_out_is_filled_in() {
        let mut data = json!({ "id": "0190a000-0000-7000-8000-000000000001", "verb": "end" });
        normalise(data.as_object_mut().unwrap());
        let command: Command = serde_json::from_value(data).unwrap();
        assert_eq!(command.action.name(), "terminate");
    }
}
