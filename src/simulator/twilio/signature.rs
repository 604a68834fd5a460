//! `X-Twilio-Signature` as the carrier makes it. The checking side lives in production code; this is
//! the signing side, kept apart so that a shared mistake cannot hide. Spec: Twilio "Security", 2026.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Signs a form POST (`params` not empty) or a GET and WebSocket upgrade (`params` empty).
/// `url` is what the carrier requests, without fragment. Repeated keys: values de-duplicated, sorted.
pub fn sign(auth_token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in params {
        sorted.entry(key).or_default().push(value);
    }
    let mut data = url.to_owned();
    for (key, values) in &mut sorted {
        values.sort_unstable();
        values.dedup();
        for value in values {
            data.push_str(key);
            data.push_str(value);
        }
    }
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("any key length");
    mac.update(data.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::sign;

    const TOKEN: &str = "wallboard_test_token_0123456789ab";

    fn check(url: &str, params: &[(&str, &str)], expected: &str) {
        let owned: Vec<(String, String)> = params
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(sign(TOKEN, url, &owned), expected, "{url}");
    }

    const RINGING: &[(&str, &str)] = &[
        ("AccountSid", "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", "CA1234567890abcdef1234567890abcdef"),
        ("CallStatus", "ringing"),
        ("CallbackSource", "call-progress-events"),
        ("Direction", "outbound-api"),
        ("From", "+15557650000"),
        ("SequenceNumber", "1"),
        ("Timestamp", "Sat, 21 Nov 2026 04:00:00 +0000"),
        ("To", "+15551230000"),
    ];

    #[test]
    fn signatures_match_the_official_sdk() {
        check(
            "https://wb.example.com/call-status-callback",
            RINGING,
            "WB1Ikj/TmXBDpQCq59ilykGKWt4=",
        );
        check(
            "https://wb.example.com:443/call-status-callback",
            RINGING,
            "ZrGJaoFU8XOXznfLIS+hlBDZFvY=",
        );
        check(
            "https://wb.example.com/recording-status-callback?tenant=a&x=1",
            &[
                ("RecordingSid", "REaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                ("RecordingStatus", "completed"),
                ("Empty", ""),
            ],
            "FX+aOCsQjwI3QxTw8T4gvB94lVs=",
        );
        check(
            "wss://wb.example.com/outbound-media-stream",
            &[],
            "SDE3P69/Ls7mmm1ntUbSAJH8P8I=",
        );
        check(
            "wss://wb.example.com/outbound-media-stream/CA1234567890abcdef1234567890abcdef",
            &[],
            "eaF3xbrcikbwbRCc1vdiXs5fNsY=",
        );
        check(
            "https://wb.example.com/answer?x=a%20b&y=it%27s",
            &[("SpeechResult", "Añó – ünïcode ✓"), ("Digits", "1234#")],
            "sFVZDP8ZcD9NX2dFiBAG5pZOBU8=",
        );
        check(
            "https://wb.example.com/quality-insights-callback?bodySHA256=b6401b376f4da64775f80e177bb3bf6bada263dd736cad6c87260ba23d7c21ec",
            &[],
            "H/uk1NZFnX2ORerZ8pMJ//DiPFc=",
        );
        check(
            "https://wb.example.com/x",
            &[
                ("StatusCallbackEvent", "ringing"),
                ("StatusCallbackEvent", "initiated"),
                ("StatusCallbackEvent", "ringing"),
                ("A", "2"),
                ("A", "1"),
            ],
            "uVhfn2l4u36yTZdL7JF8HSd4O5Q=",
        );
        check(
            "https://wb.example.com/x",
            &[("b", "1"), ("A", "2"), ("a", "3"), ("B", "4"), ("_x", "5")],
            "rqfW0IcUxmG+gz/zNVxdET9tBRA=",
        );
    }
}
