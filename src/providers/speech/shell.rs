//! Asks the speech services. Keys go to the configured host only.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::call::text::clean;
use crate::engine::Speaker;
use crate::providers::shell::{Http, HttpAnswer, base_url};

use super::{ANSWER_BYTES_MAX, SpeechSettings, from_wav, request};

/// A service that speaks OpenAI's REST. Cheap to clone.
#[derive(Clone)]
pub struct SpeechService {
    http: Http,
    url: Arc<str>,
    settings: Arc<SpeechSettings>,
}

impl fmt::Debug for SpeechService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeechService").finish_non_exhaustive()
    }
}

impl SpeechService {
    /// # Errors
    /// The setting that is wrong.
    pub fn new(settings: SpeechSettings) -> Result<Self, String> {
        let base = base_url(&settings.url).map_err(|error| format!("chat.tts.url {error}"))?;
        Ok(Self {
            http: Http::new(&base).map_err(|error| error.to_string())?,
            url: format!("{base}/audio/speech").into(),
            settings: Arc::new(settings),
        })
    }
}

impl Speaker for SpeechService {
    fn speak(&self, text: String) -> BoxFuture<'static, Result<Bytes, String>> {
        let this = self.clone();
        async move {
            let body = request(&this.settings, &text);
            let build = || {
                let request = this.http.client().post(this.url.as_ref()).json(&body);
                match &this.settings.api_key {
                    Some(key) => request.bearer_auth(key.expose()),
                    None => request,
                }
            };
            let answer = this
                .http
                .send_retrying(build, ANSWER_BYTES_MAX)
                .await
                .map_err(|failure| failure.to_string())?;
            from_wav(&accepted(answer)?)
        }
        .boxed()
    }
}

/// The body, or why there is none, in a few words for the operator.
pub(in crate::providers) fn accepted(answer: HttpAnswer) -> Result<Bytes, String> {
    if answer.is_success() {
        return Ok(answer.body);
    }
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = ["/error/message", "/detail/message", "/detail"]
        .into_iter()
        .find_map(|at| said.pointer(at).and_then(Value::as_str))
        .unwrap_or_default();
    let said: String = clean(said).chars().take(160).collect();
    Err(match (answer.status, said.as_str()) {
        (401 | 403, _) => "the speech service did not accept our key".to_owned(),
        (429, _) => "the speech service asks to slow down".to_owned(),
        (status, "") => format!("the speech service answered {status}"),
        (status, said) => format!("the speech service answered {status}: {said}"),
    })
}
