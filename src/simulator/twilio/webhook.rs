//! Requests the carrier makes to us: signed, with the connection overrides of the URL's fragment,
//! retried as they say, and with the faults of a bad day.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HOST};
use url::Url;

use crate::engine::Tasks;
use crate::simulator::rng::Rng;
use crate::simulator::stats::Latencies;

use super::config::{Faults, Reach};
use super::signature::sign;
use super::twiml::Method;

/// Form fields in sending order.
pub(super) type Form = Vec<(String, String)>;

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: String,
}

/// The carrier's own limits and retries, overridden by `#ct=..&rt=..&tt=..&rc=..&rp=..`.
/// Spec: Twilio "Webhooks: connection overrides", read 2026-11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overrides {
    connect_ms: u64,
    read_ms: u64,
    total_ms: u64,
    retries: u32,
    on_4xx: bool,
    on_5xx: bool,
    on_connect: bool,
    on_read: bool,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            read_ms: 15_000,
            total_ms: 15_000,
            retries: 1,
            on_4xx: false,
            on_5xx: false,
            on_connect: true,
            on_read: false,
        }
    }
}

impl Overrides {
    pub(super) fn parse(fragment: &str) -> Self {
        let mut overrides = Self::default();
        for (key, value) in url::form_urlencoded::parse(fragment.as_bytes()) {
            let number = value.parse::<u64>();
            match (&*key, number) {
                ("ct", Ok(ms)) => overrides.connect_ms = ms.clamp(100, 10_000),
                ("rt", Ok(ms)) => overrides.read_ms = ms.clamp(100, 15_000),
                ("tt", Ok(ms)) => overrides.total_ms = ms.clamp(100, 15_000),
                ("rc", Ok(count)) => overrides.retries = count.min(5) as u32,
                ("rp", _) => {
                    let has = |word: &str| value.split(',').any(|w| w == word || w == "all");
                    overrides.on_4xx = has("4xx");
                    overrides.on_5xx = has("5xx");
                    overrides.on_connect = has("ct");
                    overrides.on_read = has("rt");
                }
                _ => {}
            }
        }
        overrides
    }

    fn again(&self, outcome: &Result<Answer, reqwest::Error>) -> bool {
        match outcome {
            Ok(answer) if answer.status >= 500 => self.on_5xx,
            Ok(answer) if answer.status >= 400 => self.on_4xx,
            Ok(_) => false,
            Err(error) if error.is_connect() => self.on_connect,
            Err(_) => self.on_read,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) duplicated: AtomicU64,
    pub(super) delayed: AtomicU64,
    pub(super) latency: Mutex<Latencies>,
}

#[derive(Debug)]
pub(super) struct Poster {
    http: reqwest::Client,
    auth_token: String,
    reach: Option<Reach>,
    faults: Faults,
    rng: Mutex<Rng>,
    pub(super) counters: Counters,
}

impl Poster {
    pub(super) fn new(
        auth_token: String,
        reach: Option<Reach>,
        faults: Faults,
        rng: Rng,
    ) -> std::io::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(64)
            .build()
            .map_err(std::io::Error::other)?;
        let rng = Mutex::new(rng);
        Ok(Self {
            http,
            auth_token,
            reach,
            faults,
            rng,
            counters: Counters::default(),
        })
    }

    /// One request with its retries. `Err` says what went wrong in words.
    pub(super) async fn fetch(
        &self,
        url: &str,
        method: Method,
        form: &Form,
    ) -> Result<Answer, String> {
        let parsed = Url::parse(url).map_err(|e| format!("{url:?}: {e}"))?;
        let overrides = Overrides::parse(parsed.fragment().unwrap_or(""));
        let token = self.draw(|rng| rng.sid(""));
        let mut left = overrides.retries;
        loop {
            let outcome = self.once(&parsed, method, form, &overrides, &token).await;
            if left > 0 && overrides.again(&outcome) {
                left -= 1;
                self.counters.retried.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            return match outcome {
                Ok(answer) if answer.status < 400 => Ok(answer),
                Ok(answer) => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    Err(format!("HTTP {}", answer.status))
                }
                Err(error) => {
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    Err(error.to_string())
                }
            };
        }
    }

