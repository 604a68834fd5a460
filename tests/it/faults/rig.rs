//! A whole backend in the test's process between a simulated carrier and a simulated agent vendor.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use wallboard::bridge::AgentBrief;
use wallboard::call::{Call, CallId, Fact, Grant, Role, Secret};
use wallboard::engine::{
    AgentPlan, CarrierControl, Carriers, Clock, Core, CoreParts, Fallback, Plans, Route, Tasks,
};
use wallboard::providers::elevenlabs::ElevenLabsSettings;
use wallboard::providers::elevenlabs::shell::ElevenLabsDialer;
use wallboard::providers::twilio::shell::TwilioControl;
use wallboard::providers::twilio::{TwilioDesk, TwilioSettings, sign};
use wallboard::server::{Auth, CarrierRoutes, Server, ServerParts, ServerSettings, TokenStore};
use wallboard::simulator::Cast;
use wallboard::simulator::elevenlabs::{AgentFaults, ElevenLabsSim, ElevenLabsSimConfig};
use wallboard::simulator::line::{Faults, Timing};
use wallboard::simulator::speech::{Cut, Ending, Line, Script};
use wallboard::simulator::twilio::{InboundCall, TestCall, TwilioSim, TwilioSimConfig};
use wallboard::store::{self, Recordings};

use crate::it::support::socketio::SioClient;

pub const ADMIN: &str = "wb_faults_admin_token";
pub const AUTH_TOKEN: &str = "faults_auth_token_0123456789abcd";
pub const API_KEY: &str = "faults_api_key_0123456789";
pub const WEBHOOK_SECRET: &str = "wsec_faults_canary_0123456789";
pub const AGENT: &str = "agent_faults";

/// What goes wrong, and what was configured against it.
pub struct Plot {
    pub carrier: Faults,
    pub agent: AgentFaults,
    pub timing: Timing,
    pub fallback: Fallback,
    pub record: bool,
}

/// Connections through here can be listened to, stalled and cut.
#[derive(Clone)]
pub struct Proxy {
    pub url: String,
    state: Arc<ProxyState>,
}

struct ProxyState {
    upstream: String,
    /// What clients said, all connections together.
    said: Mutex<Vec<u8>>,
    accepted: AtomicUsize,
    /// Answers are held back.
    stalled: watch::Sender<bool>,
    /// What clients say is held back.
    held: watch::Sender<bool>,
    /// Rises at every cut.
    cuts: watch::Sender<u64>,
    refusing: AtomicBool,
}

impl Proxy {
    /// In front of `http://host:port`.
    pub async fn before(upstream: &str, tasks: &Tasks) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(ProxyState {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            said: Mutex::default(),
            accepted: AtomicUsize::new(0),
            stalled: watch::Sender::new(false),
            held: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            refusing: AtomicBool::new(false),
        });
        let (shared, inner, token) = (Arc::clone(&state), tasks.clone(), tasks.token().clone());
        tasks.spawn("proxy", async move {
            loop {
                let accepted = tokio::select! {
                    () = token.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if !shared.refusing.load(Ordering::SeqCst) {
                    inner.spawn("proxied", Arc::clone(&shared).carry(client));
                }
            }
        });
        Self { url, state }
    }

    /// How often clients have said this.
    pub fn count(&self, words: &str) -> usize {
        let said = self.state.said.lock().unwrap();
        String::from_utf8_lossy(&said).matches(words).count()
    }

    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    pub fn hold(&self, held: bool) {
        self.state.held.send_replace(held);
    }

    pub fn stall(&self, stalled: bool) {
        self.state.stalled.send_replace(stalled);
    }

    /// Ends every connection; while `refusing`, new ones end at once.
    pub fn cut(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::SeqCst);
        self.state.cuts.send_modify(|number| *number += 1);
    }
}

impl ProxyState {
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        let Ok(server) = TcpStream::connect(&self.upstream).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let up = async {
            let mut buffer = vec![0; 16 * 1024];
            let mut held = self.held.subscribe();
            while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                if held.wait_for(|held| !held).await.is_err() {
                    return;
                }
                self.said.lock().unwrap().extend(&buffer[..count]);
                if to_server.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        };
        let down = async {
            let mut buffer = vec![0; 16 * 1024];
            let mut stalled = self.stalled.subscribe();
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                if stalled.wait_for(|stalled| !stalled).await.is_err() {
                    return;
                }
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = cuts.changed() => {}
        }
    }
}

impl Default for Plot {
    fn default() -> Self {
        Self {
            carrier: Faults::default(),
            agent: AgentFaults::default(),
            timing: Timing::quick(),
            fallback: Fallback::Say("We will call you back.".into()),
            record: false,
        }
    }
}

