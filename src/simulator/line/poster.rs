//! Requests a carrier makes to us: signed, with the connection overrides of the URL's fragment,
//! retried as they say, and with the faults of a bad day.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HOST};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use url::Url;

use crate::engine::Tasks;
use crate::simulator::rng::Rng;
use crate::simulator::socket::{self, Socket};
use crate::simulator::stats::Latencies;

use super::{Faults, Method, Reach};

/// Form fields in sending order.
pub(in crate::simulator) type Form = Vec<(String, String)>;
/// Headers a carrier adds to a request.
pub(in crate::simulator) type Headers = Vec<(&'static str, String)>;

/// What came back.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Answer {
    status: u16,
    pub(in crate::simulator) content_type: String,
    pub(in crate::simulator) body: String,
}

/// One carrier's habits: how it signs, how long it waits, what it takes for an answer.
pub(in crate::simulator) trait Habits: Send + Sync + std::fmt::Debug {
    fn limits(&self) -> Limits;

    /// What stays the same in all tries of one request.
    fn token(&self, _rng: &mut Rng) -> String {
        String::new()
    }

    /// The headers of one try. The form of a GET is in its URL already.
    fn headers(&self, tried: &Tried<'_>, rng: &mut Rng) -> Headers;

    /// The headers of a WebSocket upgrade.
    fn upgrade(&self, url: &str, rng: &mut Rng) -> Headers;

    /// Longest message its WebSocket takes, bytes.
    fn message_max(&self) -> usize;
}

/// One try of a request.
#[derive(Debug)]
pub(in crate::simulator) struct Tried<'a> {
    pub(in crate::simulator) method: Method,
    pub(in crate::simulator) url: &'a str,
    pub(in crate::simulator) form: &'a Form,
    pub(in crate::simulator) token: &'a str,
}

/// How long a carrier waits by default, and what satisfies it.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Limits {
    pub(in crate::simulator) connect_ms: u64,
    /// Both the default and the most that can be asked for.
    pub(in crate::simulator) read_ms: u64,
    /// The same for connecting and reading together, where the carrier has such a limit.
    pub(in crate::simulator) total_ms: Option<u64>,
    /// Whether an answer that does not come is asked for again.
    pub(in crate::simulator) again_on_read: bool,
    /// Status codes that are an answer.
    pub(in crate::simulator) answers: Range<u16>,
}

/// The limits and retries of one request, as overridden by `#ct=..&rt=..&tt=..&rc=..&rp=..`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Overrides {
    connect_ms: u64,
    read_ms: u64,
    total_ms: Option<u64>,
    retries: u32,
    on_4xx: bool,
    on_5xx: bool,
    on_connect: bool,
    on_read: bool,
}

