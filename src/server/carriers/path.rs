//! The way of every webhook: size and time → proof → reading → told before? → kept → answered.
//! Nothing slow happens before the answer, and nothing is answered 2xx that is not on disk.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::call::{CallFacts, CallId, ErrorCode, Fact, StoreLevel};
use crate::engine::{PostError, Target};
use crate::providers::shell::target;
use crate::providers::vendor::{Base, CarrierDesk, Hook, Judgement, WebhookVerdict};
use crate::providers::{News, Subject};

use super::super::error::ApiError;
use super::super::guard::Peer;
use super::super::state::App;
use super::{WebhookEntry, base, documents, mark_of};

/// Largest body of a webhook.
const BODY_MAX: usize = 256 * 1024;
/// A body must be whole within this.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Refusals in the log: one a second, the rest is only counted.
static REFUSALS_LOGGED: LazyLock<DefaultDirectRateLimiter> =
    LazyLock::new(|| RateLimiter::direct(Quota::per_second(NonZeroU32::MIN)));

/// Whether there is room for another refusal in the log; the rest is only counted.
pub(in crate::server) fn may_log_refusal() -> bool {
    REFUSALS_LOGGED.check().is_ok()
}

/// Takes one webhook and answers it.
pub(super) async fn take(
    State(app): State<Arc<App>>,
    desk: Arc<dyn CarrierDesk>,
    path: &'static str,
    request: Request,
) -> Response {
    let peer = *request.extensions().get::<Peer>().unwrap_or(&Peer {
        ip: [0, 0, 0, 0].into(),
        through_proxy: false,
    });
    let (parts, body) = request.into_parts();
    let ours = base::of(&app.settings, peer, &parts.uri, &parts.headers);
    let path_and_query = parts
        .uri
        .path_and_query()
        .map_or(path, |whole| whole.as_str());
    let url = ours.http(path_and_query);
    let seen = base::as_seen(&app.settings, peer, &parts.uri, &parts.headers);
    let mut visit = Visit {
        app,
        desk,
        path,
        base: ours,
        other_urls: vec![seen.http(path_and_query)],
        url,
        peer,
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        advice: None,
    };
    let (verdict, response) = visit.answer(body).await;
    visit.note(verdict, &response);
    response
}

/// One webhook on its way.
struct Visit {
    app: Arc<App>,
    desk: Arc<dyn CarrierDesk>,
    path: &'static str,
    base: Base,
    url: String,
    other_urls: Vec<String>,
    peer: Peer,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    advice: Option<String>,
}

