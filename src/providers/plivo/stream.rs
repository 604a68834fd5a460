//! Audio streams: Plivo's WebSocket messages to the bridge's words and back. Tolerant in reading:
//! numbers come as such or as text, custom data in two spellings, the end of a stream is the end of
//! its socket. Spec: Plivo docs, "Audio streaming", and its official transport (2026-11).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bridge::{
    CarrierAudio, CarrierCodec, CarrierIn, CarrierOut, DecodeError, StreamStart, Wire,
};
use crate::media::{Encoding, MediaFormat};
use crate::providers::base64_audio;
use crate::providers::json::{Count, Text};

use super::{CARRIER, parse_form};

/// Times beyond this are milliseconds since 1970, others since the stream's start.
const EPOCH_TIMES_FROM: u64 = 100_000_000_000;
/// Custom values taken over at most.
const CUSTOM_MAX: usize = 64;

/// Translates one audio stream.
#[derive(Debug, Default)]
pub struct PlivoCodec {
    /// Custom data from the stream's own URL.
    query: BTreeMap<String, String>,
    /// The parts of outgoing messages that never change; known from `start` on.
    prefixes: Option<Prefixes>,
    /// The first media time, where times count from 1970.
    epoch_ms: Option<u64>,
}

#[derive(Debug)]
struct Prefixes {
    audio: String,
    checkpoint: String,
    clear: String,
}

impl PlivoCodec {
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`PlivoCodec::new`] for a socket whose URL had this raw query: its pairs join the custom
    /// data of `start`, and win over it, because the signature of the upgrade covers them.
    pub fn with_query(query: &str) -> Self {
        Self {
            query: parse_form(query.as_bytes())
                .into_iter()
                .take(CUSTOM_MAX)
                .collect(),
            ..Self::default()
        }
    }

    fn start(&mut self, message: &Message<'_>) -> Result<CarrierIn, DecodeError> {
        let start = message
            .start
            .as_ref()
            .ok_or_else(|| unreadable("start without its body"))?;
        let text = |field: &Option<Text<'_>>| {
            field
                .as_ref()
                .map(|text| text.0.clone().into_owned())
                .filter(|text| !text.is_empty())
        };
        let stream_id = text(&start.stream_id)
            .or_else(|| text(&message.stream_id))
            .ok_or_else(|| unreadable("start without streamId"))?;
        let carrier_call_id =
            text(&start.call_id).ok_or_else(|| unreadable("start without callId"))?;
        let format = start
            .media_format
            .as_ref()
            .map_or(MediaFormat::ULAW_8K, Format::read);
        self.prefixes = Some(Prefixes::of(&stream_id, format));
        let mut custom = custom_data(message.extra_headers);
        custom.extend(custom_data(start.extra_headers));
        custom.extend(self.query.clone());
        Ok(CarrierIn::Start(StreamStart {
            stream_id,
            carrier_call_id,
            account_id: text(&start.account_id),
            format,
            custom,
        }))
    }

    fn media(&mut self, message: &Message<'_>) -> Result<CarrierIn, DecodeError> {
        let media = message
            .media
            .as_ref()
            .ok_or_else(|| unreadable("media without its body"))?;
        let payload = base64_audio(&media.payload.0).map_err(unreadable)?;
        let timestamp_ms = media.timestamp.0.map(|ms| {
            if ms < EPOCH_TIMES_FROM {
                return ms;
            }
            ms.saturating_sub(*self.epoch_ms.get_or_insert(ms))
        });
        let audio = CarrierAudio {
            payload: Bytes::from(payload),
            chunk: media.chunk.0,
            timestamp_ms,
        };
        let track = media.track.as_ref().map(|track| track.0.as_ref());
        Ok(match track {
            Some("outbound") => CarrierIn::Echo(audio),
            _ => CarrierIn::Audio(audio),
        })
    }
}

impl Prefixes {
    fn of(stream_id: &str, format: MediaFormat) -> Self {
        let quoted = Value::from(stream_id).to_string();
        let content_type = match format.encoding {
            Encoding::Ulaw => "audio/x-mulaw",
            Encoding::Alaw => "audio/x-alaw",
            Encoding::Pcm16Le => "audio/x-l16",
        };
        let rate_hz = format.rate_hz;
        Self {
            audio: format!(
                r#"{{"event":"playAudio","media":{{"contentType":"{content_type}","sampleRate":{rate_hz},"payload":""#
            ),
            checkpoint: format!(r#"{{"event":"checkpoint","streamId":{quoted},"name":"#),
            clear: format!(r#"{{"event":"clearAudio","streamId":{quoted}}}"#),
        }
    }
}

impl CarrierCodec for PlivoCodec {
    fn vendor(&self) -> &'static str {
        CARRIER
    }

    fn decode(&mut self, wire: &Wire) -> Result<CarrierIn, DecodeError> {
        let Wire::Text(text) = wire else {
            return Err(unreadable("a binary message"));
        };
        let message: Message<'_> =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        match message.event.0.as_ref() {
            "media" => self.media(&message),
            "start" => self.start(&message),
            "connected" => Ok(CarrierIn::Connected),
            "stop" => Ok(CarrierIn::Stop),
            "playedStream" => match message.name {
                Some(name) => Ok(CarrierIn::MarkReached {
                    name: name.0.into_owned(),
                }),
                None => Err(unreadable("playedStream without a name")),
            },
            "clearedAudio" => Ok(CarrierIn::Cleared),
            "dtmf" => match message.dtmf {
                Some(Dtmf { digit }) => Ok(CarrierIn::Dtmf {
                    digit: digit.text(),
                }),
                None => Err(unreadable("dtmf without its body")),
            },
            event @ ("playFailed" | "error") => Ok(CarrierIn::Trouble {
                code: format!(
                    "plivo_{}",
                    if event == "error" {
                        "stream"
                    } else {
                        "play_failed"
                    }
                ),
                message: message
                    .reason
                    .or(message.said)
                    .map_or_else(|| "no reason given".to_owned(), |text| text.0.into_owned()),
            }),
            other => Ok(CarrierIn::Unknown {
                event: other.chars().take(40).collect(),
            }),
        }
    }