/// The peers of a backend.
pub struct Peers {
    pub twilio: TwilioSim,
    pub elevenlabs: ElevenLabsSim,
    pub tasks: Tasks,
}

impl Peers {
    pub async fn start(plot: &Plot) -> Self {
        let _set_already = rustls::crypto::ring::default_provider().install_default();
        let tasks = Tasks::new();
        let cast = Cast::default();
        let twilio = TwilioSimConfig {
            auth_token: AUTH_TOKEN.into(),
            cast: cast.clone(),
            faults: plot.carrier,
            timing: plot.timing,
            ..TwilioSimConfig::default()
        };
        let elevenlabs = ElevenLabsSimConfig {
            api_key: API_KEY.into(),
            cast,
            faults: plot.agent,
            ..ElevenLabsSimConfig::default()
        };
        Self {
            twilio: TwilioSim::start(twilio, &tasks).await.unwrap(),
            elevenlabs: ElevenLabsSim::start(elevenlabs, &tasks).await.unwrap(),
            tasks,
        }
    }

    /// Somebody calls; `told` = the number's status callback is set.
    pub fn ring(&self, url: &str, number: u32, script: Script, told: bool) -> TestCall {
        let from = format!("+1415555{number:04}");
        self.twilio.cast().assign(&from, Arc::new(script));
        self.twilio.place_inbound(InboundCall {
            from,
            caller_name: Some("Caller".into()),
            voice_url: format!("{url}/incoming-call#rc=3&rp=all"),
            fallback_url: None,
            status_callback: told.then(|| format!("{url}/call-status-callback#rc=3&rp=all")),
        })
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// A conversation of tones that nobody ends.
pub fn chat() -> Script {
    Script::tones("chat", 60, 300).with_ending(Ending::Nobody)
}

/// The agent's socket breaks after two lines.
pub fn dying(how: Cut, for_good: bool) -> Script {
    let mut script = chat();
    script.lines.insert(2, Line::Die { how, for_good });
    script
}

pub struct House {
    pub peers: Peers,
    /// Between us and the carrier's REST.
    pub rest: Proxy,
    /// Between us and the agent vendor's REST.
    pub vendor: Proxy,
    pub core: Core,
    pub tokens: TokenStore,
    pub url: String,
    pub http: reqwest::Client,
    pub dir: tempfile::TempDir,
}

impl House {
    pub async fn start(plot: Plot) -> Self {
        let peers = Peers::start(&plot).await;
        let rest = Proxy::before(peers.twilio.api_base(), &peers.tasks).await;
        let vendor = Proxy::before(peers.elevenlabs.api_base(), &peers.tasks).await;
        let dir = tempfile::tempdir().unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let twilio = TwilioSettings {
            account_sid: Some(peers.twilio.account_sid().into()),
            auth_token: Some(Secret::new(AUTH_TOKEN)),
            phone_number: Some(peers.twilio.number().into()),
            api_base: rest.url.clone(),
            ..TwilioSettings::default()
        };
        let (tasks, clock) = (Tasks::new(), Clock::start());
        let (path, inner) = (dir.path().to_owned(), tasks.clone());
        let journal = tasks
            .spawn_blocking(move || store::open(&path, &inner, clock).unwrap())
            .await
            .unwrap();
        let control: Arc<dyn CarrierControl> =
            Arc::new(TwilioControl::new(&twilio, Some(&url)).unwrap());
        let core = Core::new(CoreParts {
            vault: Some(Arc::new(Recordings::new(journal.clone()))),
            carriers: Carriers::from([("twilio", control)]),
            plans: plans(&peers, &vendor, &plot),
            default_carrier: Some("twilio".into()),
            ..CoreParts::new(tasks, clock, Arc::new(journal.clone()))
        });
        core.recover().await.unwrap();
        let mut settings = ServerSettings::on(url.trim_start_matches("http://").parse().unwrap());
        settings.public_url = Some(url.parse().unwrap());
        let tokens = TokenStore::in_dir(dir.path());
        let _server = Server::start(ServerParts {
            carriers: CarrierRoutes::new().with(TwilioDesk::new(&twilio)),
            ..ServerParts::new(
                core.clone(),
                settings,
                Auth::new(Some(ADMIN), Some(tokens.clone())),
            )
        })
        .await
        .unwrap();
        core.keep_house();
        Self {
            peers,
            rest,
            vendor,
            core,
            tokens,
            url,
            http: client(),
            dir,
        }
    }

    pub fn ring(&self, number: u32, script: Script) -> TestCall {
        self.peers.ring(&self.url, number, script, true)
    }

    /// A call that rings now, once its agent has spoken.
    pub async fn talking(&self, number: u32, script: Script) -> (TestCall, CallId) {
        let call = self.ring(number, script);
        call.wait_heard(100).await.unwrap();
        let id = self.card(call.sid()).unwrap().id;
        (call, id)
    }

    pub fn card(&self, key: &str) -> Option<Call> {
        self.core.switchboard.read(|board| board.find(key).cloned())
    }

    /// A new token, once the server knows it (it looks at the file twice a second).
    pub async fn token(&self, user: &str, role: Role) -> String {
        let grant = Grant::of(user, role);
        let token = self.tokens.add(grant, self.core.clock.now()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.get("/api/calls/active", &token).await.status() == 401 {
            assert!(Instant::now() < deadline, "the token is not known");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        token
    }

    /// Waits for something of one card.
    pub async fn wait_card(&self, key: &str, what: &str, seen: impl Fn(&Call) -> bool) -> Call {
        let found = until(what, 20, || self.card(key).filter(&seen)).await;
        found.unwrap_or_else(|| panic!("not in time: {what}\n{:#?}", self.card(key)))
    }

    /// Facts as the journal's reader sees them from now on.
    pub async fn facts(&self) -> FactLog {
        let subscription = self.core.switchboard.subscribe(None).await.unwrap();
        FactLog {
            live: subscription.live,
            seen: Vec::new(),
        }
    }

    pub async fn join(&self, token: &str) -> SioClient {
        join(&self.url, token).await
    }

    pub async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}{path}", self.url));
        request.bearer_auth(token).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.url));
        request.bearer_auth(token).json(&body).send().await.unwrap()
    }

