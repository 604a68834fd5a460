//! What clients send, whatever shape it comes in: `{data, meta_info}` with base64 or a binary
//! attachment, or the bare string or buffer.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::Value;

/// One message, its type not yet judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Incoming {
    pub data: Option<Content>,
    pub meta: Meta,
}

/// The `data` of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Text(String),
    Binary(Bytes),
    /// A number, a list, and the like.
    Other,
}

/// The `meta_info` of a message, as far as it means something here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Meta {
    pub stream_sid: Option<String>,
    pub format: Option<String>,
    pub sample_rate: Option<u32>,
    /// Echoed in the answer to it.
    pub sequence_id: Option<Value>,
    /// Whether the caller has said all; `None`: we find out.
    pub eos: Option<bool>,
}

impl Meta {
    fn read(value: &Value) -> Self {
        let text = |name: &str| {
            let text = value.get(name)?.as_str()?;
            Some(text.chars().take(128).collect::<String>())
        };
        Self {
            stream_sid: text("stream_sid"),
            format: text("format").or_else(|| text("encoding")),
            sample_rate: ["sample_rate", "sampleRate"]
                .iter()
                .find_map(|name| u32::try_from(value.get(name)?.as_u64()?).ok()),
            sequence_id: value
                .get("sequence_id")
                .filter(|id| id.is_number() || id.as_str().is_some_and(|id| id.len() <= 64))
                .cloned(),
            eos: value.get("eos").and_then(Value::as_bool),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or bytes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Content, E> {
                Ok(Content::Binary(Bytes::copy_from_slice(bytes)))
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Content, E> {
                Ok(Content::Binary(Bytes::from(bytes)))
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Content, E> {
                Ok(Content::Other)
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Content, E> {
                Ok(Content::Other)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Content, E> {
                Ok(Content::Other)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Content, E> {
                Ok(Content::Other)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
                Ok(Content::Other)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
                while seq.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Content::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                while map
                    .next_entry::<de::IgnoredAny, de::IgnoredAny>()?
                    .is_some()
                {}
                Ok(Content::Other)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        let bare = |data| Incoming {
            data: Some(data),
            meta: Meta::default(),
        };
        impl<'de> Visitor<'de> for Reader {
            type Value = Result<Incoming, Content>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Err(Content::Text(text.to_owned())))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Err(Content::Binary(Bytes::copy_from_slice(bytes))))
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
                Ok(Err(Content::Binary(Bytes::from(bytes))))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Ok(Incoming::default()))
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Err(Content::Other))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Err(Content::Other))
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Err(Content::Other))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Err(Content::Other))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Err(Content::Other))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut message = Incoming::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "data" => message.data = Some(map.next_value()?),
                        "meta_info" => message.meta = Meta::read(&map.next_value()?),
                        _ => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                Ok(Ok(message))
            }
        }
        deserializer
            .deserialize_any(Reader)
            .map(|read| read.unwrap_or_else(bare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Incoming {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_shape_is_read_and_none_is_an_error() {
        let message = read(
            r#"{"data":"AAAA","meta_info":{"stream_sid":"MZ1","format":"mulaw","sequence_id":7,"eos":true},"x":[1]}"#,
        );
        assert_eq!(message.data, Some(Content::Text("AAAA".into())));
        assert_eq!(message.meta.stream_sid.as_deref(), Some("MZ1"));
        assert_eq!(message.meta.sequence_id, Some(Value::from(7)));
        assert_eq!(message.meta.eos, Some(true));
        assert_eq!(read(r#""hi""#).data, Some(Content::Text("hi".into())));
        assert_eq!(read("null"), Incoming::default());
        for odd in [
            "3",
            "true",
            "[1,2]",
            "1.5",
            r#"{"data":{"a":1}}"#,
            r#"{"data":[1]}"#,
        ] {
            assert_eq!(read(odd).data, Some(Content::Other), "{odd}");
        }
        assert_eq!(
            read(r#"{"data":"x","meta_info":"nonsense"}"#).meta,
            Meta::default()
        );
    }
}
