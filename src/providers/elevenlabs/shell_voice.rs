//! Speech of given words in an agent's own voice.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::engine::Speaker;
use crate::providers::shell::{Http, base_url};
use crate::providers::speech::shell::accepted;
use crate::providers::speech::{ANSWER_BYTES_MAX, cut};

use super::ElevenLabsSettings;

/// ElevenLabs' voice of one agent. Cheap to clone.
#[derive(Clone)]
pub struct ElevenLabsVoice {
    http: Http,
    base: Arc<str>,
    key: crate::call::Secret,
    agent_id: Arc<str>,
    /// The agent's configured voice, else the one the vendor names for it, asked once.
    voice: Arc<OnceCell<String>>,
}

impl fmt::Debug for ElevenLabsVoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElevenLabsVoice")
            .field("agent_id", &self.agent_id)
            .finish_non_exhaustive()
    }
}

impl ElevenLabsVoice {
    /// `None` without a key: the vendor makes speech for its customers only.
    ///
    /// # Errors
    /// The setting that is wrong.
    pub fn new(
        settings: &ElevenLabsSettings,
        agent_id: &str,
        voice: Option<&str>,
    ) -> Result<Option<Self>, String> {
        let Some(key) = settings.api_key.clone() else {
            return Ok(None);
        };
        let base =
            base_url(&settings.api_base).map_err(|error| format!("elevenlabs.api_base {error}"))?;
        Ok(Some(Self {
            http: Http::new(&base).map_err(|error| error.to_string())?,
            base: base.into(),
            key,
            agent_id: agent_id.into(),
            voice: Arc::new(OnceCell::new_with(voice.map(str::to_owned))),
        }))
    }

    async fn ask_voice(&self) -> Result<String, String> {
        let url = format!("{}/v1/convai/agents/{}", self.base, self.agent_id);
        let build = || {
            let request = self.http.client().get(&url);
            request.header("xi-api-key", self.key.expose())
        };
        let answer = self
            .http
            .send_retrying(build, 1024 * 1024)
            .await
            .map_err(|failure| failure.to_string())?;
        let agent: Value =
            serde_json::from_slice(&accepted(answer)?).map_err(|error| error.to_string())?;
        agent
            .pointer("/conversation_config/tts/voice_id")
            .and_then(Value::as_str)
            .filter(|voice| is_voice(voice))
            .map(str::to_owned)
            .ok_or_else(|| "the vendor names no voice of this agent; set one".to_owned())
    }

    async fn speak_now(&self, text: &str) -> Result<Bytes, String> {
        let voice = self.voice.get_or_try_init(|| self.ask_voice()).await?;
        let url = format!("{}/v1/text-to-speech/{voice}", self.base);
        let body = json!({"text": cut(text), "model_id": "eleven_flash_v2_5"});
        let build = || {
            let request = self.http.client().post(&url);
            request
                .query(&[("output_format", "ulaw_8000")])
                .header("xi-api-key", self.key.expose())
                .json(&body)
        };
        let answer = self
            .http
            .send_retrying(build, ANSWER_BYTES_MAX)
            .await
            .map_err(|failure| failure.to_string())?;
        let audio = accepted(answer)?;
        if audio.is_empty() {
            return Err("the service made no sound".to_owned());
        }
        Ok(audio)
    }
}

impl Speaker for ElevenLabsVoice {
    fn speak(&self, text: String) -> BoxFuture<'static, Result<Bytes, String>> {
        let this = self.clone();
        async move { this.speak_now(&text).await }.boxed()
    }
}

/// Ids go into a path.
fn is_voice(voice: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&voice.len()) && voice.bytes().all(plain)
}
