//! `X-Twilio-Signature`: who really sent this webhook. Verifies and signs; decides nothing else.
//! Spec: Twilio docs, "Webhooks security", and the official Python library 9.13 (2026-11).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::call::Secret;
use crate::providers::hex;

/// Header with the signature, lower case.
pub const SIGNATURE_HEADER: &str = "x-twilio-signature";
/// Header that names the key and algorithm when a shared key is used, lower case.
pub const SETTINGS_HEADER: &str = "x-twilio-webhooks-signature-settings";
/// Header whose value is the same for every retry of one request, lower case.
pub const IDEMPOTENCY_HEADER: &str = "i-twilio-idempotency-token";

/// The secrets a signature may be made with. Several at once: rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureKeys {
    pub auth_tokens: Vec<Secret>,
    pub shared_keys: BTreeMap<String, Secret>,
}

impl SignatureKeys {
    /// Without secrets nothing can be verified, and nothing must be accepted.
    pub fn is_empty(&self) -> bool {
        self.auth_tokens.is_empty() && self.shared_keys.is_empty()
    }
}

/// What of the request was signed besides its URL.
#[derive(Clone, Copy, Debug)]
pub enum SignedBody<'a> {
    /// GET requests and WebSocket upgrades.
    Empty,
    /// Decoded `application/x-www-form-urlencoded` pairs, in any order.
    Form(&'a [(String, String)]),
    /// Any other body, verified by the URL's `bodySHA256`.
    Raw(&'a [u8]),
}

/// A request as it must be judged.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The URL Twilio was given: scheme, host, raw path and raw query. `wss://` for streams.
    pub url: &'a str,
    pub signature: Option<&'a str>,
    /// Value of [`SETTINGS_HEADER`].
    pub settings: Option<&'a str>,
    pub body: SignedBody<'a>,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// No signature at all.
    Missing,
    /// Not a signature, or an algorithm we do not know.
    Malformed,
    /// Signed with another secret, over another URL or another body.
    Mismatch {
        hint: Option<Hint>,
    },
}

impl Verdict {
    pub fn is_valid(self) -> bool {
        self == Self::Valid
    }
}

/// What would have made the signature right: almost always a wrong `server.public_url`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It is right over the same URL with the other scheme.
    Scheme,
    /// It is right with a slash at the end of the path added or removed.
    TrailingSlash,
    /// It is right over another host or port of ours.
    Host,
    /// The body is not the one the URL's `bodySHA256` names.
    Body,
}

impl Hint {
    /// One line that says how to mend it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Scheme => {
                "the proxy changed http/https: set server.public_url to the URL the carrier calls"
            }
            Self::TrailingSlash => "the URL at the carrier differs by a slash at the end",
            Self::Host => "the carrier calls another host or port: set server.public_url to it",
            Self::Body => "something between the carrier and us changed the body",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
}

/// Judges a request. Constant-time in the signature; tries every configured secret and every form of
/// the URL the vendor's own validators accept (port left out, default port added), and for streams
/// also the slash at the end.
pub fn verify(request: &SignedRequest<'_>, keys: &SignatureKeys) -> Verdict {
    let Some(text) = request
        .signature
        .map(str::trim)
        .filter(|text| !text.is_empty())
    else {
        return Verdict::Missing;
    };
    let Some((algorithm, secrets)) = choose(request.settings, keys) else {
        return Verdict::Malformed;
    };
    let Ok(signature) = STANDARD.decode(text) else {
        return Verdict::Malformed;
    };
    let length = match algorithm {
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 => 32,
    };
    if signature.len() != length {
        return Verdict::Malformed;
    }
    let params = match request.body {
        SignedBody::Form(pairs) => canonical(pairs),
        SignedBody::Empty => String::new(),
        SignedBody::Raw(body) => {
            if !body_matches(request.url, body) {
                return Verdict::Mismatch {
                    hint: Some(Hint::Body),
                };
            }
            String::new()
        }
    };
    let right = |url: &str| {
        secrets
            .iter()
            .any(|secret| is_mac(algorithm, secret, url, &params, &signature))
    };
    let wrong_by =
        |hint: Hint, url: &str| candidates(url).iter().any(|url| right(url)).then_some(hint);
    if candidates(request.url).iter().any(|url| right(url)) {
        return Verdict::Valid;
    }
    let hint = wrong_by(Hint::Scheme, &other_scheme(request.url))
        .or_else(|| wrong_by(Hint::TrailingSlash, &toggle_slash(request.url)));
    Verdict::Mismatch { hint }
}

/// As [`verify`], and when the signature is wrong tries other bases of ours (for instance the one the
/// `Host` header names) only to be able to say what is misconfigured. Never accepts by them.
pub fn verify_with_hints(
    request: &SignedRequest<'_>,
    keys: &SignatureKeys,
    other_urls: &[String],
) -> Verdict {
    match verify(request, keys) {
        Verdict::Mismatch { hint: None } => {
            let host = other_urls.iter().any(|url| {
                let other = SignedRequest { url, ..*request };
                matches!(
                    verify(&other, keys),
                    Verdict::Valid
                        | Verdict::Mismatch {
                            hint: Some(Hint::Scheme | Hint::TrailingSlash)
                        }
                )
            });
            Verdict::Mismatch {
                hint: host.then_some(Hint::Host),
            }
        }
        verdict => verdict,
    }
}