impl Overrides {
    fn parse(fragment: &str, limits: &Limits) -> Self {
        let mut overrides = Self {
            connect_ms: limits.connect_ms,
            read_ms: limits.read_ms,
            total_ms: limits.total_ms,
            retries: 1,
            on_4xx: false,
            on_5xx: false,
            on_connect: true,
            on_read: limits.again_on_read,
        };
        for (key, value) in url::form_urlencoded::parse(fragment.as_bytes()) {
            match (&*key, value.parse::<u64>()) {
                ("ct", Ok(ms)) => overrides.connect_ms = ms.clamp(100, 10_000),
                ("rt", Ok(ms)) => overrides.read_ms = ms.clamp(100, limits.read_ms),
                ("tt", Ok(ms)) => {
                    overrides.total_ms = limits.total_ms.map(|most| ms.clamp(100, most));
                }
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

    fn within(&self) -> Duration {
        let both_ms = self.connect_ms + self.read_ms;
        Duration::from_millis(self.total_ms.map_or(both_ms, |total| total.min(both_ms)))
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
pub(in crate::simulator) struct Counters {
    pub(in crate::simulator) sent: AtomicU64,
    pub(in crate::simulator) retried: AtomicU64,
    pub(in crate::simulator) failed: AtomicU64,
    pub(in crate::simulator) duplicated: AtomicU64,
    pub(in crate::simulator) delayed: AtomicU64,
    pub(in crate::simulator) latency: Mutex<Latencies>,
}

#[derive(Debug)]
pub(in crate::simulator) struct Poster {
    http: reqwest::Client,
    habits: Box<dyn Habits>,
    reach: Option<Reach>,
    faults: Faults,
    rng: Mutex<Rng>,
    pub(in crate::simulator) counters: Counters,
}

impl Poster {
    pub(in crate::simulator) fn new(
        habits: Box<dyn Habits>,
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
        Ok(Self {
            http,
            habits,
            reach,
            faults,
            rng: Mutex::new(rng),
            counters: Counters::default(),
        })
    }

    /// One request with its retries. `Err` says what went wrong in words.
    pub(in crate::simulator) async fn fetch(
        &self,
        url: &str,
        method: Method,
        form: &Form,
    ) -> Result<Answer, String> {
        let parsed = Url::parse(url).map_err(|e| format!("{url:?}: {e}"))?;
        let limits = self.habits.limits();
        let overrides = Overrides::parse(parsed.fragment().unwrap_or(""), &limits);
        let token = self.draw(|rng| self.habits.token(rng));
        let mut left = overrides.retries;
        loop {
            let outcome = self.once(&parsed, method, form, &overrides, &token).await;
            if left > 0 && overrides.again(&outcome) {
                left -= 1;
                self.counters.retried.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            let failure = match outcome {
                Ok(answer) if limits.answers.contains(&answer.status) => return Ok(answer),
                Ok(answer) => format!("HTTP {}", answer.status),
                Err(error) => error.to_string(),
            };
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            return Err(failure);
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
        let tried = Tried {
            method,
            url: signed.as_str(),
            form,
            token,
        };
        let headers = self.draw(|rng| self.habits.headers(&tried, rng));
        let (target, host) = self.route(&signed);
        let mut request = match method {
            Method::Get => self.http.get(target),
            Method::Post => self.http.post(target).form(form),
        }
        .timeout(overrides.within());
        for (name, value) in headers {
            request = request.header(name, value);
        }
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

    /// Opens a stream's socket, signed.
    pub(in crate::simulator) async fn dial(&self, url: &str) -> Result<Socket, WsError> {
        let parsed =
            Url::parse(url).map_err(|e| WsError::Io(std::io::Error::other(e.to_string())))?;
        let (target, host) = self.route(&parsed);
        let mut request = target.as_str().into_client_request()?;
        for (name, value) in self.draw(|rng| self.habits.upgrade(url, rng)) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(&value))
            {
                request.headers_mut().insert(name, value);
            }
        }
        socket::open(request, host, self.habits.message_max()).await
    }

    /// Where a public URL is really served, and the `Host` it is to be asked for.
    fn route(&self, url: &Url) -> (Url, Option<String>) {
        self.reach
            .as_ref()
            .and_then(|reach| reach.redirect(url))
            .unwrap_or((url.clone(), None))
    }

    pub(in crate::simulator) fn draw<T>(&self, f: impl FnOnce(&mut Rng) -> T) -> T {
        f(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A callback whose answer is ignored. Sent in order by one task per call, unless a fault says
/// otherwise: a delayed or doubled one goes its own way.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Callback {
    pub(in crate::simulator) url: String,
    pub(in crate::simulator) method: Method,
    pub(in crate::simulator) form: Form,
}

impl Callback {
    pub(in crate::simulator) fn post(url: &str, form: Form) -> Self {
        Self {
            url: url.to_owned(),
            method: Method::Post,
            form,
        }
    }
}

/// Sends a call's callbacks one after the other until its end of the queue is dropped.
pub(in crate::simulator) fn deliver(
    poster: &Arc<Poster>,
    tasks: &Tasks,
    mut outbox: mpsc::Receiver<Callback>,
) {
    let (poster, tasks) = (Arc::clone(poster), tasks.clone());
    tasks.clone().spawn("simulated callbacks", async move {
        loop {
            let callback = tokio::select! {
                biased;
                () = tasks.token().cancelled() => return,
                next = outbox.recv() => match next {
                    Some(callback) => callback,
                    None => return,
                },
            };
            send(&poster, &tasks, callback).await;
        }
    });
}

/// Sends one callback with the configured faults.
async fn send(poster: &Arc<Poster>, tasks: &Tasks, callback: Callback) {
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

fn apart(poster: &Arc<Poster>, tasks: &Tasks, callback: Callback, wait_ms: u64) {
    let (poster, token) = (Arc::clone(poster), tasks.token().clone());
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
    use super::{Limits, Overrides};

    fn limits(total_ms: Option<u64>) -> Limits {
        Limits {
            connect_ms: 5_000,
            read_ms: 15_000,
            total_ms,
            again_on_read: false,
            answers: 200..400,
        }
    }

    #[test]
    fn retry_overrides_are_read_from_the_fragment() {
        let read = |text: &str| Overrides::parse(text, &limits(Some(15_000)));
        let none = read("");
        assert!(none.retries == 1 && none.on_connect && !none.on_read && !none.on_5xx);
        let all = read("rc=3&rp=all");
        assert!(all.retries == 3 && all.on_4xx && all.on_5xx && all.on_connect && all.on_read);
        let some = read("ct=50&rt=99999&tt=700&rc=9&rp=ct,5xx&e=ashburn");
        assert_eq!(
            (some.connect_ms, some.read_ms, some.retries),
            (100, 15_000, 5)
        );
        assert_eq!(some.within().as_millis(), 700);
        assert!(some.on_5xx && some.on_connect && !some.on_4xx && !some.on_read);
    }

    #[test]
    fn a_carrier_without_a_total_limit_waits_for_both() {
        let some = Overrides::parse("ct=200&rt=300&tt=100", &limits(None));
        assert_eq!(some.within().as_millis(), 500);
    }
}
