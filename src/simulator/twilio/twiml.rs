//! Reads a TwiML document as strictly as the carrier: an unknown verb, attribute or value is refused
//! with the carrier's own error code. Spec: Twilio "TwiML for Programmable Voice", SDK 9.13.

use url::Url;

use crate::simulator::line::Method;
use crate::simulator::line::xml::{self, Node};

/// Longest name or value of a `<Parameter>`.
const PARAMETER_MAX: usize = 500;
/// Longest document.
const DOCUMENT_MAX: usize = 64 * 1024;

/// One step of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    ConnectStream(StreamVerb),
    StartStream(StreamVerb),
    StopStream,
    Say { text: String },
    Play { url: String, digits: Option<String> },
    Pause { seconds: u64 },
    Dial(DialVerb),
    Redirect { url: String, method: Method },
    Reject { busy: bool },
    Record(RecordVerb),
    Hangup,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamVerb {
    pub url: String,
    pub name: Option<String>,
    pub status_callback: Option<(String, Method)>,
    pub parameters: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialVerb {
    pub number: Option<String>,
    pub conference: Option<String>,
    pub caller_id: Option<String>,
    pub action: Option<(String, Method)>,
    pub timeout_s: Option<u64>,
    /// Status callback of the dialled leg and its events.
    pub status_callback: Option<(String, Vec<String>)>,
}

/// `<Start><Recording>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordVerb {
    pub callback: Option<String>,
    pub events: Vec<String>,
}

/// Why the carrier refuses a document, with its code (12100 parse, 12200 schema, 11100 URL, 12300
/// content type, 11750 too large).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct TwimlError {
    pub code: u32,
    pub message: String,
}

fn refuse<T>(code: u32, message: impl Into<String>) -> Result<T, TwimlError> {
    Err(TwimlError {
        code,
        message: message.into(),
    })
}

/// Reads a response body. `content_type` is checked when given; inline TwiML has none.
pub fn parse(content_type: Option<&str>, body: &str) -> Result<Vec<Verb>, TwimlError> {
    if let Some(kind) = content_type {
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !["text/xml", "application/xml", "text/html"].contains(&kind) {
            return refuse(12_300, format!("invalid content type {kind:?}"));
        }
    }
    if body.len() > DOCUMENT_MAX {
        return refuse(11_750, "document over 64 KB");
    }
    let root = match xml::parse(body) {
        Ok(root) => root,
        Err(message) => return refuse(12_100, message),
    };
    if root.name != "Response" {
        return refuse(
            12_200,
            format!("root element <{}>, not <Response>", root.name),
        );
    }
    attrs(&root, &[])?;
    no_text(&root)?;
    root.children.iter().map(verb).collect()
}

fn verb(node: &Node) -> Result<Verb, TwimlError> {
    match node.name.as_str() {
        "Connect" => {
            attrs(node, &["action", "method"])?;
            Ok(Verb::ConnectStream(stream(
                only_child(node, "Stream")?,
                Direction::Both,
            )?))
        }
        "Start" => {
            attrs(node, &["action", "method"])?;
            no_text(node)?;
            match node.children.as_slice() {
                [child] if child.name == "Recording" => recording(child),
                _ => Ok(Verb::StartStream(stream(
                    only_child(node, "Stream")?,
                    Direction::Listen,
                )?)),
            }
        }
        "Stop" => {
            attrs(node, &[])?;
            attrs(only_child(node, "Stream")?, &["name"])?;
            Ok(Verb::StopStream)
        }
        "Say" => {
            attrs(node, &["voice", "language", "loop"])?;
            number(node, "loop")?;
            leaf(node)?;
            Ok(Verb::Say {
                text: node.text.trim().to_owned(),
            })
        }
        "Play" => {
            attrs(node, &["loop", "digits"])?;
            leaf(node)?;
            let url = node.text.trim().to_owned();
            let digits = node.attr("digits").map(str::to_owned);
            Ok(Verb::Play { url, digits })
        }
        "Pause" => {
            attrs(node, &["length"])?;
            empty(node)?;
            Ok(Verb::Pause {
                seconds: number(node, "length")?.unwrap_or(1),
            })
        }
        "Redirect" => {
            attrs(node, &["method"])?;
            leaf(node)?;
            Ok(Verb::Redirect {
                url: node.text.trim().to_owned(),
                method: method(node, "method")?,
            })
        }
        "Reject" => {
            attrs(node, &["reason"])?;
            empty(node)?;
            match node.attr("reason") {
                None | Some("rejected") => Ok(Verb::Reject { busy: false }),
                Some("busy") => Ok(Verb::Reject { busy: true }),
                Some(other) => refuse(12_200, format!("Reject reason {other:?}")),
            }
        }
        "Hangup" => {
            attrs(node, &[])?;
            empty(node)?;
            Ok(Verb::Hangup)
        }
        "Dial" => dial(node),
        other => refuse(12_200, format!("unknown verb <{other}>")),
    }
}

