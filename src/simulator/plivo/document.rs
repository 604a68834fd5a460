//! Reads an answer as strictly as the carrier: an unknown element, attribute or value is refused,
//! and with it the call (hangup cause 8011). Spec: Plivo docs, "Voice XML", and its official
//! builder 4.63.

use url::Url;

use crate::simulator::line::Method;
use crate::simulator::line::xml::{self, Node};

/// Longest document.
const DOCUMENT_MAX: usize = 100_000;
const URL_MAX: usize = 2_048;
const EXTRA_HEADERS_MAX: usize = 512;

/// One step of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Stream(StreamStep),
    Speak {
        text: String,
    },
    Play {
        url: String,
    },
    Wait {
        seconds: u64,
    },
    Dial(DialStep),
    /// `<Record recordSession="true">`
    Record {
        callback: Option<(String, Method)>,
    },
    Redirect {
        url: String,
        method: Method,
    },
    Hangup {
        busy: bool,
        rejected: bool,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStep {
    pub url: String,
    pub keep_alive: bool,
    pub status_callback: Option<(String, Method)>,
    pub extra_headers: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialStep {
    pub number: String,
    pub caller_id: Option<String>,
    pub action: Option<(String, Method)>,
    pub callback: Option<(String, Method)>,
    pub timeout_s: Option<u64>,
    /// The answer of `action` is followed, instead of the next element.
    pub redirect: bool,
}

/// Reads a response body. `content_type` is checked.
///
/// # Errors
/// One sentence saying what the carrier would not accept.
pub fn parse(content_type: &str, body: &str) -> Result<Vec<Step>, String> {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    if !["text/xml", "application/xml"].contains(&kind) {
        return Err(format!("invalid content type {kind:?}"));
    }
    if body.len() > DOCUMENT_MAX {
        return Err("document over 100 KB".to_owned());
    }
    let root = xml::parse(body)?;
    if root.name != "Response" {
        return Err(format!("root element <{}>, not <Response>", root.name));
    }
    known(&root, &[])?;
    let mut steps = Vec::new();
    for node in &root.children {
        let step = step(node)?;
        if matches!(step, Step::Record { .. })
            && steps.iter().any(|before| matches!(before, Step::Stream(_)))
        {
            return Err("a session recording must come before <Stream>".to_owned());
        }
        steps.push(step);
    }
    Ok(steps)
}

fn step(node: &Node) -> Result<Step, String> {
    match node.name.as_str() {
        "Stream" => stream(node),
        "Speak" => {
            known(node, &["voice", "language", "loop"])?;
            leaf(node)?;
            let text = node.text.trim().to_owned();
            if text.is_empty() {
                return Err("<Speak> without words".to_owned());
            }
            Ok(Step::Speak { text })
        }
        "Play" => {
            known(node, &["loop"])?;
            leaf(node)?;
            Ok(Step::Play {
                url: web_url(&node.text)?,
            })
        }
        "Wait" => {
            known(node, &["length", "silence", "minSilence", "beep"])?;
            leaf(node)?;
            Ok(Step::Wait {
                seconds: number(node, "length")?.unwrap_or(1),
            })
        }
        "Dial" => dial(node),
        "Record" => record(node),
        "Redirect" => {
            known(node, &["method"])?;
            leaf(node)?;
            Ok(Step::Redirect {
                url: web_url(&node.text)?,
                method: method(node, "method")?,
            })
        }
        "Hangup" => {
            known(node, &["reason", "schedule"])?;
            leaf(node)?;
            let reason = node.attr("reason");
            if !matches!(reason, None | Some("busy" | "rejected")) {
                return Err(format!("reason {reason:?} of <Hangup>"));
            }
            Ok(Step::Hangup {
                busy: reason == Some("busy"),
                rejected: reason == Some("rejected"),
            })
        }
        other => Err(format!("unknown element <{other}>")),
    }
}

fn stream(node: &Node) -> Result<Step, String> {
    known(
        node,
        &[
            "bidirectional",
            "audioTrack",
            "streamTimeout",
            "statusCallbackUrl",
            "statusCallbackMethod",
            "contentType",
            "extraHeaders",
            "keepCallAlive",
            "noiseCancellation",
            "noiseCancellationLevel",
        ],
    )?;
    leaf(node)?;
    let bidirectional = flag(node, "bidirectional")?;
    let track = node.attr("audioTrack").unwrap_or("inbound");
    if !["inbound", "outbound", "both"].contains(&track) || (bidirectional && track != "inbound") {
        return Err(format!("audioTrack {track:?} of this <Stream>"));
    }
    if let Some(seconds) = number(node, "streamTimeout")?
        && seconds == 0
    {
        return Err("streamTimeout 0".to_owned());
    }
    // Its default is documented in two ways: only what is said is simulated.
    if node.attr("contentType") != Some("audio/x-mulaw;rate=8000") {
        return Err("contentType other than audio/x-mulaw;rate=8000 is not simulated".to_owned());
    }
    let url = node.text.trim();
    let fine = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "ws" | "wss"));
    if !fine || url.len() > URL_MAX {
        return Err(format!("<Stream> URL {url:?}"));
    }
    let extra_headers = node.attr("extraHeaders").unwrap_or("").to_owned();
    if extra_headers.len() > EXTRA_HEADERS_MAX {
        return Err("extraHeaders over 512 bytes".to_owned());
    }
    Ok(Step::Stream(StreamStep {
        url: url.to_owned(),
        keep_alive: flag(node, "keepCallAlive")?,
        status_callback: callback(node, "statusCallbackUrl", "statusCallbackMethod")?,
        extra_headers,
    }))
}

