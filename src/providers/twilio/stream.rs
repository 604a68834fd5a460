//! Media Streams: Twilio's WebSocket messages to the bridge's words and back. Nothing but the five
//! documented messages is ever sent. Spec: Twilio docs, "Media Streams WebSocket messages" (2026-11).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::bridge::{
    CarrierAudio, CarrierCodec, CarrierIn, CarrierOut, DecodeError, StreamStart, Wire,
};
use crate::media::{Encoding, MediaFormat};
use crate::providers::base64_audio;
use crate::providers::json::{Count, Text};

use super::CARRIER;

/// Translates one Media Streams socket.
#[derive(Debug, Default)]
pub struct TwilioCodec {
    /// The parts of outgoing messages that never change; known from `start` on.
    prefixes: Option<Prefixes>,
}

#[derive(Debug)]
struct Prefixes {
    media: String,
    mark: String,
    clear: String,
}

impl TwilioCodec {
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, message: &Message<'_>) -> Result<CarrierIn, DecodeError> {
        let start = message
            .start
            .as_ref()
            .ok_or_else(|| unreadable("start without its body"))?;
        let of = |inner: &Option<Text<'_>>, outer: &Option<Text<'_>>| {
            inner
                .as_ref()
                .or(outer.as_ref())
                .map(|text| text.0.clone().into_owned())
        };
        let stream_id = of(&start.stream_sid, &message.stream_sid)
            .filter(|id| !id.is_empty())
            .ok_or_else(|| unreadable("start without streamSid"))?;
        let carrier_call_id = of(&start.call_sid, &None)
            .filter(|id| !id.is_empty())
            .ok_or_else(|| unreadable("start without callSid"))?;
        let quoted = Value::from(stream_id.as_str()).to_string();
        self.prefixes = Some(Prefixes {
            media: format!(r#"{{"event":"media","streamSid":{quoted},"media":{{"payload":""#),
            mark: format!(r#"{{"event":"mark","streamSid":{quoted},"mark":{{"name":"#),
            clear: format!(r#"{{"event":"clear","streamSid":{quoted}}}"#),
        });
        let custom = start
            .custom_parameters
            .iter()
            .flatten()
            .map(|(name, value)| {
                (
                    name.clone(),
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned),
                )
            });
        Ok(CarrierIn::Start(StreamStart {
            stream_id,
            carrier_call_id,
            account_id: of(&start.account_sid, &None),
            format: start.media_format.as_ref().map_or(ULAW_8K, Format::read),
            custom: custom.collect(),
        }))
    }
}

const ULAW_8K: MediaFormat = MediaFormat {
    encoding: Encoding::Ulaw,
    rate_hz: 8_000,
};

impl CarrierCodec for TwilioCodec {
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
            "media" => {
                let media = message
                    .media
                    .as_ref()
                    .ok_or_else(|| unreadable("media without its body"))?;
                let payload = base64_audio(&media.payload.0).map_err(unreadable)?;
                let audio = CarrierAudio {
                    payload: Bytes::from(payload),
                    chunk: media.chunk.0,
                    timestamp_ms: media.timestamp.0,
                };
                let track = media.track.as_ref().map(|track| track.0.as_ref());
                Ok(match track {
                    Some("outbound") => CarrierIn::Echo(audio),
                    _ => CarrierIn::Audio(audio),
                })
            }
            "start" => self.start(&message),
            "connected" => Ok(CarrierIn::Connected),
            "stop" => Ok(CarrierIn::Stop),
            "mark" => match message.mark {
                Some(Mark { name }) => Ok(CarrierIn::MarkReached {
                    name: name.0.into_owned(),
                }),
                None => Err(unreadable("mark without its body")),
            },
            "dtmf" => match message.dtmf {
                Some(Dtmf { digit }) => Ok(CarrierIn::Dtmf {
                    digit: digit.0.into_owned(),
                }),
                None => Err(unreadable("dtmf without its body")),
            },
            other => Ok(CarrierIn::Unknown {
                event: other.chars().take(40).collect(),
            }),
        }
    }

    fn encode(&mut self, out: &CarrierOut) -> Option<Wire> {
        let prefixes = self.prefixes.as_ref()?;
        let text = match out {
            CarrierOut::Audio(payload) => {
                let length = prefixes.media.len() + payload.len().div_ceil(3) * 4 + 3;
                let mut text = String::with_capacity(length);
                text.push_str(&prefixes.media);
                STANDARD.encode_string(payload, &mut text);
                text.push_str("\"}}");
                text
            }
            CarrierOut::Mark { name } => {
                let mut text = prefixes.mark.clone();
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push_str("}}");
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

/// Any message: flat and borrowed, because this is parsed fifty times a second per call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow, default)]
    stream_sid: Option<Text<'a>>,
    #[serde(borrow, default)]
    media: Option<Media<'a>>,
    #[serde(borrow, default)]
    start: Option<Start<'a>>,
    #[serde(borrow, default)]
    mark: Option<Mark<'a>>,
    #[serde(borrow, default)]
    dtmf: Option<Dtmf<'a>>,
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
    account_sid: Option<Text<'a>>,
    #[serde(borrow, default)]
    stream_sid: Option<Text<'a>>,
    #[serde(borrow, default)]
    call_sid: Option<Text<'a>>,
    #[serde(borrow, default)]
    media_format: Option<Format<'a>>,
    #[serde(default)]
    custom_parameters: Option<BTreeMap<String, Value>>,
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
        let encoding = match self.encoding.as_ref().map(|text| text.0.as_ref()) {
            Some("audio/x-alaw" | "audio/PCMA") => Encoding::Alaw,
            Some("audio/x-l16" | "audio/l16" | "audio/pcm") => Encoding::Pcm16Le,
            _ => Encoding::Ulaw,
        };
        let rate_hz = self.sample_rate.0.and_then(|rate| u32::try_from(rate).ok());
        let rate_hz = rate_hz.filter(|rate| (8_000..=48_000).contains(rate));
        MediaFormat {
            encoding,
            rate_hz: rate_hz.unwrap_or(ULAW_8K.rate_hz),
        }
    }
}

#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct Dtmf<'a> {
    #[serde(borrow)]
    digit: Text<'a>,
}

#[cfg(test)]
mod tests;
