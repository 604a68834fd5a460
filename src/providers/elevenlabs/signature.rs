//! `ElevenLabs-Signature` of webhooks: `t=<unix s>,v0=<hex HMAC-SHA256 of "t.body">`.
//! Stricter than the vendor's own libraries where those disagree or leave a replay hole, and still
//! compatible with everything the vendor sends. Spec: elevenlabs Python 2.78, JS 2.73 (2026-11).

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::call::Secret;

/// Header names the signature may come in, lower case. The second is an older relay's alias for the
/// same value, never a way round it.
pub const SIGNATURE_HEADERS: [&str; 2] = ["elevenlabs-signature", "xi-signature"];
/// The vendor's own limit, seconds.
pub const AGE_S_MAX: u64 = 1_800;
/// How far the vendor's clock may be ahead of ours, seconds.
pub const AHEAD_S_MAX: u64 = 300;
const TIMESTAMP_DIGITS_MAX: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureVerdict {
    Valid,
    Missing,
    Malformed,
    /// Too old, or from the future.
    Stale {
        /// How long before our time it was signed, seconds; negative: after it.
        late_s: i64,
    },
    Mismatch,
}

/// A signature being judged while its body comes in.
#[derive(Debug)]
pub struct SignatureCheck {
    mac: Hmac<Sha256>,
    presented: Vec<String>,
}

impl SignatureCheck {
    /// Begins with the header's value, at `now_unix_s`.
    ///
    /// # Errors
    /// Whatever the body is, this header cannot be right.
    pub fn begin(
        header: Option<&str>,
        secret: &Secret,
        now_unix_s: u64,
    ) -> Result<Self, SignatureVerdict> {
        let Some(header) = header.map(str::trim).filter(|header| !header.is_empty()) else {
            return Err(SignatureVerdict::Missing);
        };
        let mut timestamp = None;
        let mut presented = Vec::new();
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", value)) => timestamp = Some(value),
                Some(("v0", value)) => presented.push(value.to_owned()),
                _ => {}
            }
        }
        let digits = timestamp.filter(|text| {
            (1..=TIMESTAMP_DIGITS_MAX).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_digit())
        });
        let Some((text, at)) = digits.and_then(|text| Some((text, text.parse::<u64>().ok()?)))
        else {
            return Err(SignatureVerdict::Malformed);
        };
        if presented.is_empty() || secret.is_empty() {
            return Err(SignatureVerdict::Malformed);
        }
        if at + AGE_S_MAX < now_unix_s || at > now_unix_s + AHEAD_S_MAX {
            let late_s = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
            let late_s = late_s.saturating_sub(i64::try_from(at).unwrap_or(i64::MAX));
            return Err(SignatureVerdict::Stale { late_s });
        }
        Ok(Self {
            mac: mac_of(text, secret),
            presented,
        })
    }

    /// Takes the next bytes of the raw body.
    pub fn update(&mut self, chunk: &[u8]) {
        self.mac.update(chunk);
    }

    /// Judges, in constant time, once the body is whole.
    pub fn finish(self) -> SignatureVerdict {
        let right = hex(self.mac);
        let mut matches = false;
        for given in self.presented {
            matches |= bool::from(given.as_bytes().ct_eq(right.as_bytes()));
        }
        if matches {
            SignatureVerdict::Valid
        } else {
            SignatureVerdict::Mismatch
        }
    }
}

/// Judges the raw body against the header's value, at `now_unix_s`.
pub fn verify_signature(
    header: Option<&str>,
    body: &[u8],
    secret: &Secret,
    now_unix_s: u64,
) -> SignatureVerdict {
    match SignatureCheck::begin(header, secret, now_unix_s) {
        Ok(mut check) => {
            check.update(body);
            check.finish()
        }
        Err(verdict) => verdict,
    }
}

/// Signs as the vendor does: for simulators and `trigger`.
pub fn sign_webhook(body: &[u8], secret: &Secret, now_unix_s: u64) -> String {
    let at = now_unix_s.to_string();
    let mut mac = mac_of(&at, secret);
    mac.update(body);
    format!("t={at},v0={}", hex(mac))
}

/// The MAC over a timestamp and the dot after it; the body is still to come.
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac_of(timestamp: &str, secret: &Secret) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("any key length")
        .chain_update(timestamp.as_bytes())
        .chain_update(b".")
}

fn hex(mac: Hmac<Sha256>) -> String {
    let mut hex = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../tests/fixtures/elevenlabs/signatures.jsonl");
    const NOW: u64 = 1_795_219_200;
    const SECRET: &str = "wsec_9f3c1d7b2a5e4f60817263544938271f";
    const H1: &str = "4718648a569958d95bfcf771c77288a45148283d0436c637f56ab3d12d4732a6";
    const B: &str = r#"{"type":"post_call_transcription","event_timestamp":1795219195,"data":{"agent_id":"agent_1","conversation_id":"conv_1","status":"done"}}"#;
    const U: &str =
        r#"{"type":"user_message","data":{"conversation_id":"conv_ü","message":"¿Qué tal? 👋"}}"#;

    #[test]
    fn vectors_get_the_stricter_verdict() {
        let zeros = "0".repeat(64);
        for line in VECTORS.lines() {
            let vector: serde_json::Value = serde_json::from_str(line).unwrap();
            let header = vector["header"]
                .as_str()
                .unwrap()
                .replace("UPPER", &H1.to_uppercase())
                .replace("H1", H1)
                .replace("=Z", &format!("={zeros}"));
            let body = match vector["body"].as_str().unwrap() {
                "B" => B.to_owned(),
                "U" => U.to_owned(),
                "T" => B.replace("done", "fail"),
                _ => B.replace("\":", "\": ").replace(",\"", ", \""),
            };
            let verdict = verify_signature(Some(&header), body.as_bytes(), &SECRET.into(), NOW);
            assert_eq!(
                verdict == SignatureVerdict::Valid,
                vector["accept"].as_bool().unwrap(),
                "{}: {verdict:?}",
                vector["case"]
            );
        }
    }

    #[test]
    fn our_own_signature_is_the_vendors() {
        let header = sign_webhook(B.as_bytes(), &SECRET.into(), 1_795_219_195);
        assert_eq!(header, format!("t=1795219195,v0={H1}"));
    }

    proptest::proptest! {
        #[test]
        fn junk_is_never_valid(header in ".{0,120}", body in proptest::collection::vec(0u8.., 0..50)) {
            let verdict = verify_signature(Some(&header), &body, &SECRET.into(), NOW);
            proptest::prop_assert_ne!(verdict, SignatureVerdict::Valid);
        }
    }
}