fn dial(node: &Node) -> Result<Step, String> {
    known(
        node,
        &[
            "action",
            "method",
            "hangupOnStar",
            "timeLimit",
            "timeout",
            "callerId",
            "callerName",
            "confirmSound",
            "confirmKey",
            "confirmTimeout",
            "dialMusic",
            "callbackUrl",
            "callbackMethod",
            "redirect",
            "digitsMatch",
            "digitsMatchBLeg",
            "sipHeaders",
        ],
    )?;
    let [target] = node.children.as_slice() else {
        return Err("<Dial> of one number is simulated".to_owned());
    };
    match target.name.as_str() {
        "Number" => known(target, &["sendDigits", "sendOnPreanswer", "sendDigitsMode"])?,
        "User" => known(target, &["sendDigits", "sendOnPreanswer", "sipHeaders"])?,
        other => return Err(format!("<{other}> in <Dial>")),
    }
    leaf(target)?;
    let number_text = target.text.trim().to_owned();
    if number_text.is_empty() {
        return Err("<Dial> without a number".to_owned());
    }
    Ok(Step::Dial(DialStep {
        number: number_text,
        caller_id: node.attr("callerId").map(str::to_owned),
        action: callback(node, "action", "method")?,
        callback: callback(node, "callbackUrl", "callbackMethod")?,
        timeout_s: number(node, "timeout")?,
        redirect: node.attr("redirect").is_none() || flag(node, "redirect")?,
    }))
}

fn record(node: &Node) -> Result<Step, String> {
    known(
        node,
        &[
            "action",
            "method",
            "fileFormat",
            "redirect",
            "timeout",
            "maxLength",
            "playBeep",
            "finishOnKey",
            "recordSession",
            "startOnDialAnswer",
            "transcriptionType",
            "transcriptionUrl",
            "transcriptionMethod",
            "callbackUrl",
            "callbackMethod",
            "recordChannelType",
        ],
    )?;
    leaf(node)?;
    if !flag(node, "recordSession")? || node.attr("redirect") != Some("false") {
        return Err("only session recordings with redirect=\"false\" are simulated".to_owned());
    }
    Ok(Step::Record {
        callback: callback(node, "callbackUrl", "callbackMethod")?,
    })
}

