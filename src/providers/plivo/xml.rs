//! The XML we answer voice requests with: a tiny writer that escapes everything, so that a prompt
//! or a name can never become markup. Spec: Plivo docs, "Voice XML", and its official builder
//! (attributes in the builder's order, 2026-11).

/// Media type of the documents.
pub const XML_TYPE: &str = "application/xml; charset=utf-8";

/// The audio we ask streams for: what phones speak, so that nothing is converted.
pub const STREAM_AUDIO: &str = "audio/x-mulaw;rate=8000";
/// The carrier ends a stream after a day at the latest; we ask for all of it.
const STREAM_SECONDS_MAX: u32 = 86_400;
/// Longest recording of a whole call, seconds: the carrier's own limit of a call.
const RECORDING_SECONDS_MAX: u32 = 14_400;

/// One element. Attributes are written in the order they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
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

    pub fn child(mut self, child: Element) -> Self {
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
            out.push_str("/>");
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
pub fn document(elements: impl IntoIterator<Item = Element>) -> String {
    let mut out = String::from("<Response>");
    for element in elements {
        element.write(&mut out);
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
    fn elements(&self) -> Vec<Element> {
        match self {
            Self::Say(text) => vec![speak(text), hangup()],
            Self::Dial(dial) => vec![dial.element()],
            Self::Redirect(url) => vec![redirect_element(url)],
            Self::HangUp => vec![hangup()],
        }
    }
}

/// A number to hand the caller to, and where to report how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    pub to: String,
    pub caller_id: Option<String>,
    /// Asked for XML when the dialled leg has ended.
    pub action: Option<String>,
    /// Told when the other side answers.
    pub callback: Option<String>,
    /// Ring for this long, seconds.
    pub timeout_s: Option<u32>,
}

impl Dial {
    fn element(&self) -> Element {
        let noun = if self.to.starts_with("sip:") {
            "User"
        } else {
            "Number"
        };
        let timeout = self.timeout_s.map(|seconds| seconds.to_string());
        Element::new("Dial")
            .with_some("action", self.action.as_deref())
            .with_some("method", self.action.as_ref().map(|_| "POST"))
            .with_some("timeout", timeout.as_deref())
            .with_some("callerId", self.caller_id.as_deref().map(plain_number))
            .with_some("callbackUrl", self.callback.as_deref())
            .with_some("callbackMethod", self.callback.as_ref().map(|_| "POST"))
            .child(Element::new(noun).text(plain_number(&self.to)))
    }
}

/// A number as this carrier writes it: without the plus sign.
pub(super) fn plain_number(number: &str) -> &str {
    number.trim().strip_prefix('+').unwrap_or(number.trim())
}

/// The audio stream a call is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// `wss://`, at most 2,048 characters; the query is kept and signed.
    pub url: String,
    pub status_callback: Option<String>,
    /// Arrive as `extra_headers` of the stream's `start`; 512 bytes at most in all, beyond that
    /// the later ones are left out. Not a proof of anything by themselves.
    pub extra_headers: Vec<(String, String)>,
}

/// Longest `extraHeaders`, bytes.
const EXTRA_HEADERS_MAX: usize = 512;

impl Stream {
    fn element(&self) -> Element {
        let headers = self.headers();
        Element::new("Stream")
            .with("bidirectional", "true")
            .with("audioTrack", "inbound")
            .with("streamTimeout", STREAM_SECONDS_MAX.to_string())
            .with_some("statusCallbackUrl", self.status_callback.as_deref())
            .with_some(
                "statusCallbackMethod",
                self.status_callback.as_ref().map(|_| "POST"),
            )
            // Its default is documented in two ways, so it is always said.
            .with("contentType", STREAM_AUDIO)
            .with_some("extraHeaders", (!headers.is_empty()).then_some(&headers))
            // Otherwise the next element runs at once, beside the stream.
            .with("keepCallAlive", "true")
            .text(self.url.clone())
    }

    /// `k=v,k2=v2`. Separators inside a name or value cannot be written and are dropped.
    fn headers(&self) -> String {
        let mut headers = String::new();
        for (name, value) in &self.extra_headers {
            let clean = |text: &str| text.replace([',', ';', '='], "");
            let pair = format!("{}={}", clean(name), clean(value));
            if headers.len() + pair.len() + 1 > EXTRA_HEADERS_MAX {
                break;
            }
            if !headers.is_empty() {
                headers.push(',');
            }
            headers.push_str(&pair);
        }
        headers
    }
}

/// Connects a call to a stream of ours, and says what follows if the stream ends first: without a
/// following element a dead bridge would hang up on the caller. `record`: where to report a
/// recording of the whole call, which has to begin before the stream does.
pub fn connect_stream(stream: &Stream, record: Option<&str>, after: &After) -> String {
    let recording = record.map(record_session);
    document(
        recording
            .into_iter()
            .chain([stream.element()])
            .chain(after.elements()),
    )
}

/// Says a sentence and hangs up.
pub fn say_and_hang_up(text: &str) -> String {
    document([speak(text), hangup()])
}

/// Hands the caller to a number, after a sentence if there is one.
pub fn transfer(announce: Option<&str>, dial: &Dial) -> String {
    document(announce.map(speak).into_iter().chain([dial.element()]))
}

/// Sends the carrier to another document of ours.
pub fn redirect(url: &str) -> String {
    document([redirect_element(url)])
}

/// Refuses an incoming call without answering it; `busy` or `rejected`.
pub fn reject(reason: &str) -> String {
    document([hangup().with("reason", reason)])
}

/// Ends the call.
pub fn hang_up() -> String {
    document([hangup()])
}

/// Waits in silence, seconds.
pub fn wait(seconds: u32) -> String {
    let wait = Element::new("Wait")
        .with("length", seconds.to_string())
        .with("silence", "true");
    document([wait])
}

/// Nothing to do: the call ends if nothing else holds it.
pub fn empty() -> String {
    document([])
}

fn speak(text: &str) -> Element {
    Element::new("Speak").text(text)
}

fn hangup() -> Element {
    Element::new("Hangup")
}

fn redirect_element(url: &str) -> Element {
    Element::new("Redirect").with("method", "POST").text(url)
}

/// `redirect="false"`, because the carrier would otherwise wait for another document.
fn record_session(callback: &str) -> Element {
    Element::new("Record")
        .with("fileFormat", "wav")
        .with("redirect", "false")
        .with("maxLength", RECORDING_SECONDS_MAX.to_string())
        .with("recordSession", "true")
        .with("callbackUrl", callback)
        .with("callbackMethod", "POST")
        .with("recordChannelType", "stereo")
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
            '\t' if attribute => out.push_str("&#9;"),
            '\n' | '\t' => out.push(character),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests;
