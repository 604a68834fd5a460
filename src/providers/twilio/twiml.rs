//! TwiML: the documents we answer voice requests with. A tiny XML writer that escapes everything,
//! so that a prompt or a name can never become markup. Spec: Twilio docs, "TwiML for Voice".

/// Media type of the documents.
pub const TWIML_TYPE: &str = "text/xml; charset=utf-8";

const HEADER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// One verb or noun. Attributes are written in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verb {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Verb>,
    text: String,
}

impl Verb {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            attributes: Vec::new(),
            children: Vec::new(),
            text: String::new(),
        }
    }

    pub fn with(mut self, attribute: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((attribute, value.into()));
        self.attributes.sort_by_key(|(name, _)| *name);
        self
    }

    pub fn with_some(self, attribute: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(attribute, value),
            None => self,
        }
    }

    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    pub fn child(mut self, child: Verb) -> Self {
        self.children.push(child);
        self
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, true, out);
            out.push('"');
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push_str(" />");
            return;
        }
        out.push('>');
        escape(&self.text, false, out);
        for child in &self.children {
            child.write(out);
        }
        out.push_str("</");
        out.push_str(self.name);
        out.push('>');
    }
}

/// Writes a whole document.
pub fn document(verbs: impl IntoIterator<Item = Verb>) -> String {
    let mut out = String::from(HEADER);
    out.push_str(&response(verbs));
    out
}

/// As [`document`] without the XML declaration: for `Twiml=` in REST requests.
pub fn response(verbs: impl IntoIterator<Item = Verb>) -> String {
    let mut out = String::from("<Response>");
    for verb in verbs {
        verb.write(&mut out);
    }
    out.push_str("</Response>");
    out
}

/// What the carrier does when the stream has ended and the caller is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Says a sentence and hangs up.
    Say(String),
    /// Hands the caller to a number.
    Dial(Dial),
    /// Asks us again; we may answer differently by then.
    Redirect(String),
    /// Hangs up.
    HangUp,
}

impl After {
    fn verbs(&self) -> Vec<Verb> {
        match self {
            Self::Say(text) => vec![say(text), Verb::new("Hangup")],
            Self::Dial(dial) => vec![dial.verb()],
            Self::Redirect(url) => vec![redirect_verb(url)],
            Self::HangUp => vec![Verb::new("Hangup")],
        }
    }
}

/// A number to hand the caller to, and where to report how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    pub to: String,
    pub caller_id: Option<String>,
    /// Asked for TwiML when the dialled leg has ended.
    pub action: Option<String>,
    pub status_callback: Option<String>,
    /// Ring for this long, seconds.
    pub timeout_s: Option<u32>,
}

impl Dial {
    fn verb(&self) -> Verb {
        let noun = if self.to.starts_with("sip:") {
            "Sip"
        } else if self.to.starts_with("client:") {
            "Client"
        } else {
            "Number"
        };
        let timeout = self.timeout_s.map(|seconds| seconds.to_string());
        let events = self
            .status_callback
            .as_ref()
            .map(|_| "initiated ringing answered completed");
        Verb::new("Dial")
            .with("answerOnBridge", "true")
            .with_some("action", self.action.as_deref())
            .with_some("method", self.action.as_ref().map(|_| "POST"))
            .with_some("callerId", self.caller_id.as_deref())
            .with_some("timeout", timeout.as_deref())
            .child(
                Verb::new(noun)
                    .with_some("statusCallback", self.status_callback.as_deref())
                    .with_some("statusCallbackEvent", events)
                    .text(self.to.strip_prefix("client:").unwrap_or(&self.to)),
            )
    }
}

/// The media stream a call is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectStream {
    /// `wss://` without a query: Twilio drops it.
    pub url: String,
    pub name: Option<String>,
    pub status_callback: Option<String>,
    /// Arrive as `customParameters` of the stream's `start`. Name and value together at most 500
    /// characters at the carrier.
    pub parameters: Vec<(String, String)>,
}

/// Connects a call to a stream of ours, and says what follows if the stream ends first: without a
/// following verb a dead bridge would hang up on the caller.
pub fn connect_stream(stream: &ConnectStream, after: &After) -> String {
    let mut verb = Verb::new("Stream")
        .with("url", stream.url.clone())
        .with_some("name", stream.name.as_deref())
        .with_some("statusCallback", stream.status_callback.as_deref())
        .with_some(
            "statusCallbackMethod",
            stream.status_callback.as_ref().map(|_| "POST"),
        );
    for (name, value) in &stream.parameters {
        verb = verb.child(
            Verb::new("Parameter")
                .with("name", name.clone())
                .with("value", value.clone()),
        );
    }
    let connect = Verb::new("Connect").child(verb);
    document(std::iter::once(connect).chain(after.verbs()))
}

