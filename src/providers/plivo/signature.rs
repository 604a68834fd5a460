//! `X-Plivo-Signature-V3` (and V2): who really sent this webhook. Verifies and signs; decides
//! nothing else. Spec: the official Python library 4.63 and Node library 4.79 (2026-11); the
//! WebSocket upgrade as Plivo documents it for audio streams.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::call::Secret;

/// Values of one header tried at most; more tokens than that do not live at once.
const SIGNATURES_MAX: usize = 8;
const NONCE_BYTES_MAX: usize = 256;

/// The secrets a signature may be made with, and how strict to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureKeys {
    /// Token of the main account.
    pub main: Option<Secret>,
    /// Tokens of subaccounts, and former ones during a rotation.
    pub others: Vec<Secret>,
    /// V2 does not cover the body: only for carriers that send nothing better.
    pub accept_v2: bool,
}

impl SignatureKeys {
    /// Without secrets nothing can be verified, and nothing must be accepted.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = &Secret> {
        self.main
            .iter()
            .chain(&self.others)
            .filter(|secret| !secret.is_empty())
    }
}

/// The signature headers of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureHeaders<'a> {
    pub v3: Option<&'a str>,
    /// As `v3`, always by the main account.
    pub ma_v3: Option<&'a str>,
    pub v3_nonce: Option<&'a str>,
    pub v2: Option<&'a str>,
    pub ma_v2: Option<&'a str>,
    pub v2_nonce: Option<&'a str>,
}

impl<'a> SignatureHeaders<'a> {
    /// Reads the headers whose names begin with `prefix` (see [`super::HEADER_PREFIX`]); `header`
    /// looks one up by its lower-case name.
    pub fn read(prefix: &str, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let get = |tail: &str| header(&format!("{prefix}-signature-{tail}"));
        Self {
            v3: get("v3"),
            ma_v3: get("ma-v3"),
            v3_nonce: get("v3-nonce"),
            v2: get("v2"),
            ma_v2: get("ma-v2"),
            v2_nonce: get("v2-nonce"),
        }
    }

    /// Same for a request and its replay. A replay carries a valid signature: what makes it
    /// harmless is that it was seen.
    pub fn replay_key(&self) -> Option<String> {
        let nonce = self.v3_nonce.or(self.v2_nonce)?.trim();
        let usable = !nonce.is_empty() && nonce.len() <= NONCE_BYTES_MAX;
        usable.then(|| format!("nonce/{nonce}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedMethod {
    Get,
    Post,
}

/// A request as it must be judged.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    pub method: SignedMethod,
    /// The URL Plivo was given: scheme, host, raw path and raw query.
    pub url: &'a str,
    /// Decoded form pairs of a POST, in any order; empty for GET.
    pub params: &'a [(String, String)],
    pub headers: SignatureHeaders<'a>,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// No signature at all.
    Missing,
    /// Not a signature, or without its nonce.
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
    /// Only the deprecated V2 was sent, which is not accepted.
    OnlyV2,
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
            Self::OnlyV2 => {
                "signed with V2 only, which does not cover the body: plivo.accept_v2 = true takes it"
            }
        }
    }
}

