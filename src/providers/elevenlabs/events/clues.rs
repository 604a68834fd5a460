//! What an event says about whose conversation it is.

use super::look::Look;

/// Signs of the lead in one event, strongest first; what is known already is stronger than all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clues {
    pub lead_id: Option<String>,
    /// It stood in a field of that name, not only in `user_id`, which may be anybody's own idea.
    pub is_named: bool,
    /// The id the conversation was given before it had one of its own.
    pub temp_id: Option<String>,
    /// The other person's number, normalised by [`normal_number`].
    pub phone: Option<String>,
    pub name: Option<String>,
    /// As the event says; `None` where it does not.
    pub outbound: Option<bool>,
}

impl Clues {
    pub(super) fn read(look: Look<'_>) -> Self {
        let named = named_lead(look);
        Self {
            is_named: named.is_some(),
            lead_id: named.or_else(|| look.word(&["c.user_id", "d.user_id"])),
            temp_id: look.word(&[
                "c.temp_conversation_id",
                "c.dynamic_variables.temp_conversation_id",
                "d.dynamic_variables.temp_conversation_id",
                "d.temp_conversation_id",
            ]),
            phone: phone(look),
            name: look.word(&[
                "c.dynamic_variables.customer_name",
                "d.dynamic_variables.customer_name",
                "d.metadata.customer_name",
            ]),
            outbound: direction(look),
        }
    }
}

fn named_lead(look: Look<'_>) -> Option<String> {
    // Both spellings at every level, in this order.
    let places = [
        "c.dynamic_variables",
        "c",
        "c.custom_llm_extra_body",
        "d.dynamic_variables",
        "d.metadata",
        "d.client_data",
        "d",
        "body",
        "body.metadata",
        "body.client_data",
    ];
    places.iter().find_map(|place| {
        let snake = format!("{place}.lead_id");
        let camel = format!("{place}.leadId");
        look.word(&[&snake, &camel])
    })
}

fn phone(look: Look<'_>) -> Option<String> {
    let found = look.word(&[
        "c.dynamic_variables.customer_phone",
        "c.dynamic_variables.phone_number",
        "c.dynamic_variables.system__caller_id",
        "c.dynamic_variables.system__called_number",
        "c.customer_phone",
        "c.phone_number",
        "d.metadata.phone_number",
        "d.metadata.customer_phone",
        "d.metadata.phone_call.external_number",
        "d.to_phone_number",
        "d.to_number",
        "d.phone_number",
        "d.caller_id",
    ]);
    normal_number(&found?)
}

fn direction(look: Look<'_>) -> Option<bool> {
    let word = look.word(&["d.metadata.phone_call.direction", "d.direction"]);
    match word.as_deref() {
        Some("outbound" | "outgoing") => Some(true),
        Some("inbound" | "incoming") => Some(false),
        _ => {
            let called = look.word(&["d.to_phone_number", "d.to_number"]).is_some();
            let calls = look.word(&["d.caller_id"]).is_some();
            called.then_some(true).or(calls.then_some(false))
        }
    }
}

/// A number in E.164 as far as can be told: a leading plus is kept, ten digits are North American.
/// `None` where there are no digits to speak of.
pub fn normal_number(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 3 || digits.len() > 20 {
        return None;
    }
    Some(match (text.trim_start().starts_with('+'), digits.len()) {
        (false, 10) => format!("+1{digits}"),
        _ => format!("+{digits}"),
    })
}