enum Direction {
    Both,
    Listen,
}

fn stream(node: &Node, direction: Direction) -> Result<StreamVerb, TwimlError> {
    attrs(
        node,
        &[
            "name",
            "url",
            "track",
            "statusCallback",
            "statusCallbackMethod",
        ],
    )?;
    no_text(node)?;
    match (direction, node.attr("track")) {
        (_, None | Some("inbound_track")) => {}
        (Direction::Listen, Some("outbound_track" | "both_tracks")) => {}
        (_, Some(track)) => return refuse(31_941, format!("track {track:?} here")),
    }
    let url = node.attr("url").unwrap_or_default();
    stream_url(url)?;
    let mut parameters = Vec::new();
    for child in &node.children {
        if child.name != "Parameter" {
            return refuse(12_200, format!("<{}> inside <Stream>", child.name));
        }
        attrs(child, &["name", "value"])?;
        let (Some(name), Some(value)) = (child.attr("name"), child.attr("value")) else {
            return refuse(12_200, "<Parameter> without name or value");
        };
        if name.chars().count() + value.chars().count() > PARAMETER_MAX {
            return refuse(
                12_200,
                format!("<Parameter> {name} over {PARAMETER_MAX} characters"),
            );
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    Ok(StreamVerb {
        url: url.to_owned(),
        name: node.attr("name").map(str::to_owned),
        status_callback: callback(node, "statusCallback", "statusCallbackMethod")?,
        parameters,
    })
}

/// `wss://` and no query; plain `ws://` only to this machine, for rehearsals.
fn stream_url(text: &str) -> Result<(), TwimlError> {
    let Ok(url) = Url::parse(text) else {
        return refuse(11_100, format!("stream url {text:?}"));
    };
    let local = url.host_str().is_some_and(|host| {
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(is_loopback)
    });
    if url.scheme() != "wss" && !(url.scheme() == "ws" && local) {
        return refuse(
            11_100,
            format!("stream url must be wss, not {}", url.scheme()),
        );
    }
    if url.query().is_some() {
        return refuse(31_920, "a stream url takes no query string");
    }
    Ok(())
}

fn is_loopback(ip: std::net::IpAddr) -> bool {
    ip.is_loopback()
}

fn recording(node: &Node) -> Result<Verb, TwimlError> {
    attrs(
        node,
        &[
            "recordingStatusCallback",
            "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
            "trim",
            "track",
            "channels",
        ],
    )?;
    empty(node)?;
    let callback = callback(
        node,
        "recordingStatusCallback",
        "recordingStatusCallbackMethod",
    )?;
    Ok(Verb::Record(RecordVerb {
        callback: callback.map(|(url, _)| url),
        events: events(
            node,
            "recordingStatusCallbackEvent",
            &["in-progress", "completed", "absent", "failed"],
            "completed",
        )?,
    }))
}

fn dial(node: &Node) -> Result<Verb, TwimlError> {
    attrs(
        node,
        &[
            "action",
            "method",
            "timeout",
            "hangupOnStar",
            "timeLimit",
            "callerId",
            "record",
            "trim",
            "recordingStatusCallback",
            "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
            "answerOnBridge",
            "ringTone",
            "recordingTrack",
            "sequential",
            "referUrl",
            "referMethod",
        ],
    )?;
    let mut dial = DialVerb {
        caller_id: node.attr("callerId").map(str::to_owned),
        action: callback(node, "action", "method")?,
        timeout_s: number(node, "timeout")?,
        ..DialVerb::default()
    };
    match node.children.as_slice() {
        [] => dial.number = Some(node.text.trim().to_owned()),
        [child] if child.name == "Number" => {
            attrs(
                child,
                &[
                    "sendDigits",
                    "url",
                    "method",
                    "statusCallback",
                    "statusCallbackEvent",
                    "statusCallbackMethod",
                    "byoc",
                    "machineDetection",
                    "amdStatusCallback",
                    "amdStatusCallbackMethod",
                    "machineDetectionTimeout",
                ],
            )?;
            let all = ["initiated", "ringing", "answered", "completed"];
            let wanted = events(child, "statusCallbackEvent", &all, "completed")?;
            dial.number = Some(child.text.trim().to_owned());
            dial.status_callback = callback(child, "statusCallback", "statusCallbackMethod")?
                .map(|(url, _)| (url, wanted));
        }
        [child] if child.name == "Conference" => {
            dial.conference = Some(child.text.trim().to_owned());
        }
        [child] if child.name == "Sip" || child.name == "Client" => {
            dial.number = Some(child.text.trim().to_owned());
        }
        _ => return refuse(12_200, "this <Dial> content is not simulated"),
    }
    if dial.number.as_deref().is_some_and(str::is_empty) {
        return refuse(13_223, "<Dial> without a number");
    }
    Ok(Verb::Dial(dial))
}

fn attrs(node: &Node, known: &[&str]) -> Result<(), TwimlError> {
    match node
        .attrs
        .iter()
        .find(|(key, _)| !known.contains(&key.as_str()))
    {
        Some((key, _)) => refuse(12_200, format!("attribute {key} of <{}>", node.name)),
        None => Ok(()),
    }
}

fn no_text(node: &Node) -> Result<(), TwimlError> {
    if node.text.trim().is_empty() {
        Ok(())
    } else {
        refuse(12_200, format!("text inside <{}>", node.name))
    }
}

fn leaf(node: &Node) -> Result<(), TwimlError> {
    match node.children.first() {
        Some(child) => refuse(12_200, format!("<{}> inside <{}>", child.name, node.name)),
        None => Ok(()),
    }
}

fn empty(node: &Node) -> Result<(), TwimlError> {
    leaf(node)?;
    no_text(node)
}

fn only_child<'a>(node: &'a Node, name: &str) -> Result<&'a Node, TwimlError> {
    no_text(node)?;
    match node.children.as_slice() {
        [child] if child.name == name => Ok(child),
        _ => refuse(12_200, format!("<{}> takes one <{name}>", node.name)),
    }
}

