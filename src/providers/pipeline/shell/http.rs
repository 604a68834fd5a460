//! The three servers over HTTP: time limits, retries where doing a thing twice is harmless, and a
//! record of who keeps failing. Keys go to their own server and nowhere else.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::engine::random;
use crate::providers::shell::{Http, base_url};

use super::super::breaker::Breaker;
use super::super::chat::read_delta;
use super::super::speech::{self, SpeechReader};
use super::super::sse::Sse;
use super::super::talk::{In, Job};
use super::super::{Part, PartFailure, PartSettings, PipelineSettings, transcribe};
use super::PipelineSetupError;

/// A whole transcription.
const TRANSCRIBED_WITHIN: Duration = Duration::from_secs(15);
/// Until a server begins to answer: nobody waits longer on a telephone.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The whole of one streamed answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// Largest transcript document.
const TRANSCRIPT_MAX: usize = 1024 * 1024;
/// Largest audio of one piece: a minute at the highest rate.
const SPEECH_MAX: usize = 6 * 1024 * 1024;
/// Largest stream of one completion.
const COMPLETION_MAX: usize = 4 * 1024 * 1024;
/// Attempts of what is harmless to do twice, the first included.
const TRIES: u32 = 2;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
/// µ-law handed on in one go: a tenth of a second, so that the first sound is early.
const HANDED_ON: usize = 800;
/// Part of a server's error that is shown.
const REASON_MAX: usize = 160;

/// Where the results of one request go.
#[derive(Debug)]
pub(super) struct Told {
    job: Job,
    to: mpsc::Sender<In>,
}

impl Told {
    pub(super) fn new(job: Job, to: mpsc::Sender<In>) -> Self {
        Self { job, to }
    }

    async fn tell(&self, word: In) {
        // The conversation is gone, and so is this request in a moment.
        let _gone = self.to.send(word).await;
    }
}

/// One server.
struct Server {
    http: Http,
    url: String,
    headers: HeaderMap,
    model: Option<String>,
    breaker: Mutex<Breaker>,
}

/// The three servers of one agent.
pub(super) struct Parts {
    asr: Server,
    llm: Server,
    tts: Server,
    began: Instant,
    voice: Option<String>,
    fallback_line: String,
    /// Its sound, once it could be made.
    fallback: OnceLock<Bytes>,
}

