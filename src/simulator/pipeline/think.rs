//! The model: by the scripts where the caller says a line of one, by a few rules otherwise.

use serde_json::Value;

use crate::simulator::speech::{Line, library};

/// What the model answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Thought {
    pub(super) words: String,
    /// Name and arguments of a tool to be used.
    pub(super) call: Option<(&'static str, String)>,
}

/// The answer to a whole request.
pub(super) fn think(request: &Value) -> Thought {
    let messages = request
        .get("messages")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let role = |message: &Value| {
        message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let content = |message: &Value| {
        message
            .get("content")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let has_tool = |name: &str| {
        let tools = request.get("tools").and_then(Value::as_array);
        tools
            .into_iter()
            .flatten()
            .any(|tool| tool.pointer("/function/name").and_then(Value::as_str) == Some(name))
    };
    match messages.last() {
        Some(last) if role(last) == "tool" => Thought {
            words: format!("The answer is: {}.", content(last).trim_end_matches('.')),
            call: None,
        },
        Some(last) if role(last) == "user" => answer_to(&content(last), has_tool),
        _ => Thought {
            words: "Hello, this is the rehearsal agent. How can I help?".into(),
            call: None,
        },
    }
}

fn answer_to(said: &str, has_tool: impl Fn(&str) -> bool) -> Thought {
    let plain = normal(said);
    if let Some(thought) = by_script(&plain, &has_tool) {
        return thought;
    }
    let has = |words: &[&str]| plain.split(' ').any(|word| words.contains(&word));
    let spoken = |words: &str| Thought {
        words: words.to_owned(),
        call: None,
    };
    if has(&["human", "person", "transfer"]) && has_tool("transfer_call") {
        return Thought {
            words: "One moment, I am connecting you with a colleague.".into(),
            call: Some(("transfer_call", r#"{"reason":"asked for a person"}"#.into())),
        };
    }
    if has(&["lookup", "order"]) && has_tool("lookup") {
        return Thought {
            words: "Let me look that up.".into(),
            call: Some(("lookup", r#"{"order":"7"}"#.into())),
        };
    }
    if has(&["bye", "goodbye"]) {
        return Thought {
            words: "Thank you for calling. Goodbye!".into(),
            call: has_tool("end_call").then(|| ("end_call", r#"{"reason":"said goodbye"}"#.into())),
        };
    }
    if has(&["hello", "hi", "hey"]) {
        return spoken(
            "Hello! I am the rehearsal agent. Ask me about opening hours, for instance.",
        );
    }
    if has(&["hours", "open", "closed"]) {
        return spoken("We are open from nine to five, Monday to Friday. Is there anything else?");
    }
    if has(&["story", "long"]) {
        return spoken(
            "Once upon a time there was a switchboard with a hundred lamps. Every evening it counted \
             them, one by one, until all of them had gone out. Then it waited for the morning, and for \
             the first call of the day. It was always somebody who wanted to know the time. The \
             switchboard knew the time very well, but nobody had ever asked it.",
        );
    }
    Thought {
        words: format!(
            "You said: {}. I am only a rehearsal agent, and that is all I make of it.",
            said.trim().trim_end_matches(['.', '!', '?'])
        ),
        call: None,
    }
}

/// The agent's lines after a caller's line of a script, up to the first tool it was told of.
fn by_script(plain: &str, has_tool: impl Fn(&str) -> bool) -> Option<Thought> {
    for script in library() {
        let place = script
            .lines
            .iter()
            .position(|line| matches!(line, Line::Caller(caller) if normal(&caller.text) == plain));
        let Some(place) = place else { continue };
        let (mut words, mut call) = (Vec::new(), None);
        for line in script.lines.iter().skip(place + 1) {
            match line {
                Line::Caller(_) => break,
                Line::Agent(agent) => words.push(agent.text.as_str()),
                Line::Tool(tool) if has_tool(&tool.name) => {
                    call = Some((tool.name.as_str(), tool.args.to_string()));
                    break;
                }
                _ => {}
            }
        }
        if !words.is_empty() || call.is_some() {
            let words = words.join(" ");
            return Some(Thought { words, call });
        }
    }
    None
}

/// Words in small letters, one blank between them.
pub(super) fn normal(text: &str) -> String {
    let letters: String = text
        .chars()
        .map(|char| {
            if char.is_alphanumeric() {
                char.to_ascii_lowercase()
            } else {
                ' '
            }
        })
        .collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(text: &str, tools: &[&str]) -> Thought {
        let tools: Vec<_> = tools
            .iter()
            .map(|name| json!({"type": "function", "function": {"name": name}}))
            .collect();
        think(&json!({"messages": [{"role": "user", "content": text}], "tools": tools}))
    }

    #[test]
    fn scripts_first_then_rules() {
        assert_eq!(
            ask("thursday works, is that at the mill street office", &[]).words,
            "Yes, Mill Street, second floor. Shall I send the reminder to this number?"
        );
        assert!(
            ask("When are you open?", &[])
                .words
                .starts_with("We are open")
        );
        assert!(ask("blue", &[]).words.starts_with("You said: blue."));
        let order = "Yes, I ordered a rain jacket two weeks ago and it still isn't here. The number \
                     is F O, seven seven three one nine.";
        assert_eq!(ask(order, &[]).call, None);
        let asked = ask(order, &["lookup_order"]);
        assert_eq!(asked.words, "Let me look that up.");
        assert_eq!(
            asked.call,
            Some(("lookup_order", r#"{"order":"FO-77319"}"#.to_owned()))
        );
        assert_eq!(ask("bye", &[]).call, None);
        assert_eq!(ask("bye", &["end_call"]).call.unwrap().0, "end_call");
    }
}
