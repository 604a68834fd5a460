//! What a conversation costs: the vendor's counts times configured prices. Prices change and are
//! never built in. Spec: OpenAI docs, "Realtime costs" (2026-11).

use serde_json::Value;

use crate::bridge::Usage;

/// Prices of one model, US dollars per million tokens, as somebody wrote them down on a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    pub text_in: f64,
    pub cached_text_in: f64,
    pub text_out: f64,
    pub audio_in: f64,
    pub cached_audio_in: f64,
    pub audio_out: f64,
    pub transcription: Option<TranscriptionPrice>,
    /// When the table was written, for instance `2026-11-21`; shown beside the figure.
    pub as_of: Option<String>,
}

/// How the caller's transcription is billed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TranscriptionPrice {
    /// US dollars per minute of audio.
    PerMinute(f64),
    /// US dollars per million tokens.
    PerMillion { input: f64, output: f64 },
}

/// What this usage costs, US dollars.
pub fn cost_usd(usage: &Usage, prices: &Prices) -> f64 {
    let million = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
    let talk = million(usage.text_in, prices.text_in)
        + million(usage.cached_text_in, prices.cached_text_in)
        + million(usage.text_out, prices.text_out)
        + million(usage.audio_in, prices.audio_in)
        + million(usage.cached_audio_in, prices.cached_audio_in)
        + million(usage.audio_out, prices.audio_out);
    let written = match prices.transcription {
        Some(TranscriptionPrice::PerMinute(price)) => usage.transcribed_s / 60.0 * price,
        Some(TranscriptionPrice::PerMillion { input, output }) => {
            million(usage.transcribed_in, input) + million(usage.transcribed_out, output)
        }
        None => 0.0,
    };
    talk + written
}

/// The `usage` of a `response.done`. Cached tokens are part of the vendor's input figures and taken
/// out of them here.
pub(super) fn response_usage(usage: &Value) -> Usage {
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let cached_text = count("/input_token_details/cached_tokens_details/text_tokens");
    let cached_audio = count("/input_token_details/cached_tokens_details/audio_tokens");
    Usage {
        text_in: count("/input_token_details/text_tokens").saturating_sub(cached_text),
        audio_in: count("/input_token_details/audio_tokens").saturating_sub(cached_audio),
        cached_text_in: cached_text,
        cached_audio_in: cached_audio,
        text_out: count("/output_token_details/text_tokens"),
        audio_out: count("/output_token_details/audio_tokens"),
        ..Usage::default()
    }
}

/// The `usage` of a finished transcription, in tokens or seconds.
pub(super) fn transcription_usage(usage: &Value) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let seconds = usage.get("seconds").and_then(Value::as_f64).unwrap_or(0.0);
    Usage {
        transcribed_in: count("input_tokens"),
        transcribed_out: count("output_tokens"),
        transcribed_s: seconds.max(0.0),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prices() -> Prices {
        Prices {
            text_in: 4.0,
            cached_text_in: 0.4,
            text_out: 16.0,
            audio_in: 32.0,
            cached_audio_in: 0.4,
            audio_out: 64.0,
            transcription: Some(TranscriptionPrice::PerMinute(0.017)),
            as_of: Some("2026-11-21".into()),
        }
    }

    #[test]
    fn cached_tokens_are_billed_once_and_at_their_own_price() {
        let usage = response_usage(&json!({
            "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
            "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0,
                "cached_tokens": 64, "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0}},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        }));
        assert_eq!((usage.text_in, usage.cached_text_in), (55, 64));
        let expected =
            (55.0 * 4.0 + 64.0 * 0.4 + 13.0 * 32.0 + 30.0 * 16.0 + 91.0 * 64.0) / 1_000_000.0;
        assert!((cost_usd(&usage, &prices()) - expected).abs() < 1e-12);
    }

    #[test]
    fn transcription_is_billed_by_time_or_by_tokens() {
        let seconds = transcription_usage(&json!({"type": "duration", "seconds": 1.7}));
        assert!((cost_usd(&seconds, &prices()) - 1.7 / 60.0 * 0.017).abs() < 1e-12);
        let tokens = transcription_usage(&json!({"type": "tokens", "total_tokens": 22,
            "input_tokens": 13, "output_tokens": 9}));
        assert!(cost_usd(&tokens, &prices()).abs() < 1e-12);
        let by_tokens = Prices {
            transcription: Some(TranscriptionPrice::PerMillion {
                input: 3.0,
                output: 5.0,
            }),
            ..prices()
        };
        assert!((cost_usd(&tokens, &by_tokens) - (39.0 + 45.0) / 1e6).abs() < 1e-12);
    }

    #[test]
    fn nonsense_costs_nothing() {
        for nonsense in [
            json!(null),
            json!({}),
            json!({"input_token_details": "x"}),
            json!(-1),
        ] {
            assert_eq!(response_usage(&nonsense), Usage::default());
            assert_eq!(transcription_usage(&nonsense), Usage::default());
        }
        let odd = json!({"input_token_details": {"text_tokens": 3,
            "cached_tokens_details": {"text_tokens": 64}}});
        assert_eq!(response_usage(&odd).text_in, 0);
    }
}