impl Visit {
    async fn answer(&mut self, body: Body) -> (WebhookVerdict, Response) {
        if !self.app.settings.insecure_skip_signatures {
            if let Some(reason) = self.desk.unready() {
                self.advice = Some(reason.to_owned());
                let refusal = ApiError::new(
                    ErrorCode::Unavailable,
                    format!("{} webhooks cannot be checked yet", self.desk.carrier()),
                    reason,
                );
                return (WebhookVerdict::NotConfigured, refusal.into_response());
            }
        }
        let body = match tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_MAX)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return refuse_body(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => return refuse_body(StatusCode::REQUEST_TIMEOUT),
        };
        let judgement = self.judge(&body);
        self.advice = judgement.advice.map(str::to_owned);
        if !matches!(
            judgement.verdict,
            WebhookVerdict::Valid | WebhookVerdict::Unchecked
        ) {
            let refusal = ApiError::new(
                ErrorCode::Forbidden,
                "the signature does not fit",
                "see `wallboard webhooks` on the backend",
            );
            return (judgement.verdict, refusal.into_response());
        }
        self.take_proven(&body, judgement.verdict).await
    }

    fn hook<'a>(&'a self, body: &'a Bytes) -> Hook<'a> {
        Hook {
            path: self.path,
            url: &self.url,
            other_urls: &self.other_urls,
            headers: &self.headers,
            is_get: self.method == Method::GET,
            query: self.uri.query().unwrap_or_default(),
            body,
        }
    }

    fn judge(&self, body: &Bytes) -> Judgement {
        if self.app.settings.insecure_skip_signatures {
            return Judgement {
                verdict: WebhookVerdict::Unchecked,
                advice: Some("signatures are switched off: anybody can send this"),
            };
        }
        self.desk.judge(&self.hook(body))
    }

    /// Reads, keeps and answers what is known to come from the carrier.
    async fn take_proven(
        &mut self,
        body: &Bytes,
        proof: WebhookVerdict,
    ) -> (WebhookVerdict, Response) {
        let reading = match self.desk.read(&self.hook(body), &self.app.core.switchboard) {
            Ok(reading) => reading,
            Err(reason) => {
                self.advice = Some(reason.clone());
                let refusal = ApiError::invalid(reason, "look at the carrier's documentation");
                return (WebhookVerdict::Malformed, refusal.into_response());
            }
        };
        let key = format!("{}{}/{}", self.desk.carrier(), self.path, reading.key);
        let told_before = self.app.seen.contains(&key);
        if !told_before {
            if let Err(error) = self.keep(&key, reading.news, reading.ours).await {
                self.advice = Some(error.to_string());
                return (
                    WebhookVerdict::NotKept,
                    ApiError::from(error).into_response(),
                );
            }
            self.app.seen.insert(&key);
        }
        // A document is made anew even for a repeated request: the first one did not arrive.
        let document = documents::document(&self.app, &self.desk, &self.base, reading.wanted).await;
        let response = match document {
            Some(text) => {
                ([(header::CONTENT_TYPE, self.desk.document_type())], text).into_response()
            }
            None => StatusCode::NO_CONTENT.into_response(),
        };
        let verdict = if told_before {
            WebhookVerdict::Duplicate
        } else {
            proof
        };
        (verdict, response)
    }

    /// Posts the news and returns once they are on disk.
    async fn keep(
        &self,
        key: &str,
        news: Vec<News>,
        ours: Option<CallId>,
    ) -> Result<(), PostError> {
        let switchboard = &self.app.core.switchboard;
        let work = async {
            for mut one in news {
                if let Subject::Texted { carrier, phone, to } = &one.subject {
                    let core = &self.app.core;
                    let lead = self.app.conversations.whose(core, phone).await;
                    let route = CallFacts {
                        carrier: (*carrier).to_owned(),
                        from: phone.clone(),
                        to: to.clone(),
                        ..CallFacts::default()
                    };
                    let lead = lead.unwrap_or_else(|| phone.clone());
                    address(&mut one.facts, &lead, core.plans.store_of(&route));
                }
                match switchboard
                    .post(self.target_of(one.subject, ours), one.facts)
                    .await
                {
                    Ok(_) => {}
                    Err(PostError::NoSuchCall) => {
                        metrics::counter!("wallboard_webhooks_unknown_call_total").increment(1);
                    }
                    Err(error) => return Err(error),
                }
            }
            // After a restart the same again is no news either: a text would be told twice.
            self.app.core.journal.mark(mark_of(key))?;
            self.app.core.journal.flush().await?;
            Ok(())
        };
        tokio::time::timeout(self.app.settings.webhook_wait, work)
            .await
            .unwrap_or(Err(PostError::Full))
    }

    /// The switchboard's target for a vendor's subject. `ours` is our own id in the URL of a call
    /// we placed: news may come before the carrier has told us its id.
    fn target_of(&self, subject: Subject, ours: Option<CallId>) -> Target {
        match (target(subject), ours) {
            (
                Target::Carrier {
                    facts,
                    status,
                    started_at: _,
                },
                Some(call),
            ) if self.was_placed(call, &facts) => Target::Placed {
                call,
                facts,
                status,
            },
            (target, _) => target,
        }
    }

    fn was_placed(&self, call: CallId, facts: &CallFacts) -> bool {
        self.app.core.switchboard.read(|board| {
            board.get(call).is_some_and(|known| {
                let id = &known.facts.carrier_call_id;
                known.facts.carrier == facts.carrier
                    && (id.is_none() || *id == facts.carrier_call_id)
            })
        })
    }

    fn note(&self, verdict: WebhookVerdict, response: &Response) {
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            if may_log_refusal() {
                tracing::warn!(
                    carrier = self.desk.carrier(),
                    path = self.path,
                    verdict = verdict.as_str(),
                    advice = self.advice.as_deref().unwrap_or_default(),
                    "a webhook was refused"
                );
            }
        }
        self.app.webhooks.push(WebhookEntry {
            at: self.app.core.clock.now(),
            carrier: self.desk.carrier(),
            path: self.path.to_owned(),
            verdict,
            advice: self.advice.clone(),
            url: self.url.split('?').next().unwrap_or_default().to_owned(),
            peer: self.peer.ip.to_string(),
            status: status.as_u16(),
        });
    }
}

/// Says whose a message is, and how much of it the route of a call from there would keep. One from
/// a number nobody knows is kept under that number.
fn address(facts: &mut [Fact], lead: &str, store: StoreLevel) {
    for fact in facts {
        if let Fact::LeadMessaged { message } = fact {
            lead.clone_into(&mut message.lead_id);
            message.store = store;
        }
    }
}

fn refuse_body(status: StatusCode) -> (WebhookVerdict, Response) {
    let refusal = ApiError::invalid("the body is too big or too slow", "at most 256 KiB in 10 s");
    (
        WebhookVerdict::Oversized,
        refusal.with_status(status).into_response(),
    )
}
