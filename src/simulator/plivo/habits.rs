//! How the carrier asks: its limits, its retries and its headers.
//! Spec: Plivo docs, "Callback retries" (`#ct=..&rt=..&rc=..&rp=..`), read 2026-11.

use crate::call::Secret;
use crate::simulator::line::Method;
use crate::simulator::line::poster::{Habits, Headers, Limits, Tried};
use crate::simulator::rng::Rng;

use super::signature::{sign_get, sign_post};

#[derive(Debug)]
pub(super) struct PlivoHabits {
    pub(super) auth_token: Secret,
}

impl Habits for PlivoHabits {
    fn limits(&self) -> Limits {
        Limits {
            connect_ms: 2_000,
            read_ms: 40_000,
            total_ms: None,
            again_on_read: true,
            answers: 200..300,
        }
    }

    fn headers(&self, tried: &Tried<'_>, rng: &mut Rng) -> Headers {
        // Each try has a nonce of its own.
        let nonce = nonce(rng);
        let token = self.auth_token.expose();
        let signature = match tried.method {
            Method::Get => sign_get(token, tried.url, &nonce),
            Method::Post => sign_post(token, tried.url, tried.form, &nonce),
        };
        let mut headers = signed(signature, nonce);
        headers.push(("User-Agent", "Plivo".to_owned()));
        headers
    }

    /// A GET over the http form of the URL.
    fn upgrade(&self, url: &str, rng: &mut Rng) -> Headers {
        let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
        let nonce = nonce(rng);
        let url = format!("http://{bare}");
        signed(sign_get(self.auth_token.expose(), &url, &nonce), nonce)
    }

    fn message_max(&self) -> usize {
        64 * 1024
    }
}

fn nonce(rng: &mut Rng) -> String {
    format!("{:020}", rng.next_u64())
}

fn signed(signature: String, nonce: String) -> Headers {
    vec![
        ("X-Plivo-Signature-V3", signature.clone()),
        ("X-Plivo-Signature-Ma-V3", signature),
        ("X-Plivo-Signature-V3-Nonce", nonce),
    ]
}