    pub async fn webhook(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        webhook(&self.http, &self.url, path, form).await
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.core.tasks.cancel();
    }
}

pub struct FactLog {
    live: tokio::sync::broadcast::Receiver<Arc<wallboard::call::Envelope>>,
    pub seen: Vec<Fact>,
}

impl FactLog {
    /// Reads on until a fact is `wanted`.
    pub async fn wait(&mut self, what: &str, wanted: impl Fn(&Fact) -> bool) -> Fact {
        let waiting = async {
            loop {
                let envelope = self.live.recv().await.expect("the log keeps up");
                if let wallboard::call::CallEvent::Known(fact) = &envelope.event {
                    self.seen.push(fact.clone());
                    if wanted(fact) {
                        return fact.clone();
                    }
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        found.unwrap_or_else(|_| panic!("not in time: {what}\n{:#?}", self.seen))
    }
}

pub async fn join(url: &str, token: &str) -> SioClient {
    let auth = json!({ "token": token, "client": "test", "v": 1 });
    SioClient::join(url, "/wallboard", auth).await.unwrap()
}

/// Posts a webhook signed as the carrier does.
pub async fn webhook(
    http: &reqwest::Client,
    url: &str,
    path: &str,
    form: &[(&str, &str)],
) -> reqwest::Response {
    let pairs: Vec<(String, String)> = form
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let signature = sign(&format!("{url}{path}"), &pairs, &Secret::new(AUTH_TOKEN));
    let request = http.post(format!("{url}{path}"));
    request
        .header("x-twilio-signature", signature)
        .form(&pairs)
        .send()
        .await
        .unwrap()
}

pub fn client() -> reqwest::Client {
    let _set_already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .use_rustls_tls()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Looks again and again until there is something, at most `seconds`.
pub async fn until<T>(what: &str, seconds: u64, look: impl Fn() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            eprintln!("not within {seconds} s: {what}");
            return None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As [`until`], for what is either so or not.
pub async fn comes_true(what: &str, seconds: u64, is_so: impl Fn() -> bool) {
    let so = until(what, seconds, || is_so().then_some(())).await;
    assert!(so.is_some(), "not within {seconds} s: {what}");
}

fn plans(peers: &Peers, vendor: &Proxy, plot: &Plot) -> Plans {
    let settings = ElevenLabsSettings {
        api_key: Some(Secret::new(API_KEY)),
        agent_id: Some(AGENT.into()),
        api_base: vendor.url.clone(),
        ws_base: peers.elevenlabs.ws_base().into(),
        ..ElevenLabsSettings::default()
    };
    let agent = AgentPlan {
        id: "support".into(),
        kind: "elevenlabs",
        dialer: Arc::new(ElevenLabsDialer::new(&settings, AGENT).unwrap()),
        brief: AgentBrief::default(),
        minutes_max: None,
        concurrent_max: None,
        extras: wallboard::engine::AgentExtras::default(),
    };
    Plans {
        agents: BTreeMap::from([("support".to_owned(), agent)]),
        default_agent: Some("support".into()),
        fallback: plot.fallback.clone(),
        routes: vec![Route {
            record: plot.record,
            ..Route::default()
        }],
        ..Plans::default()
    }
}
