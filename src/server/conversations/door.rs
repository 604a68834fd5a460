//! The way of one webhook: proof, reading, keeping, answer. The body is judged and taken apart while
//! it comes in; nothing of it counts before the proof over all of it has held.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde_json::json;

use crate::call::text::log_word;
use crate::engine::PostError;
use crate::providers::elevenlabs::{
    AudioSplit, ConversationEvent, EventError, EventKind, SIGNATURE_HEADERS, SignatureCheck,
    SignatureVerdict, VENDOR, read_event,
};
use crate::providers::vendor::{WebhookVerdict, content_key};

use super::super::carriers::{WebhookEntry, mark_of};
use super::super::guard::Peer;
use super::super::state::App;
use super::audio::Sink;
use super::desk::{Fate, Taken};
use super::sources::Source;

/// Everything of an event but its audio.
const FIELDS_MAX: usize = 8 * 1024 * 1024;
/// The next piece of a body must come within this.
const CHUNK_WITHIN: Duration = Duration::from_secs(10);
/// A whole body must be here within this.
const BODY_WITHIN: Duration = Duration::from_secs(120);

/// Takes one webhook and answers it.
pub(super) async fn take(
    app: Arc<App>,
    path: &'static str,
    most: u64,
    request: Request,
) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let (parts, body) = request.into_parts();
    let mut visit = Visit {
        app,
        path,
        most,
        headers: parts.headers,
        word: String::new(),
        advice: None,
    };
    let (verdict, response) = match visit.answer(body).await {
        Ok(answered) => answered,
        Err(refused) => (refused.verdict, refused.response()),
    };
    visit.note(verdict, &response, peer);
    response
}

/// Why a webhook is not taken, in the few words its sender is told.
#[derive(Clone, Copy, Debug)]
struct Refused {
    verdict: WebhookVerdict,
    status: StatusCode,
    error: &'static str,
}

impl Refused {
    fn response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.error }))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let again = HeaderValue::from_static("2");
            response.headers_mut().insert(header::RETRY_AFTER, again);
        }
        response
    }
}

/// One webhook on its way.
struct Visit {
    app: Arc<App>,
    path: &'static str,
    most: u64,
    headers: HeaderMap,
    /// The type of the event, once it is read.
    word: String,
    advice: Option<String>,
}

/// A body that has come in whole.
struct Received {
    fields: Vec<u8>,
    audio: Option<Sink>,
    proof: WebhookVerdict,
}

impl Visit {
    async fn answer(&mut self, body: Body) -> Result<(WebhookVerdict, Response), Refused> {
        let check = self.proof()?;
        let received = match tokio::time::timeout(BODY_WITHIN, self.receive(check, body)).await {
            Ok(received) => received?,
            Err(_) => return Err(too_slow()),
        };
        let event = read_event(&received.fields).map_err(|error| Refused {
            verdict: WebhookVerdict::Malformed,
            status: StatusCode::BAD_REQUEST,
            error: match error {
                EventError::NotJson => "the body is not JSON",
                EventError::NotAnObject => "the body is not a JSON object",
                EventError::NoType => "the event has no type",
            },
        })?;
        self.word.clone_from(&event.word);
        let key = self.key(&event, &received);
        let mut fate = Fate::ToldBefore;
        if !self.app.seen.contains(&key) {
            let taken = match self.keep(&event, &key, received.audio).await {
                Ok(taken) => taken,
                Err(error) => return Err(not_kept(&error)),
            };
            self.app.seen.insert(&key);
            fate = taken.fate;
            if taken.mapped {
                tracing::info!(
                    conversation = event.conversation_id.as_deref().map(log_word).as_deref(),
                    call = taken.call.map(tracing::field::display),
                    lead = taken.lead.as_deref().map(log_word).as_deref(),
                    "conversation mapped"
                );
            }
        }
        let answer = Json(json!({
            "success": true,
            "message": "Conversation event processed successfully",
            "eventType": event.word,
        }));
        let verdict = match fate {
            Fate::ToldBefore => WebhookVerdict::Duplicate,
            Fate::Apart => {
                let advice = "it names another lead than its conversation's: kept apart, for tokens \
                              that see every lead; mend the sender's lead_id";
                self.advice = Some(advice.into());
                WebhookVerdict::OtherLead
            }
            Fate::Kept => received.proof,
        };
        Ok((verdict, answer.into_response()))
    }

    /// Begins to judge the signature; `None` where signatures are switched off.
    fn proof(&mut self) -> Result<Option<SignatureCheck>, Refused> {
        if self.app.settings.insecure_skip_signatures {
            self.advice = Some("signatures are switched off: anybody can send this".into());
            return Ok(None);
        }
        let Some(secret) = &self.app.conversation_settings.webhook_secret else {
            self.advice = Some("set elevenlabs.webhook_secret".into());
            return Err(Refused {
                verdict: WebhookVerdict::NotConfigured,
                status: StatusCode::SERVICE_UNAVAILABLE,
                error: "this webhook cannot be checked yet",
            });
        };
        let given = SIGNATURE_HEADERS
            .iter()
            .find_map(|name| self.headers.get(*name)?.to_str().ok());
        let now = self.app.core.clock.now().timestamp();
        let now = u64::try_from(now).unwrap_or(0);
        match SignatureCheck::begin(given, secret, now) {
            Ok(check) => Ok(Some(check)),
            Err(verdict) => Err(self.unproven(verdict)),
        }
    }