/// Says a sentence and hangs up.
pub fn say_and_hang_up(text: &str) -> String {
    document([say(text), Verb::new("Hangup")])
}

/// Hands the caller to a number, after a sentence if there is one.
pub fn transfer(announce: Option<&str>, dial: &Dial) -> String {
    document(announce.map(say).into_iter().chain([dial.verb()]))
}

/// [`transfer`] without announcement, in the form REST takes (at most 4,000 characters).
pub fn transfer_inline(dial: &Dial) -> String {
    response([dial.verb()])
}

/// Sends the carrier to another document of ours.
pub fn redirect(url: &str) -> String {
    document([redirect_verb(url)])
}

/// Refuses an incoming call without answering it; nobody is billed. `busy` or `rejected`.
pub fn reject(reason: &str) -> String {
    document([Verb::new("Reject").with("reason", reason)])
}

/// Ends the call.
pub fn hang_up() -> String {
    document([Verb::new("Hangup")])
}

/// Nothing to do: the call ends if nothing else holds it.
pub fn empty() -> String {
    document([])
}

fn say(text: &str) -> Verb {
    Verb::new("Say").text(text)
}

fn redirect_verb(url: &str) -> Verb {
    Verb::new("Redirect").with("method", "POST").text(url)
}

/// Escapes markup and drops what XML 1.0 cannot hold (§2.2).
fn escape(text: &str, attribute: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#09;"),
            '\n' | '\t' => out.push(character),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../tests/fixtures/twilio/twiml.xmls");

    fn is_vector(xml: &str) -> bool {
        VECTORS.lines().any(|line| line == xml)
    }

    #[test]
    fn documents_are_byte_equal_to_the_official_builder() {
        let agent = document([Verb::new("Connect").child(
            Verb::new("Stream")
                .with("url", "wss://wb.example.com/outbound-media-stream")
                .with("name", "agent")
                .with(
                    "statusCallback",
                    "https://wb.example.com/stream-status-callback",
                )
                .with("statusCallbackMethod", "POST")
                .child(
                    Verb::new("Parameter")
                        .with("name", "call_id")
                        .with("value", "wb-1"),
                )
                .child(
                    Verb::new("Parameter")
                        .with("name", "first_message")
                        .with("value", "Hi \"Bob\" & <co>"),
                ),
        )]);
        assert!(is_vector(&agent), "{agent}");
        let sorry = response([
            say("We're sorry, please try again later.").with("voice", "Polly.Joanna"),
            Verb::new("Hangup"),
        ]);
        assert!(is_vector(&sorry), "{sorry}");
        for verb in [
            redirect_verb("https://wb.example.com/next"),
            Verb::new("Reject").with("reason", "busy"),
            Verb::new("Hangup"),
            Verb::new("Stop").child(Verb::new("Stream").with("name", "mon")),
        ] {
            let xml = response([verb]);
            assert!(is_vector(&xml), "{xml}");
        }
        let recording = response([Verb::new("Start").child(
            Verb::new("Recording")
                .with("channels", "dual")
                .with(
                    "recordingStatusCallback",
                    "https://wb.example.com/recording-status-callback",
                )
                .with(
                    "recordingStatusCallbackEvent",
                    "in-progress completed absent",
                )
                .with("recordingStatusCallbackMethod", "POST")
                .with("track", "both")
                .with("trim", "do-not-trim"),
        )]);
        assert!(is_vector(&recording), "{recording}");
        let monitor = response([
            Verb::new("Start").child(
                Verb::new("Stream")
                    .with("name", "mon")
                    .with("track", "both_tracks")
                    .with("url", "wss://wb.example.com/monitor"),
            ),
            Verb::new("Pause").with("length", "3600"),
        ]);
        assert!(is_vector(&monitor), "{monitor}");
    }

    #[test]
    fn a_dead_bridge_falls_through_to_the_next_verb() {
        let stream = ConnectStream {
            url: "wss://h/s".into(),
            ..ConnectStream::default()
        };
        let xml = connect_stream(&stream, &After::Say("One moment".into()));
        assert!(xml.ends_with(
            r#"<Response><Connect><Stream url="wss://h/s" /></Connect><Say>One moment</Say><Hangup /></Response>"#
        ));
        let dial = Dial {
            to: "+15550001111".into(),
            timeout_s: Some(20),
            ..Dial::default()
        };
        let xml = connect_stream(&stream, &After::Dial(dial));
        assert!(xml.ends_with(
            r#"<Dial answerOnBridge="true" timeout="20"><Number>+15550001111</Number></Dial></Response>"#
        ));
    }

    #[test]
    fn hostile_text_stays_text() {
        let xml = say_and_hang_up("</Say><Dial>+1900</Dial>\u{0}\u{1b}[2J");
        assert!(xml.contains("&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt;[2J"));
    }
}
