//! A whole backend in the test's process: core, memory journal, server on a free port.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use wallboard::bridge::AgentBrief;
use wallboard::call::{Call, Grant, Secret};
use wallboard::engine::{
    AgentConnection, AgentDialer, AgentError, AgentPlan, Clock, Core, CoreParts, Fallback,
    MemoryJournal, Plans, Tasks,
};
use wallboard::providers::elevenlabs::sign_webhook;
use wallboard::providers::plivo::{PlivoDesk, PlivoSettings};
use wallboard::providers::twilio::{TwilioDesk, TwilioSettings, sign};
use wallboard::server::{
    Auth, CarrierRoutes, ChatDesk, ConversationSettings, Server, ServerParts, ServerSettings,
    TokenStore,
};
use wallboard::store::{self, Recordings};

pub const PUBLIC: &str = "https://wb.example.com";
pub const TWILIO_TOKEN: &str = "wallboard_test_token_0123456789ab";
pub const ELEVENLABS_SECRET: &str = "wsec_9f3c1d7b2a5e4f60817263544938271f";
pub const ADMIN: &str = "wb_test_admin_token";

/// An agent that never answers the phone.
#[derive(Debug)]
struct Silent;

impl AgentDialer for Silent {
    fn vendor(&self) -> &'static str {
        "elevenlabs"
    }

    fn connect(&self) -> BoxFuture<'static, Result<AgentConnection, AgentError>> {
        Box::pin(std::future::pending())
    }
}

pub struct Backend {
    pub core: Core,
    pub server: Server,
    pub journal: MemoryJournal,
    pub url: String,
    pub http: reqwest::Client,
    pub tokens: TokenStore,
    auth: Auth,
    _dir: tempfile::TempDir,
}

impl Backend {
    pub async fn start() -> Self {
        Self::start_with(|_| {}, |_| {}).await
    }

    /// With no secret for conversation webhooks.
    pub async fn start_open() -> Self {
        let no_secret = |parts: &mut ServerParts| {
            parts.conversations = ConversationSettings::default();
        };
        Self::build(|_| {}, |_| {}, no_secret).await
    }

    /// With a journal and recordings in `dir`. What `journal` shows is empty then.
    pub async fn start_on_disk(dir: &std::path::Path) -> Self {
        Self::start_with(
            |_| {},
            |parts| {
                let journal = store::open(dir, &parts.tasks, parts.clock).unwrap();
                parts.vault = Some(Arc::new(Recordings::new(journal.clone())));
                parts.journal = Arc::new(journal);
            },
        )
        .await
    }

    pub async fn start_with(
        settings: impl FnOnce(&mut ServerSettings),
        parts: impl FnOnce(&mut CoreParts),
    ) -> Self {
        Self::build(settings, parts, |_| {}).await
    }

    pub async fn build(
        settings: impl FnOnce(&mut ServerSettings),
        parts: impl FnOnce(&mut CoreParts),
        server: impl FnOnce(&mut ServerParts),
    ) -> Self {
        let _set_already = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let journal = MemoryJournal::new();
        let mut core_parts =
            CoreParts::new(Tasks::new(), Clock::start(), Arc::new(journal.clone()));
        core_parts.plans = plans();
        let chat = ChatDesk::new();
        core_parts.carriers.insert("chat", chat.control());
        parts(&mut core_parts);
        let core = Core::new(core_parts);
        let mut server_settings = ServerSettings::on("127.0.0.1:0".parse().unwrap());
        server_settings.public_url = Some(PUBLIC.parse().unwrap());
        settings(&mut server_settings);
        let tokens = TokenStore::in_dir(dir.path());
        let auth = Auth::new(Some(ADMIN), Some(tokens.clone()));
        let twilio = TwilioSettings {
            auth_token: Some(Secret::new(TWILIO_TOKEN)),
            phone_number: Some("+15557650000".into()),
            ..TwilioSettings::default()
        };
        let mut server_parts = ServerParts::new(core.clone(), server_settings, auth.clone());
        server_parts.chat = chat;
        server_parts.conversations = ConversationSettings {
            webhook_secret: Some(Secret::new(ELEVENLABS_SECRET)),
            has_agent: true,
            monitor: None,
        };
        // The second carrier has no secret: its routes are there and say so.
        server_parts.carriers = CarrierRoutes::new()
            .with(TwilioDesk::new(&twilio))
            .with(PlivoDesk::new(&PlivoSettings::default()));
        server(&mut server_parts);
        let server = Server::start(server_parts).await.unwrap();
        let url = format!("http://{}", server.local_addr());
        let http = reqwest::Client::builder().use_rustls_tls().build().unwrap();
        Self {
            core,
            server,
            journal,
            url,
            http,
            tokens,
            auth,
            _dir: dir,
        }
    }