/// Signs as Twilio does by default (HMAC-SHA1): for simulators and `trigger`.
pub fn sign(url: &str, params: &[(String, String)], token: &Secret) -> String {
    let mut mac = mac_sha1(token);
    mac.update(url.as_bytes());
    mac.update(canonical(params).as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Signs as Twilio does with a webhook shared key (HMAC-SHA256).
pub fn sign_sha256(url: &str, params: &[(String, String)], secret: &Secret) -> String {
    let mut mac = mac_sha256(secret);
    mac.update(url.as_bytes());
    mac.update(canonical(params).as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Adds `bodySHA256` to a URL, as Twilio does for bodies that are not forms.
pub fn with_body_hash(url: &str, body: &[u8]) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}bodySHA256={}", hex(&Sha256::digest(body)))
}

/// Reads a form body into decoded pairs; bytes that are not UTF-8 become U+FFFD.
pub fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

fn choose<'k>(
    settings: Option<&str>,
    keys: &'k SignatureKeys,
) -> Option<(Algorithm, Vec<&'k Secret>)> {
    let field = |name: &str| {
        settings.unwrap_or_default().split(',').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then_some(value.trim())
        })
    };
    match field("algorithm") {
        None | Some("HMAC_SHA1") => Some((Algorithm::Sha1, keys.auth_tokens.iter().collect())),
        Some("HMAC_SHA256") => {
            let secrets = match field("key") {
                Some(id) => keys.shared_keys.get(id).into_iter().collect(),
                None => keys.shared_keys.values().collect(),
            };
            Some((Algorithm::Sha256, secrets))
        }
        Some(_) => None,
    }
}

/// Keys in byte order, each followed by its value; repeated keys once per distinct value, sorted.
fn canonical(pairs: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in pairs {
        sorted.entry(key).or_default().insert(value);
    }
    let mut out = String::new();
    for (key, values) in sorted {
        for value in values {
            out.push_str(key);
            out.push_str(value);
        }
    }
    out
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac_sha1(secret: &Secret) -> Hmac<Sha1> {
    Hmac::new_from_slice(secret.expose().as_bytes()).expect("any key length")
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac_sha256(secret: &Secret) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.expose().as_bytes()).expect("any key length")
}

fn is_mac(
    algorithm: Algorithm,
    secret: &Secret,
    url: &str,
    params: &str,
    signature: &[u8],
) -> bool {
    if secret.is_empty() {
        return false;
    }
    match algorithm {
        Algorithm::Sha1 => mac_sha1(secret)
            .chain_update(url.as_bytes())
            .chain_update(params.as_bytes())
            .verify_slice(signature)
            .is_ok(),
        Algorithm::Sha256 => mac_sha256(secret)
            .chain_update(url.as_bytes())
            .chain_update(params.as_bytes())
            .verify_slice(signature)
            .is_ok(),
    }
}

fn body_matches(url: &str, body: &[u8]) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let Some(named) = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("bodySHA256="))
    else {
        // Twilio always names the hash for such bodies; without it the body is not covered at all.
        return body.is_empty();
    };
    hex(&Sha256::digest(body))
        .as_bytes()
        .ct_eq(named.to_ascii_lowercase().as_bytes())
        .into()
}

/// A URL cut where its port and path are.
struct Cut<'a> {
    scheme: &'a str,
    /// Userinfo and host, without the port.
    host: &'a str,
    port: Option<&'a str>,
    /// Path and query.
    rest: &'a str,
}

fn cut(url: &str) -> Option<Cut<'_>> {
    let (scheme, after) = url.split_once("://")?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at_checked(end)?;
    // An IPv6 literal has colons of its own: the port follows the bracket.
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let host_part = authority.get(host_at..)?;
    let searched_from = host_part.rfind(']').unwrap_or(0);
    let colon = host_part
        .get(searched_from..)?
        .find(':')
        .map(|at| host_at + searched_from + at);
    let (host, port) = match colon {
        Some(at) => (authority.get(..at)?, authority.get(at + 1..)),
        None => (authority, None),
    };
    Some(Cut {
        scheme,
        host,
        port,
        rest,
    })
}

/// The forms of a URL a signature may have been made over.
fn candidates(url: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(url)];
    if let Some(Cut {
        scheme,
        host,
        port,
        rest,
    }) = cut(url)
    {
        let default = if matches!(scheme, "https" | "wss") {
            443
        } else {
            80
        };
        forms.push(Cow::Owned(match port {
            Some(_) => format!("{scheme}://{host}{rest}"),
            None => format!("{scheme}://{host}:{default}{rest}"),
        }));
        if matches!(scheme, "ws" | "wss") {
            let slashed: Vec<_> = forms
                .iter()
                .map(|form| Cow::Owned(toggle_slash(form)))
                .collect();
            forms.extend(slashed);
        }
    }
    forms
}

fn toggle_slash(url: &str) -> String {
    let (path, query) = url
        .find('?')
        .and_then(|at| url.split_at_checked(at))
        .unwrap_or((url, ""));
    match path.strip_suffix('/') {
        Some(bare) => format!("{bare}{query}"),
        None => format!("{path}/{query}"),
    }
}

fn other_scheme(url: &str) -> String {
    for (from, to) in [
        ("https://", "http://"),
        ("http://", "https://"),
        ("wss://", "https://"),
        ("ws://", "http://"),
    ] {
        if let Some(rest) = url.strip_prefix(from) {
            // A stream's URL reaches the proxy as https: say "scheme" for that confusion too.
            return format!("{to}{rest}");
        }
    }
    url.to_owned()
}

#[cfg(test)]
mod tests;