/// Judges a webhook. Constant-time in the signature; tries every configured secret, every value of
/// the header (a list while tokens rotate) and the default port written out or left out.
pub fn verify(request: &SignedRequest<'_>, keys: &SignatureKeys) -> Verdict {
    let proof = match Proof::read(&request.headers, keys) {
        Ok(proof) => proof,
        Err(verdict) => return verdict,
    };
    let right = |url: &str| {
        forms(url)
            .iter()
            .any(|url| proof.fits(request.method, url, request.params))
    };
    if right(request.url) {
        return Verdict::Valid;
    }
    let hint = if right(&other_scheme(request.url)) {
        Some(Hint::Scheme)
    } else if right(&toggle_slash(request.url)) {
        Some(Hint::TrailingSlash)
    } else {
        None
    };
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

/// Judges the upgrade of an audio stream. `url` begins with `wss:` or `ws:`; Plivo signs it as a GET
/// of the same URL over http. The other schemes are tried too: they name the same place.
pub fn verify_upgrade(url: &str, headers: SignatureHeaders<'_>, keys: &SignatureKeys) -> Verdict {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut last = Verdict::Missing;
    for scheme in ["http", "wss", "https", "ws"] {
        let request = SignedRequest {
            method: SignedMethod::Get,
            url: &format!("{scheme}://{bare}"),
            params: &[],
            headers,
        };
        last = match verify(&request, keys) {
            // The scheme was tried here; a hint about it would only mislead.
            Verdict::Mismatch {
                hint: Some(Hint::Scheme),
            } => Verdict::Mismatch { hint: None },
            verdict => verdict,
        };
        if matches!(last, Verdict::Valid | Verdict::Missing | Verdict::Malformed) {
            break;
        }
    }
    last
}

/// Signs as Plivo does (V3): for simulators and `trigger`.
pub fn sign_v3(
    method: SignedMethod,
    url: &str,
    params: &[(String, String)],
    nonce: &str,
    token: &Secret,
) -> String {
    let message = message_v3(method, url, params, nonce, Decode::Utf8);
    STANDARD.encode(mac(token, message.as_bytes()).finalize().into_bytes())
}

/// Signs as Plivo did (V2): the URL without its query, and the nonce.
pub fn sign_v2(url: &str, nonce: &str, token: &Secret) -> String {
    let message = format!("{}{nonce}", split(url).0);
    STANDARD.encode(mac(token, message.as_bytes()).finalize().into_bytes())
}

/// Reads a form body or a query into decoded pairs; bytes that are not UTF-8 become U+FFFD.
pub fn parse_form(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V3,
    V2,
}

/// Signatures with the secrets each may be made with.
struct Proof<'a> {
    version: Version,
    nonce: &'a str,
    candidates: Vec<(Vec<u8>, Vec<&'a Secret>)>,
}

impl<'a> Proof<'a> {
    fn read(headers: &SignatureHeaders<'a>, keys: &'a SignatureKeys) -> Result<Self, Verdict> {
        let has = |value: Option<&str>| value.is_some_and(|value| !value.trim().is_empty());
        let v3 = has(headers.v3) || has(headers.ma_v3);
        let v2 = has(headers.v2) || has(headers.ma_v2);
        let (version, by_owner, by_main, nonce) = match (v3, v2) {
            (true, _) => (Version::V3, headers.v3, headers.ma_v3, headers.v3_nonce),
            (false, true) if keys.accept_v2 => {
                (Version::V2, headers.v2, headers.ma_v2, headers.v2_nonce)
            }
            (false, true) => {
                return Err(Verdict::Mismatch {
                    hint: Some(Hint::OnlyV2),
                });
            }
            (false, false) => return Err(Verdict::Missing),
        };
        let nonce = nonce.map(str::trim).unwrap_or_default();
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX {
            return Err(Verdict::Malformed);
        }
        let main: Vec<&Secret> = keys.main.iter().filter(|main| !main.is_empty()).collect();
        let mut candidates = signatures(by_owner, &keys.all().collect::<Vec<_>>());
        candidates.extend(signatures(by_main, &main));
        if candidates.is_empty() {
            return Err(Verdict::Malformed);
        }
        Ok(Self {
            version,
            nonce,
            candidates,
        })
    }

    fn fits(&self, method: SignedMethod, url: &str, params: &[(String, String)]) -> bool {
        let messages = match self.version {
            Version::V2 => vec![format!("{}{}", split(url).0, self.nonce)],
            Version::V3 => {
                let message = |decode| message_v3(method, url, params, self.nonce, decode);
                let first = message(Decode::Utf8);
                let second = message(Decode::Latin1);
                if first == second {
                    vec![first]
                } else {
                    vec![first, second]
                }
            }
        };
        self.candidates.iter().any(|(signature, secrets)| {
            secrets.iter().any(|secret| {
                messages.iter().any(|message| {
                    mac(secret, message.as_bytes())
                        .verify_slice(signature)
                        .is_ok()
                })
            })
        })
    }
}

/// The header is a comma list; each value that has the shape of a signature counts.
fn signatures<'a>(header: Option<&str>, secrets: &[&'a Secret]) -> Vec<(Vec<u8>, Vec<&'a Secret>)> {
    header
        .unwrap_or_default()
        .split(',')
        .take(SIGNATURES_MAX)
        .filter_map(|part| STANDARD.decode(part.trim()).ok())
        .filter(|signature| signature.len() == 32)
        .map(|signature| (signature, secrets.to_vec()))
        .collect()
}