impl Server {
    fn new(part: Part, settings: &PartSettings, path: &str) -> Result<Self, PipelineSetupError> {
        let base =
            base_url(&settings.url).map_err(|error| PipelineSetupError::Base(part.key(), error))?;
        let mut headers = HeaderMap::new();
        if let Some(key) = settings.api_key.as_ref().filter(|key| !key.is_empty()) {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| PipelineSetupError::Key(part.key()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self {
            http: Http::new(&base)?,
            url: format!("{base}{path}"),
            headers,
            model: settings.model.clone(),
            breaker: Mutex::default(),
        })
    }

    fn post(&self, within: Duration) -> RequestBuilder {
        self.http
            .client()
            .post(&self.url)
            .headers(self.headers.clone())
            .timeout(within)
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    pub(super) fn new(settings: &PipelineSettings) -> Result<Self, PipelineSetupError> {
        Ok(Self {
            asr: Server::new(Part::Asr, &settings.asr, "/audio/transcriptions")?,
            llm: Server::new(Part::Llm, &settings.llm, "/chat/completions")?,
            tts: Server::new(Part::Tts, &settings.tts, "/audio/speech")?,
            began: Instant::now(),
            voice: settings.voice.clone(),
            fallback_line: settings.fallback_line.clone(),
            fallback: OnceLock::new(),
        })
    }

    fn server(&self, part: Part) -> &Server {
        match part {
            Part::Asr => &self.asr,
            Part::Llm => &self.llm,
            Part::Tts => &self.tts,
        }
    }

    /// Whether this part failed too often and is left alone at present.
    pub(super) fn is_resting(&self, part: Part) -> bool {
        let mut copy = *self.server(part).breaker();
        !copy.may_try(self.began.elapsed())
    }

    /// Does `work`, at most `tries` times, and keeps the record.
    async fn attempt<T, F: Future<Output = Result<T, PartFailure>>>(
        &self,
        part: Part,
        tries: u32,
        mut work: impl FnMut() -> F,
    ) -> Result<T, PartFailure> {
        let mut tried = 0;
        loop {
            let may = self.server(part).breaker().may_try(self.began.elapsed());
            if !may {
                return Err(PartFailure::Resting);
            }
            let result = work().await;
            tried += 1;
            let Err(failure) = &result else {
                self.server(part).breaker().succeeded();
                return result;
            };
            metrics::counter!("wallboard_pipeline_failures_total", "part" => part.key())
                .increment(1);
            self.server(part).breaker().failed(self.began.elapsed());
            if tried >= tries || !is_passing(failure) {
                return result;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    pub(super) async fn transcribe(
        self: Arc<Self>,
        told: Told,
        pcm: Vec<u8>,
        language: Option<String>,
    ) {
        let began = Instant::now();
        let boundary = format!("wb{:032x}", u128::from_le_bytes(random()));
        let server = &self.asr;
        let form = transcribe::form(
            &pcm,
            server.model.as_deref(),
            language.as_deref(),
            &boundary,
        );
        let body = Bytes::from(form.body);
        let result = self
            .attempt(Part::Asr, TRIES, async || {
                let request = server
                    .post(TRANSCRIBED_WITHIN)
                    .header(CONTENT_TYPE, &form.content_type)
                    .body(body.clone());
                let answer = server
                    .http
                    .send(request, TRANSCRIPT_MAX)
                    .await
                    .map_err(|failure| failed_to(&failure))?;
                if !answer.is_success() {
                    return Err(refusal(answer.status, &answer.body));
                }
                transcribe::read(&answer.body).map_err(PartFailure::Unreadable)
            })
            .await;
        took(Part::Asr, began);
        told.tell(In::Transcribed(told.job, result)).await;
    }

    pub(super) async fn complete(self: Arc<Self>, told: Told, body: Value) {
        let began = Instant::now();
        let server = &self.llm;
        // An answer costs money: asked again only if the question cannot have arrived.
        let asked = self
            .attempt(Part::Llm, TRIES, async || {
                begin(server.post(ANSWER_WITHIN).json(&body)).await
            })
            .await;
        let result = match asked {
            Ok(response) => {
                took(Part::Llm, began);
                let read = read_completion(response, &told).await;
                if read.is_err() {
                    self.llm.breaker().failed(self.began.elapsed());
                }
                read
            }
            Err(failure) => Err(failure),
        };
        told.tell(In::Answered(told.job, result)).await;
    }

    pub(super) async fn speak(self: Arc<Self>, told: Told, text: String, voice: Option<String>) {
        let began = Instant::now();
        let asked = self.ask_speech(&text, voice.as_deref()).await;
        let result = match asked {
            Ok(response) => {
                took(Part::Tts, began);
                let read = read_speech(response, &told).await;
                if read.is_err() {
                    self.tts.breaker().failed(self.began.elapsed());
                }
                read
            }
            Err(failure) => Err(failure),
        };
        told.tell(In::Voiced(told.job, result)).await;
    }

    async fn ask_speech(&self, text: &str, voice: Option<&str>) -> Result<Response, PartFailure> {
        let server = &self.tts;
        let body = speech::request(server.model.as_deref(), voice, text);
        self.attempt(Part::Tts, TRIES, async || {
            begin(server.post(ANSWER_WITHIN).json(&body)).await
        })
        .await
    }

    /// Says the line for when a part is down, from memory.
    pub(super) async fn speak_fallback(self: Arc<Self>, told: Told) {
        if self.fallback.get().is_none() {
            Arc::clone(&self).prepare_fallback().await;
        }
        let result = match self.fallback.get() {
            Some(ulaw) => {
                told.tell(In::Voice(told.job, ulaw.clone())).await;
                Ok(())
            }
            None => Err(PartFailure::Unreachable),
        };
        told.tell(In::Voiced(told.job, result)).await;
    }

    /// Makes the sound of that line while everything works.
    pub(super) async fn prepare_fallback(self: Arc<Self>) {
        if self.fallback.get().is_some() || self.fallback_line.trim().is_empty() {
            return;
        }
        let Ok(response) = self
            .ask_speech(&self.fallback_line, self.voice.as_deref())
            .await
        else {
            return;
        };
        let mut body = SpeechBody::new(response);
        let mut whole = Vec::new();
        let read = loop {
            match body.next().await {
                Ok(Some(ulaw)) => whole.extend_from_slice(&ulaw),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if read && !whole.is_empty() {
            // Another conversation may have been faster; either will do.
            let _first = self.fallback.set(Bytes::from(whole));
        }
    }
}

/// Sends and waits for the head of the answer.
async fn begin(request: RequestBuilder) -> Result<Response, PartFailure> {
    let sent = timeout(BEGINS_WITHIN, request.send()).await;
    let response = match sent {
        Err(_) => return Err(PartFailure::Timeout),
        Ok(Err(error)) if error.is_timeout() => return Err(PartFailure::Timeout),
        Ok(Err(error)) if error.is_connect() => return Err(PartFailure::Unreachable),
        Ok(Err(_)) => return Err(PartFailure::Unreadable("the connection broke".into())),
        Ok(Ok(response)) => response,
    };
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let mut response = response;
    let body = timeout(PAUSE_MAX, response.chunk()).await;
    let body = body.ok().and_then(Result::ok).flatten().unwrap_or_default();
    Err(refusal(status, &body))
}

/// The next piece; `None` at the end.
async fn piece(response: &mut Response) -> Result<Option<Bytes>, PartFailure> {
    match timeout(PAUSE_MAX, response.chunk()).await {
        Err(_) => Err(PartFailure::Timeout),
        Ok(Err(error)) if error.is_timeout() => Err(PartFailure::Timeout),
        Ok(Err(_)) => Err(PartFailure::Unreadable("the answer broke off".into())),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

async fn read_completion(mut response: Response, told: &Told) -> Result<(), PartFailure> {
    let mut sse = Sse::default();
    let mut read = 0;
    loop {
        let bytes = piece(&mut response).await?;
        read += bytes.as_ref().map_or(0, Bytes::len);
        if read > COMPLETION_MAX {
            return Err(PartFailure::Unreadable("an answer without end".into()));
        }
        let is_end = bytes.is_none();
        let found = match bytes {
            Some(bytes) => sse.push(&bytes),
            None => sse.end().into_iter().collect(),
        };
        for data in found {
            match read_delta(&data) {
                Ok(Some(delta)) => told.tell(In::Delta(told.job, delta)).await,
                Ok(None) => return Ok(()),
                Err(reason) => return Err(PartFailure::Unreadable(shown(&reason))),
            }
        }
        // Not every server writes a last word.
        if is_end {
            return Ok(());
        }
    }
}

/// Speech on its way, as µ-law.
struct SpeechBody {
    response: Response,
    reader: SpeechReader,
    ulaw: Vec<u8>,
    read: usize,
}

impl SpeechBody {
    fn new(response: Response) -> Self {
        Self {
            response,
            reader: SpeechReader::default(),
            ulaw: Vec::new(),
            read: 0,
        }
    }

    /// The next stretch; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, PartFailure> {
        while let Some(bytes) = piece(&mut self.response).await? {
            self.read += bytes.len();
            if self.read > SPEECH_MAX {
                return Err(PartFailure::Unreadable("speech without end".into()));
            }
            self.reader
                .push(&bytes, &mut self.ulaw)
                .map_err(PartFailure::Unreadable)?;
            if self.ulaw.len() >= HANDED_ON {
                return Ok(Some(Bytes::from(std::mem::take(&mut self.ulaw))));
            }
        }
        if self.read == 0 {
            return Err(PartFailure::Unreadable("no sound".into()));
        }
        let last = std::mem::take(&mut self.ulaw);
        Ok((!last.is_empty()).then(|| Bytes::from(last)))
    }
}

async fn read_speech(response: Response, told: &Told) -> Result<(), PartFailure> {
    let mut body = SpeechBody::new(response);
    while let Some(ulaw) = body.next().await? {
        told.tell(In::Voice(told.job, ulaw)).await;
    }
    Ok(())
}

fn failed_to(failure: &crate::providers::shell::HttpFailure) -> PartFailure {
    use crate::providers::shell::HttpFailure;
    match failure {
        HttpFailure::Connect => PartFailure::Unreachable,
        HttpFailure::Timeout => PartFailure::Timeout,
        HttpFailure::Broken => PartFailure::Unreadable("the answer broke off".into()),
        HttpFailure::TooLarge(_) => PartFailure::Unreadable("the answer is too large".into()),
    }
}

/// Whether a second attempt may go better, and cannot do harm: nothing was made of the first.
fn is_passing(failure: &PartFailure) -> bool {
    match failure {
        PartFailure::Unreachable | PartFailure::Busy => true,
        PartFailure::Refused { status, .. } => *status == 502 || *status == 503,
        PartFailure::Timeout | PartFailure::Unreadable(_) | PartFailure::Resting => false,
    }
}

fn refusal(status: u16, body: &[u8]) -> PartFailure {
    if status == 429 {
        return PartFailure::Busy;
    }
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let message = said
        .as_ref()
        .and_then(|said| said.pointer("/error/message").or_else(|| said.get("error")))
        .and_then(Value::as_str)
        .unwrap_or("no reason given");
    PartFailure::Refused {
        status,
        reason: shown(message),
    }
}

fn shown(text: &str) -> String {
    crate::call::text::clean_label(text)
        .chars()
        .take(REASON_MAX)
        .collect()
}

fn took(part: Part, began: Instant) {
    metrics::histogram!("wallboard_pipeline_seconds", "part" => part.key())
        .record(began.elapsed().as_secs_f64());
}
