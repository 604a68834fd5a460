//! The tools an agent is told of. What they do is decided elsewhere.

use serde_json::{Value, json};

/// Hands the caller to a person.
pub const TRANSFER_CALL: &str = "transfer_call";
/// Ends the call. Read by the codec itself: the vendor has no word for hanging up.
pub const END_CALL: &str = "end_call";

/// One tool as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    /// When to use it and what it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

impl Tool {
    /// [`TRANSFER_CALL`] with its reason, and, where there are several, the place to go to.
    pub fn transfer_call(destinations: &[String]) -> Self {
        let mut properties = json!({
            "reason": {"type": "string", "description": "Why the caller needs a person, in a few words"},
        });
        if let (false, Value::Object(fields)) = (destinations.is_empty(), &mut properties) {
            fields.insert(
                "destination".to_owned(),
                json!({"type": "string", "enum": destinations}),
            );
        }
        Self {
            name: TRANSFER_CALL.to_owned(),
            description: "Transfer the caller to a human colleague. Use it when the caller asks \
                          for a person or when you cannot help. Say that you are transferring \
                          them before you call it."
                .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": properties,
                "required": ["reason"],
            }),
        }
    }

    /// [`END_CALL`].
    pub fn end_call() -> Self {
        Self {
            name: END_CALL.to_owned(),
            description: "End the phone call. Use it only after you have said goodbye.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {"reason": {"type": "string"}},
            }),
        }
    }

    pub(in crate::providers) fn declaration(&self) -> Value {
        json!({
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
        })
    }
}