    fn unproven(&mut self, verdict: SignatureVerdict) -> Refused {
        let verdict = match verdict {
            SignatureVerdict::Missing => WebhookVerdict::MissingSignature,
            SignatureVerdict::Malformed => WebhookVerdict::MalformedSignature,
            SignatureVerdict::Stale { late_s } => {
                self.advice = Some(skew(late_s));
                WebhookVerdict::ClockSkew
            }
            SignatureVerdict::Valid | SignatureVerdict::Mismatch => WebhookVerdict::WrongSecret,
        };
        Refused {
            verdict,
            status: StatusCode::UNAUTHORIZED,
            error: "invalid signature",
        }
    }

    async fn receive(
        &mut self,
        mut check: Option<SignatureCheck>,
        body: Body,
    ) -> Result<Received, Refused> {
        let declared = self.headers.get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > self.most) {
            return Err(too_big());
        }
        let mut split = AudioSplit::new(FIELDS_MAX);
        let mut sink = None;
        let mut sound = Vec::new();
        let mut length = 0;
        let mut chunks = body.into_data_stream();
        loop {
            let chunk: Bytes = match tokio::time::timeout(CHUNK_WITHIN, chunks.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(_))) => return Err(too_big()),
                Ok(None) => break,
                Err(_) => return Err(too_slow()),
            };
            length += chunk.len() as u64;
            if length > self.most {
                return Err(too_big());
            }
            if let Some(check) = &mut check {
                check.update(&chunk);
            }
            split.push(&chunk, &mut sound).map_err(|_| too_big())?;
            if !sound.is_empty() {
                if sink.is_none() {
                    sink = Some(
                        Sink::open(&self.app)
                            .await
                            .map_err(|error| not_kept(&error))?,
                    );
                }
                if let Some(sink) = &mut sink {
                    sink.write(&sound).await.map_err(|error| not_kept(&error))?;
                }
                sound.clear();
            }
        }
        let proof = match check.map(SignatureCheck::finish) {
            None => WebhookVerdict::Unchecked,
            Some(SignatureVerdict::Valid) => WebhookVerdict::Valid,
            Some(verdict) => return Err(self.unproven(verdict)),
        };
        Ok(Received {
            fields: split.into_fields(),
            audio: sink,
            proof,
        })
    }

    /// Same for every delivery of the same event. Bodies without a time or number of their own may
    /// say the same thing twice; then the time of signing tells them apart.
    fn key(&self, event: &ConversationEvent, received: &Received) -> String {
        let signed = SIGNATURE_HEADERS
            .iter()
            .find_map(|name| self.headers.get(*name)?.to_str().ok())
            .unwrap_or_default();
        let beside = if event.is_marked || event.kind.is_official() {
            ""
        } else {
            signed
        };
        let sum = content_key(beside, &received.fields);
        format!("{VENDOR}/{sum}")
    }

    /// Puts the event where it belongs and returns once it is on disk.
    async fn keep(
        &self,
        event: &ConversationEvent,
        key: &str,
        audio: Option<Sink>,
    ) -> Result<Taken, PostError> {
        let core = &self.app.core;
        let work = async {
            let taken = self
                .app
                .conversations
                .take(core, Source::Webhook, event)
                .await?;
            if let (Some(audio), Some(call), EventKind::Audio) = (audio, taken.call, &event.kind) {
                audio.keep(&self.app, call, event).await?;
            }
            // Words said twice would be written twice: unlike statuses, nothing tells them apart.
            core.journal.mark(mark_of(key))?;
            core.journal.flush().await?;
            Ok(taken)
        };
        tokio::time::timeout(self.app.settings.webhook_wait, work)
            .await
            .unwrap_or(Err(PostError::Full))
    }

    fn note(&self, verdict: WebhookVerdict, response: &Response, peer: Option<Peer>) {
        let status = response.status();
        let word = log_word(&self.word);
        if status.is_success() {
            tracing::debug!(path = self.path, kind = %word, verdict = verdict.as_str(), "webhook received");
        } else if super::super::carriers::may_log_refusal() {
            tracing::warn!(path = self.path, kind = %word, verdict = verdict.as_str(),
                advice = self.advice.as_deref().unwrap_or_default(), "webhook received");
        }
        self.app.webhooks.push(WebhookEntry {
            at: self.app.core.clock.now(),
            carrier: VENDOR,
            path: self.path.to_owned(),
            verdict,
            advice: self.advice.clone(),
            url: self.path.to_owned(),
            peer: peer.map_or_else(String::new, |peer| peer.ip.to_string()),
            status: status.as_u16(),
        });
    }
}

/// What a time of signing that is too far from ours may mean.
fn skew(late_s: i64) -> String {
    if late_s < 0 {
        let ahead = late_s.unsigned_abs();
        return format!(
            "signed {ahead} s from now: set this machine's clock (NTP), or the sender's"
        );
    }
    format!(
        "signed {late_s} s ago: an old delivery sent again, or this machine's clock is ahead (NTP)"
    )
}

fn too_big() -> Refused {
    Refused {
        verdict: WebhookVerdict::Oversized,
        status: StatusCode::PAYLOAD_TOO_LARGE,
        error: "the body is too big",
    }
}

fn too_slow() -> Refused {
    Refused {
        verdict: WebhookVerdict::Oversized,
        status: StatusCode::REQUEST_TIMEOUT,
        error: "the body is too slow",
    }
}

fn not_kept(error: &PostError) -> Refused {
    tracing::warn!(%error, "a conversation event could not be kept");
    Refused {
        verdict: WebhookVerdict::NotKept,
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "this cannot be kept now; send it again",
    }
}
