//! Tools an operator has configured: one signed HTTPS request each. How it is signed is decided here;
//! `shell` judges the addresses and asks. Spec: Standard Webhooks 1.0.0 (2026-11).

pub mod shell;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::call::Secret;

/// Largest answer an agent is given, bytes.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One `[[tool]]`.
#[derive(Clone, Debug)]
pub struct HookSettings {
    pub name: String,
    pub url: String,
    /// Signs the requests.
    pub secret: Option<Secret>,
    /// The whole of it, from looking the name up to the last byte.
    pub timeout: Duration,
    /// For development: plain http to this machine.
    pub allow_loopback: bool,
}

/// `webhook-signature`: `v1,` and the HMAC-SHA256 of `id.timestamp.body`. A secret that begins with
/// `whsec_` is base64, any other is taken as it stands.
pub fn sign(secret: &Secret, id: &str, unix_s: i64, body: &[u8]) -> String {
    let text = secret.expose();
    let key = text
        .strip_prefix("whsec_")
        .and_then(|coded| STANDARD.decode(coded).ok())
        .unwrap_or_else(|| text.as_bytes().to_vec());
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
        // HMAC takes keys of any length.
        return String::new();
    };
    mac.update(format!("{id}.{unix_s}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the specification's own libraries.
    #[test]
    fn requests_are_signed_as_the_standard_says() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