    fn encode(&mut self, out: &CarrierOut) -> Option<Wire> {
        let prefixes = self.prefixes.as_ref()?;
        let text = match out {
            CarrierOut::Audio(payload) => {
                let length = prefixes.audio.len() + payload.len().div_ceil(3) * 4 + 3;
                let mut text = String::with_capacity(length);
                text.push_str(&prefixes.audio);
                STANDARD.encode_string(payload, &mut text);
                text.push_str("\"}}");
                text
            }
            CarrierOut::Mark { name } => {
                let mut text = prefixes.checkpoint.clone();
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push('}');
                text
            }
            CarrierOut::Clear => prefixes.clear.clone(),
        };
        Some(Wire::Text(text))
    }
}

fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError {
        vendor: CARRIER,
        reason: reason.into(),
    }
}

/// Custom data as an object, as an object's text, or as `k=v;k2=v2` (also with commas).
fn custom_data(raw: Option<&RawValue>) -> BTreeMap<String, String> {
    let value: Option<Value> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let object = |value: &Value| -> Option<BTreeMap<String, String>> {
        let fields = value.as_object()?.iter().take(CUSTOM_MAX);
        Some(
            fields
                .map(|(name, value)| {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    (name.clone(), text)
                })
                .collect(),
        )
    };
    let Some(value) = value else {
        return BTreeMap::new();
    };
    if let Some(fields) = object(&value) {
        return fields;
    }
    let text = value.as_str().unwrap_or_default().trim();
    if text.starts_with('{') {
        let inner: Value = serde_json::from_str(text).unwrap_or_default();
        return object(&inner).unwrap_or_default();
    }
    text.split([';', ','])
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .take(CUSTOM_MAX)
        .collect()
}

/// Any message: flat and borrowed, because this is parsed fifty times a second per call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow, default)]
    stream_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    media: Option<Media<'a>>,
    #[serde(borrow, default)]
    start: Option<Start<'a>>,
    #[serde(borrow, default)]
    dtmf: Option<Dtmf<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
    #[serde(borrow, default, rename = "message")]
    said: Option<Text<'a>>,
    #[serde(borrow, default, rename = "extra_headers", alias = "extraHeaders")]
    extra_headers: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow, default)]
    track: Option<Text<'a>>,
    #[serde(default)]
    chunk: Count,
    #[serde(default)]
    timestamp: Count,
    #[serde(borrow)]
    payload: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow, default)]
    account_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    stream_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    media_format: Option<Format<'a>>,
    #[serde(borrow, default, rename = "extra_headers", alias = "extraHeaders")]
    extra_headers: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format<'a> {
    #[serde(borrow, default)]
    encoding: Option<Text<'a>>,
    #[serde(default)]
    sample_rate: Count,
}

impl Format<'_> {
    fn read(&self) -> MediaFormat {
        let word = self.encoding.as_ref().map(|text| text.0.as_ref());
        // `audio/x-l16;rate=16000` is seen as well.
        let word = word.map(|word| word.split(';').next().unwrap_or(word).trim());
        let encoding = match word {
            Some("audio/x-alaw" | "audio/PCMA") => Encoding::Alaw,
            Some("audio/x-l16" | "audio/l16" | "audio/L16") => Encoding::Pcm16Le,
            _ => Encoding::Ulaw,
        };
        let rate_hz = self.sample_rate.0.and_then(|rate| u32::try_from(rate).ok());
        let rate_hz = rate_hz.filter(|rate| [8_000, 16_000, 24_000].contains(rate));
        MediaFormat {
            encoding,
            rate_hz: rate_hz.unwrap_or(MediaFormat::ULAW_8K.rate_hz),
        }
    }
}

#[derive(Deserialize)]
struct Dtmf<'a> {
    #[serde(borrow)]
    digit: Digit<'a>,
}

/// A key, as text or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Digit<'a> {
    #[serde(borrow)]
    Text(Text<'a>),
    Number(u8),
}

impl Digit<'_> {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text.0.into_owned(),
            Self::Number(number) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