fn known(node: &Node, names: &[&str]) -> Result<(), String> {
    match node
        .attrs
        .iter()
        .find(|(name, _)| !names.contains(&name.as_str()))
    {
        Some((name, _)) => Err(format!("unknown attribute {name} of <{}>", node.name)),
        None => Ok(()),
    }
}

fn leaf(node: &Node) -> Result<(), String> {
    match node.children.first() {
        Some(child) => Err(format!("<{}> in <{}>", child.name, node.name)),
        None => Ok(()),
    }
}

fn flag(node: &Node, name: &str) -> Result<bool, String> {
    match node.attr(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("{name} {other:?} of <{}>", node.name)),
    }
}

fn number(node: &Node, name: &str) -> Result<Option<u64>, String> {
    let wrong = |text: &str| format!("{name} {text:?} of <{}>", node.name);
    node.attr(name)
        .map(|text| text.parse().map_err(|_| wrong(text)))
        .transpose()
}

fn method(node: &Node, name: &str) -> Result<Method, String> {
    match node.attr(name) {
        None | Some("POST") => Ok(Method::Post),
        Some("GET") => Ok(Method::Get),
        Some(other) => Err(format!("{name} {other:?} of <{}>", node.name)),
    }
}

fn callback(node: &Node, url: &str, how: &str) -> Result<Option<(String, Method)>, String> {
    let method = method(node, how)?;
    node.attr(url)
        .map(|text| Ok((web_url(text)?, method)))
        .transpose()
}

/// An absolute web address.
pub(super) fn web_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fine = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if fine {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no web address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        parse("application/xml", body).unwrap_err()
    }

    #[test]
    fn documents_of_the_official_builder_are_read() {
        let vectors = include_str!("../../../tests/fixtures/plivo/xml.xmls");
        for line in vectors.lines() {
            let simulated = !line.contains("Conference") && !line.contains("MultiPartyCall");
            assert_eq!(parse("text/xml", line).is_ok(), simulated, "{line}");
        }
        let whole = vectors.lines().nth(7).unwrap();
        let steps = parse("application/xml; charset=utf-8", whole).unwrap();
        assert!(matches!(
            &steps[..],
            [Step::Record { callback: Some(_) }, Step::Stream(stream), Step::Speak { .. }, Step::Hangup { .. }]
                if stream.keep_alive && stream.extra_headers == "wb=abc_-1,lead=42"
                    && stream.url == "wss://wb.example.com/media-stream?wb=abc_-1&x=1"
        ));
    }

    #[test]
    fn what_the_carrier_would_refuse_is_refused() {
        let stream = r#"<Stream bidirectional="true" contentType="audio/x-mulaw;rate=8000" keepCallAlive="true">wss://h/s</Stream>"#;
        for (body, why) in [
            (
                "<Response><Say>x</Say></Response>".to_owned(),
                "unknown element <Say>",
            ),
            ("<Response><Speak>x</Response>".to_owned(), "expected"),
            ("<Other/>".to_owned(), "root element"),
            (
                r#"<Response><Speak pitch="1">x</Speak></Response>"#.to_owned(),
                "pitch",
            ),
            (stream.replace("wss:", "https:"), "root"),
            (
                format!("<Response>{}</Response>", stream.replace("wss:", "https:")),
                "URL",
            ),
            (
                format!("<Response>{}</Response>", stream.replace("mulaw", "l16")),
                "contentType",
            ),
            (
                format!(
                    "<Response>{stream}<Record recordSession=\"true\" redirect=\"false\"/></Response>"
                ),
                "before <Stream>",
            ),
            (
                r#"<Response><Dial redirect="maybe"><Number>1</Number></Dial></Response>"#
                    .to_owned(),
                "maybe",
            ),
            (
                "<Response><Redirect>/relative</Redirect></Response>".to_owned(),
                "web address",
            ),
        ] {
            let error = refused(&body);
            assert!(error.contains(why), "{body}: {error}");
        }
        assert!(parse("application/json", "<Response/>").is_err());
        assert!(parse("text/xml", "<Response/>").unwrap().is_empty());
    }
}
