//! Calls the vendor places on a phone number of its own: the request and its answer. Pure.
//! Spec: elevenlabs Python 2.78, `convai.twilio.outbound_call` (2026-11).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::DialRequest;

/// Where calls are placed, below `elevenlabs.api_base`.
pub const OUTBOUND_CALL: &str = "/v1/convai/twilio/outbound-call";

/// The body of a request for one call.
pub fn outbound_call(
    request: &DialRequest,
    variables: &BTreeMap<String, String>,
    agent_id: &str,
    phone_number_id: &str,
) -> Value {
    let mut data = json!({ "dynamic_variables": variables });
    if let Some(lead) = &request.lead_id {
        data["user_id"] = lead.clone().into();
    }
    let mut agent = json!({});
    if let Some(prompt) = &request.prompt {
        agent["prompt"] = json!({ "prompt": prompt });
    }
    if let Some(words) = &request.first_message {
        agent["first_message"] = words.clone().into();
    }
    // An agent that allows no overrides refuses even empty ones.
    if agent.as_object().is_some_and(|fields| !fields.is_empty()) {
        data["conversation_config_override"] = json!({ "agent": agent });
    }
    json!({
        "agent_id": agent_id,
        "agent_phone_number_id": phone_number_id,
        "to_number": request.number,
        "conversation_initiation_client_data": data,
    })
}

/// A call that was placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    pub conversation_id: Option<String>,
    /// The carrier's id, where the vendor tells it.
    pub call_sid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    conversation_id: Option<String>,
    // The vendor's own mixture of spellings; others have been seen.
    #[serde(default, rename = "callSid", alias = "call_sid")]
    call_sid: Option<String>,
}

/// Reads the answer to [`outbound_call`].
///
/// # Errors
/// The vendor's reason for not placing the call.
pub fn read_placed(body: &[u8]) -> Result<Placed, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !answer.success {
        return Err(if answer.message.is_empty() {
            "the call was not placed".to_owned()
        } else {
            answer.message
        });
    }
    Ok(Placed {
        conversation_id: answer.conversation_id.filter(|id| !id.is_empty()),
        call_sid: answer.call_sid.filter(|sid| !sid.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_only_what_was_asked() {
        let request = DialRequest {
            number: "+14155550134".into(),
            lead_id: Some("L1".into()),
            ..DialRequest::default()
        };
        let variables = BTreeMap::from([("lead_id".to_owned(), "L1".to_owned())]);
        let body = outbound_call(&request, &variables, "agent_1", "phnum_1");
        let expected = json!({
            "agent_id": "agent_1", "agent_phone_number_id": "phnum_1", "to_number": "+14155550134",
            "conversation_initiation_client_data":
                {"dynamic_variables": {"lead_id": "L1"}, "user_id": "L1"},
        });
        assert_eq!(body, expected);
        let told = DialRequest {
            prompt: Some("Be brief".into()),
            first_message: Some("Hi".into()),
            ..request
        };
        let body = outbound_call(&told, &variables, "agent_1", "phnum_1");
        let data = &body["conversation_initiation_client_data"]["conversation_config_override"];
        assert_eq!(
            data["agent"],
            json!({"prompt": {"prompt": "Be brief"}, "first_message": "Hi"})
        );
    }

    #[test]
    fn answers_are_read_in_every_spelling() {
        let rows = [
            (
                r#"{"success":true,"message":"ok","conversation_id":"c","callSid":"CA1"}"#,
                Some("CA1"),
            ),
            (
                r#"{"success":true,"conversation_id":"c","call_sid":"CA1"}"#,
                Some("CA1"),
            ),
            (
                r#"{"success":true,"conversation_id":"c","callSid":null}"#,
                None,
            ),
        ];
        for (body, sid) in rows {
            let placed = read_placed(body.as_bytes()).expect("placed");
            assert_eq!(placed.conversation_id.as_deref(), Some("c"));
            assert_eq!(placed.call_sid.as_deref(), sid, "{body}");
        }
        let refused = read_placed(br#"{"success":false,"message":"no funds"}"#);
        assert_eq!(refused, Err("no funds".to_owned()));
        assert!(read_placed(b"<html>").is_err());
    }
}