    /// A fresh token for `grant`.
    pub fn token(&self, grant: Grant) -> String {
        let token = self.tokens.add(grant, self.core.clock.now()).unwrap();
        // Else it is good only once the server has looked at the file again.
        self.auth.reload();
        token
    }

    /// Posts a webhook signed as Twilio would.
    pub async fn webhook(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        self.webhook_signed(path, form, TWILIO_TOKEN, &format!("{PUBLIC}{path}"))
            .await
    }

    pub async fn webhook_signed(
        &self,
        path: &str,
        form: &[(&str, &str)],
        token: &str,
        over: &str,
    ) -> reqwest::Response {
        let pairs: Vec<(String, String)> = form
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.http
            .post(format!("{}{path}", self.url))
            .header(
                "x-twilio-signature",
                sign(over, &pairs, &Secret::new(token)),
            )
            .form(&pairs)
            .send()
            .await
            .unwrap()
    }

    /// Posts a conversation event signed as ElevenLabs would, now.
    pub async fn event(&self, path: &str, body: &Value) -> reqwest::Response {
        let body = body.to_string();
        let now = u64::try_from(self.core.clock.now().timestamp()).unwrap();
        let signature = sign_webhook(body.as_bytes(), &Secret::new(ELEVENLABS_SECRET), now);
        self.http
            .post(format!("{}{path}", self.url))
            .header("elevenlabs-signature", signature)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// A status callback of one call.
    pub async fn status(&self, sid: &str, word: &str, sequence: &str) -> reqwest::Response {
        let mut form = vec![
            ("CallSid", sid),
            ("CallStatus", word),
            ("Direction", "inbound"),
            ("From", "+14155550134"),
            ("To", "+15557650000"),
            ("SequenceNumber", sequence),
        ];
        if word == "completed" {
            form.extend([("CallDuration", "47"), ("SipResponseCode", "200")]);
        }
        self.webhook("/call-status-callback", &form).await
    }

    pub fn call(&self, sid: &str) -> Option<Call> {
        self.core.switchboard.read(|board| board.find(sid).cloned())
    }

    pub fn calls(&self) -> usize {
        self.core.switchboard.read(wallboard::call::Board::len)
    }

    pub async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}{path}", self.url));
        request.bearer_auth(token).send().await.unwrap()
    }

    pub async fn get_json(&self, path: &str, token: &str) -> Value {
        self.get(path, token).await.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.url));
        request.bearer_auth(token).json(&body).send().await.unwrap()
    }
}

fn plans() -> Plans {
    let agent = AgentPlan {
        id: "support".into(),
        kind: "elevenlabs",
        dialer: Arc::new(Silent),
        brief: AgentBrief::default(),
        minutes_max: None,
        concurrent_max: None,
        extras: wallboard::engine::AgentExtras::default(),
    };
    Plans {
        agents: BTreeMap::from([("support".to_owned(), agent)]),
        default_agent: Some("support".into()),
        fallback: Fallback::Say("Please call again later & thank you.".into()),
        ..Plans::default()
    }
}

/// A Twilio id of this prefix and number.
pub fn sid(prefix: &str, number: u32) -> String {
    format!("{prefix}{number:032x}")
}