/// How percent-decoded bytes of a query become text. The Python library takes each byte for a
/// character, the Node library reads UTF-8; they differ only beyond ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decode {
    Utf8,
    Latin1,
}

/// What is signed: the URL, its query decoded and sorted, a POST's parameters sorted and joined
/// without separators, a dot, the nonce. Between query and parameters stands a dot only where both
/// are; a question mark wherever either is.
fn message_v3(
    method: SignedMethod,
    url: &str,
    params: &[(String, String)],
    nonce: &str,
    decode: Decode,
) -> String {
    let (base, query) = split(url);
    let mut pairs = query_pairs(query, decode);
    let mut body: Vec<(&str, &str)> = Vec::new();
    match method {
        SignedMethod::Get => pairs.extend(params.iter().cloned()),
        SignedMethod::Post => body.extend(params.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
    }
    pairs.sort();
    body.sort_unstable();
    let mut message = base.to_owned();
    if !pairs.is_empty() || !body.is_empty() {
        message.push('?');
    }
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            message.push('&');
        }
        message.push_str(key);
        message.push('=');
        message.push_str(value);
    }
    if !pairs.is_empty() && !body.is_empty() {
        message.push('.');
    }
    for (key, value) in body {
        message.push_str(key);
        message.push_str(value);
    }
    message.push('.');
    message.push_str(nonce);
    message
}

fn query_pairs(query: &str, decode: Decode) -> Vec<(String, String)> {
    match decode {
        Decode::Utf8 => parse_form(query.as_bytes()),
        Decode::Latin1 => query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (latin1(key), latin1(value)))
            .collect(),
    }
}

fn latin1(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if escaped.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
        let plain = if *byte == b'+' { b' ' } else { *byte };
        out.push(char::from(escaped.unwrap_or(plain)));
    }
    out
}

/// URL without query and fragment, and the query.
fn split(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').unwrap_or((url, ""))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(secret: &Secret, message: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("any key length")
        .chain_update(message)
}

/// The URL as it is, and with its scheme's default port added or removed.
fn forms(url: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(url)];
    let Some((scheme, after)) = url.split_once("://") else {
        return forms;
    };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let Some((authority, rest)) = after.split_at_checked(end) else {
        return forms;
    };
    let default = if matches!(scheme, "https" | "wss") {
        ":443"
    } else {
        ":80"
    };
    // An IPv6 literal has colons of its own: the port follows the bracket.
    let tail = authority.rsplit(']').next().unwrap_or(authority);
    match authority.strip_suffix(default) {
        Some(host) => forms.push(Cow::Owned(format!("{scheme}://{host}{rest}"))),
        None if !tail.contains(':') => {
            forms.push(Cow::Owned(format!("{scheme}://{authority}{default}{rest}")));
        }
        None => {}
    }
    forms
}

fn toggle_slash(url: &str) -> String {
    let (path, query) = url
        .find(['?', '#'])
        .and_then(|at| url.split_at_checked(at))
        .unwrap_or((url, ""));
    match path.strip_suffix('/') {
        Some(bare) => format!("{bare}{query}"),
        None => format!("{path}/{query}"),
    }
}

fn other_scheme(url: &str) -> String {
    match url.split_once("://") {
        Some(("https", rest)) => format!("http://{rest}"),
        Some(("http", rest)) => format!("https://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
