//! What a backend may say on a media stream. Everything else is the carrier's warning 31951.

use serde::Deserialize;

/// A message we may be sent. Anything else is warning 31951.
pub(super) enum Told {
    Media(String),
    Mark(String),
    Clear,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTold {
    event: String,
    stream_sid: String,
    media: Option<RawMedia>,
    mark: Option<RawMark>,
}

#[derive(Deserialize)]
struct RawMedia {
    payload: String,
}

#[derive(Deserialize)]
struct RawMark {
    name: String,
}

impl Told {
    pub(super) fn read(text: &str, stream_sid: &str) -> Option<Self> {
        let raw: RawTold = serde_json::from_str(text).ok()?;
        if raw.stream_sid != stream_sid {
            return None;
        }
        match raw.event.as_str() {
            "media" => raw.media.map(|media| Self::Media(media.payload)),
            "mark" => raw.mark.map(|mark| Self::Mark(mark.name)),
            "clear" => Some(Self::Clear),
            _ => None,
        }
    }
}