    async fn once(
        &self,
        url: &Url,
        method: Method,
        form: &Form,
        overrides: &Overrides,
        token: &str,
    ) -> Result<Answer, reqwest::Error> {
        let mut signed = url.clone();
        signed.set_fragment(None);
        if method == Method::Get {
            signed.query_pairs_mut().extend_pairs(form);
        }
        let (target, host) = self.route(&signed);
        let request = match method {
            Method::Get => self.http.get(target),
            Method::Post => self.http.post(target).form(form),
        };
        let none = Form::new();
        let covered = if method == Method::Get { &none } else { form };
        let mut request = request
            .header(
                "X-Twilio-Signature",
                sign(&self.auth_token, signed.as_str(), covered),
            )
            .header("I-Twilio-Idempotency-Token", token)
            .header("User-Agent", "TwilioProxy/1.1")
            .timeout(Duration::from_millis(
                overrides
                    .total_ms
                    .min(overrides.connect_ms + overrides.read_ms),
            ));
        if let Some(host) = host {
            request = request
                .header(HOST, host)
                .header("X-Forwarded-Proto", signed.scheme());
        }
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let response = request.send().await?;
        let status = response.status().as_u16();
        let kind = response.headers().get(CONTENT_TYPE);
        let content_type = kind.and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let body = response.text().await?;
        self.counters
            .latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(began.elapsed());
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }

    /// Where a public URL is really served, and the `Host` it is to be asked for.
    pub(super) fn route(&self, url: &Url) -> (Url, Option<String>) {
        self.reach
            .as_ref()
            .and_then(|reach| reach.redirect(url))
            .unwrap_or((url.clone(), None))
    }

    pub(super) fn sign_upgrade(&self, url: &str) -> String {
        sign(&self.auth_token, url, &[])
    }

    pub(super) fn draw<T>(&self, f: impl FnOnce(&mut Rng) -> T) -> T {
        f(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A callback whose answer is ignored. Sent in order by one task per call, unless a fault says
/// otherwise: a delayed or doubled one goes its own way.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    pub(super) url: String,
    pub(super) method: Method,
    pub(super) form: Form,
}

impl Callback {
    pub(super) fn post(url: &str, form: Form) -> Self {
        Self {
            url: url.to_owned(),
            method: Method::Post,
            form,
        }
    }
}

/// Sends one callback with the configured faults.
pub(super) async fn send(poster: &std::sync::Arc<Poster>, tasks: &Tasks, callback: Callback) {
    let faults = poster.faults;
    let (double, late) = poster.draw(|rng| {
        let double = rng.chance(faults.webhook_duplicate_pct);
        let late = rng
            .chance(faults.webhook_late_pct)
            .then(|| rng.between(faults.webhook_late_ms / 4, faults.webhook_late_ms));
        (double, late)
    });
    if double {
        poster.counters.duplicated.fetch_add(1, Ordering::Relaxed);
        let wait = poster.draw(|rng| rng.between(0, 400));
        apart(poster, tasks, callback.clone(), wait);
    }
    if let Some(wait) = late {
        poster.counters.delayed.fetch_add(1, Ordering::Relaxed);
        apart(poster, tasks, callback, wait);
    } else if let Err(error) = poster
        .fetch(&callback.url, callback.method, &callback.form)
        .await
    {
        tracing::debug!(%error, "simulated carrier: callback failed");
    }
}

fn apart(poster: &std::sync::Arc<Poster>, tasks: &Tasks, callback: Callback, wait_ms: u64) {
    let (poster, token) = (std::sync::Arc::clone(poster), tasks.token().clone());
    tasks.spawn("simulated late callback", async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {
                let _ = poster.fetch(&callback.url, callback.method, &callback.form).await;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::Overrides;

    #[test]
    fn retry_overrides_are_read_from_the_fragment() {
        let none = Overrides::parse("");
        assert_eq!(none, Overrides::default());
        let all = Overrides::parse("rc=3&rp=all");
        assert!(all.retries == 3 && all.on_4xx && all.on_5xx && all.on_connect && all.on_read);
        let some = Overrides::parse("ct=50&rt=99999&rc=9&rp=ct,5xx&e=ashburn");
        assert_eq!(
            (some.connect_ms, some.read_ms, some.retries),
            (100, 15_000, 5)
        );
        assert!(some.on_5xx && some.on_connect && !some.on_4xx && !some.on_read);
    }
}