fn number(node: &Node, key: &str) -> Result<Option<u64>, TwimlError> {
    match node.attr(key).map(str::parse) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => refuse(12_200, format!("{key} of <{}> is no number", node.name)),
    }
}

fn method(node: &Node, key: &str) -> Result<Method, TwimlError> {
    match node.attr(key) {
        None | Some("POST") => Ok(Method::Post),
        Some("GET") => Ok(Method::Get),
        Some(other) => refuse(12_200, format!("{key}={other:?}")),
    }
}

fn callback(node: &Node, url: &str, verb: &str) -> Result<Option<(String, Method)>, TwimlError> {
    let method = method(node, verb)?;
    let Some(text) = node.attr(url).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    // A relative action is resolved by whoever runs the document.
    if text.contains("://") && Url::parse(text).is_err() {
        return refuse(11_100, format!("{url} {text:?}"));
    }
    Ok(Some((text.to_owned(), method)))
}

fn events(
    node: &Node,
    key: &str,
    known: &[&str],
    default: &str,
) -> Result<Vec<String>, TwimlError> {
    let words: Vec<String> = node
        .attr(key)
        .unwrap_or(default)
        .split(' ')
        .map(str::to_owned)
        .collect();
    match words.iter().find(|word| !known.contains(&word.as_str())) {
        Some(word) => refuse(12_200, format!("{key} {word:?}")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests;
