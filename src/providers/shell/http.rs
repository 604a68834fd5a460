//! The HTTP client for vendors' REST: one pool, short limits, no redirects, and retries only where
//! doing a thing twice is harmless. Credentials go to the configured host and nowhere else.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response};
use url::Url;

use crate::engine::random;

use super::prepare_tls;

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Attempts of an idempotent request, the first included.
const TRIES: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(250);
/// A vendor that asks for a longer pause is told to the operator instead of waited for.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A base URL that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {reason}")]
pub struct BaseError {
    url: String,
    reason: &'static str,
}

/// Checks a configured base: `https`/`wss`, or the plain forms on loopback, and no credentials in it.
/// Returns it without a slash at the end.
///
/// # Errors
/// [`BaseError`] says what is wrong with it.
pub fn base_url(text: &str) -> Result<String, BaseError> {
    let wrong = |reason| BaseError {
        url: text.chars().take(100).collect(),
        reason,
    };
    let url = Url::parse(text).map_err(|_| wrong("not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BaseError {
            url: "(hidden)".into(),
            reason: "credentials do not belong in a URL",
        });
    }
    let secure = matches!(url.scheme(), "https" | "wss");
    let plain = matches!(url.scheme(), "http" | "ws");
    let acceptable = secure || (plain && is_loopback(&url));
    if !acceptable {
        return Err(wrong("must be https (plain http only on loopback)"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether a URL points at this machine.
pub fn is_loopback_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    #[error("no connection")]
    Connect,
    #[error("no answer in time")]
    Timeout,
    #[error("the answer broke off")]
    Broken,
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// An answer read whole.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    pub status: u16,
    /// What `Retry-After` says, seconds.
    pub retry_after_s: Option<u64>,
    pub body: Bytes,
}

impl HttpAnswer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The client. Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

impl Http {
    /// A client for one vendor. A loopback `base` is reached without the system's proxy.
    ///
    /// # Errors
    /// The TLS library could not be set up.
    pub fn new(base: &str) -> Result<Self, reqwest::Error> {
        prepare_tls();
        let mut builder = Client::builder()
            .use_rustls_tls()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("wallboard/", env!("CARGO_PKG_VERSION")));
        if is_loopback_url(base) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build()?,
        })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends once; for what must not happen twice.
    ///
    /// # Errors
    /// [`HttpFailure`]
    pub async fn send(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<HttpAnswer, HttpFailure> {
        let response = request.send().await.map_err(|error| failure(&error))?;
        read(response, bytes_max).await
    }

    /// Sends up to three times with full jitter; `build` makes the request anew each time.
    ///
    /// # Errors
    /// The last failure.
    pub async fn send_retrying(
        &self,
        build: impl Fn() -> RequestBuilder + Send,
        bytes_max: usize,
    ) -> Result<HttpAnswer, HttpFailure> {
        let mut attempt = 1;
        loop {
            let result = self.send(build(), bytes_max).await;
            let pause = match &result {
                Ok(answer) if answer.status == 429 || answer.status >= 500 => {
                    match answer.retry_after_s {
                        Some(seconds) => Duration::from_secs(seconds),
                        None => jittered(attempt),
                    }
                }
                Ok(_) | Err(HttpFailure::TooLarge(_)) => return result,
                Err(_) => jittered(attempt),
            };
            if attempt == TRIES || pause > PAUSE_MAX {
                return result;
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Full jitter: anything from nothing to the doubled limit.
fn jittered(attempt: u32) -> Duration {
    let limit = BACKOFF * 2_u32.pow(attempt.min(6));
    limit.mul_f64(f64::from(u32::from_le_bytes(random())) / f64::from(u32::MAX))
}

async fn read(mut response: Response, bytes_max: usize) -> Result<HttpAnswer, HttpFailure> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(HttpFailure::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpAnswer {
        status,
        retry_after_s,
        body: body.freeze(),
    })
}

fn failure(error: &reqwest::Error) -> HttpFailure {
    // The error's own text holds the URL, and that may hold ids: it is not passed on.
    if error.is_timeout() {
        HttpFailure::Timeout
    } else if error.is_connect() {
        HttpFailure::Connect
    } else {
        HttpFailure::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_https_or_loopback() {
        for good in [
            "https://api.twilio.com",
            "http://127.0.0.1:9",
            "http://localhost:9/",
            "ws://[::1]:9",
            "wss://x.example",
        ] {
            assert_eq!(base_url(good).unwrap(), good.trim_end_matches('/'));
        }
        for bad in [
            "http://api.twilio.com",
            "ftp://127.0.0.1",
            "https://user:key@h",
            "nonsense",
            "http://127.0.0.1.evil.example",
            "http://169.254.169.254",
        ] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
        assert!(
            !base_url("https://user:canary@h")
                .unwrap_err()
                .to_string()
                .contains("canary")
        );
    }
}
