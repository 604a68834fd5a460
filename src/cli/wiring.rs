//! Configuration → one running backend: journal, core, carriers, server, in that order; and back
//! down in the reverse.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::call::{Grant, Role, Secret};
use crate::engine::{Clock, Core, CoreParts, EmbeddedBackend, RecordingVault, Tasks, watch_calls};
use crate::providers::vendor::registry;
use crate::server::{
    Auth, CarrierRoutes, ChatDesk, Network, Server, ServerParts, ServerSettings, StartError,
    TlsFiles, TokenStore,
};

use crate::store::{self, Recordings, Retention, SqliteJournal};

use super::config::{Config, RetentionConfig};
use super::local::DataDir;
use super::{Failure, Outcome, plans};

/// How long stopping may take once calls are dealt with.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// A running backend.
#[derive(Debug)]
pub struct Backend {
    pub core: Core,
    pub journal: SqliteJournal,
    pub server: Server,
    /// Gives the data directory back when dropped.
    #[expect(dead_code, reason = "held, not read")]
    data: DataDir,
    pub token: Secret,
    /// Where this machine reaches it.
    pub url: String,
    /// Where carriers reach it, if that is known.
    pub public_url: Option<String>,
}

/// What a start decides beyond the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions {
    pub insecure_skip_signatures: bool,
}

impl Backend {
    /// Starts everything. On failure whatever had started is stopped again.
    ///
    /// # Errors
    /// The data directory is taken, the port is taken, or a setting does not fit.
    pub async fn start(config: &Config, options: StartOptions, tasks: Tasks) -> Outcome<Self> {
        let settings = server_settings(config, options)?;
        let data = DataDir::take(&config.data_dir)?;
        let token = data
            .admin_token(config.auth.admin_token.as_ref())
            .map_err(|error| {
                Failure::failed(
                    format!("the admin token cannot be kept: {error}"),
                    "mend the permissions of the data directory",
                )
            })?;
        let clock = Clock::start();
        let journal = open_journal(&data, &tasks, clock).await?;
        journal.keep_retention(retention(&config.retention));
        let vault: Option<Arc<dyn RecordingVault>> = config
            .recording
            .fetch
            .then(|| Arc::new(Recordings::new(journal.clone())) as Arc<dyn RecordingVault>);
        let mut carriers = plans::carriers(config)?;
        let default_carrier = plans::default_carrier(config, &carriers);
        // Not one that places calls, but its own are given orders like any other's.
        let chat = ChatDesk::new();
        carriers.insert(chat.control().name(), chat.control());
        let core = Core::new(CoreParts {
            vault,
            backend_id: config.server.name.clone().unwrap_or_else(machine_name),
            default_carrier,
            carriers,
            vendors: plans::callers(config)?,
            plans: plans::plans(config)?,
            transfers: config
                .transfers
                .iter()
                .map(|transfer| (transfer.name.clone(), transfer.to.clone()))
                .collect(),
            transfer_number: config.bridge.transfer_number.clone(),
            quality: plans::quality(&config.quality),
            ..CoreParts::new(tasks.clone(), clock, Arc::new(journal.clone()))
        });
        watch_calls(&core, plans::thresholds(&config.alerts));
        // Before anything is accepted: a webhook must find the calls of the last run.
        match core.recover().await {
            Ok(recovered) if recovered.restored > 0 => {
                tracing::info!(calls = recovered.restored, "calls of the last run are back");
            }
            Ok(_) => {}
            // Told on the board too; calls can be taken all the same.
            Err(error) => tracing::error!(%error, "the last run's calls could not be read"),
        }
        let parts = ServerParts {
            carriers: carrier_routes(config),
            chat,
            conversations: plans::conversations(config)?,
            metrics: metrics(&tasks),
            ..ServerParts::new(
                core.clone(),
                settings,
                Auth::new(Some(token.expose()), Some(TokenStore::in_dir(data.path()))),
            )
        };
        let has_tls = parts.settings.tls.is_some();
        let server = match Server::start(parts).await {
            Ok(server) => server,
            Err(error) => {
                tasks.shutdown(STOP_WITHIN).await;
                return Err(not_started(error));
            }
        };
        core.keep_house();
        core.keep_prices(plans::rates(config));
        let url = match &config.server.public_url {
            // A certificate is good for its own name only.
            Some(public) if has_tls => public.clone(),
            _ => local_url(server.local_addr(), has_tls),
        };
        if let Err(error) = data.announce(&url) {
            tracing::warn!(%error, "the verbs of this machine will not find this backend");
        }
        Ok(Self {
            core,
            journal,
            server,
            data,
            token,
            url,
            public_url: config.server.public_url.clone(),
        })
    }

    /// The screen's view of it: every right, or only those of looking and listening.
    pub fn embedded(&self, user: &str, read_only: bool) -> EmbeddedBackend {
        let grant = if read_only {
            Grant::of(user, Role::Listener)
        } else {
            Grant::admin(user)
        };
        let url = self.server.listen_url();
        EmbeddedBackend::new(self.core.clone(), grant)
            .with_listen_url(move |grant, call| url(grant, call))
    }

    /// Says goodbye to clients, ends every task, gives the data directory back.
    pub async fn stop(self) {
        self.server.stop(STOP_WITHIN).await;
        if !self.core.tasks.shutdown(STOP_WITHIN).await {
            tracing::warn!("some tasks did not end in time");
        }
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal's last facts are not on disk");
        }
    }
}

/// Who sits at this terminal, for the other operators' eyes.
pub fn user_name() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "operator".into())
}

fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "wallboard".into())
}

/// Every carrier's routes, set up or not: one that is not says what it lacks.
fn carrier_routes(config: &Config) -> CarrierRoutes {
    let mut routes = CarrierRoutes::new();
    for carrier in registry::CARRIERS {
        routes.add((carrier.desk)(&config.setup()));
    }
    routes
}

/// Opens the journal; blocking work, so not on a worker that serves.
async fn open_journal(data: &DataDir, tasks: &Tasks, clock: Clock) -> Outcome<SqliteJournal> {
    let path = data.path().to_owned();
    let inner = tasks.clone();
    let opened = tasks
        .spawn_blocking(move || store::open(&path, &inner, clock))
        .await
        .map_err(|_| Failure::failed("the journal could not be opened", "see the log"))?;
    opened.map_err(|error| {
        let text = error.to_string();
        let (message, fix) = text.split_once("; ").unwrap_or((&text, ""));
        Failure::failed(message, fix)
    })
}

/// Whole days; zero keeps for ever.
fn retention(config: &RetentionConfig) -> Retention {
    let days = |span: Duration| {
        let days = span.as_secs().div_ceil(86_400);
        u32::try_from(days).ok().filter(|days| *days > 0)
    };
    Retention {
        calls_days: days(config.calls),
        transcripts_days: days(config.transcripts),
        recordings_days: days(config.recordings),
        events_days: days(config.events),
        audit_days: days(config.audit),
    }
}

/// The recorder behind `/metrics`; `None` when this process has one already.
fn metrics(tasks: &Tasks) -> Option<metrics_exporter_prometheus::PrometheusHandle> {
    let handle = metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .ok()?;
    let upkeep = handle.clone();
    let token = tasks.token().clone();
    tasks.spawn("metrics upkeep", async move {
        let mut tick = tokio::time::interval(Duration::from_secs(10));
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                _ = tick.tick() => upkeep.run_upkeep(),
            }
        }
    });
    Some(handle)
}

fn server_settings(config: &Config, options: StartOptions) -> Outcome<ServerSettings> {
    let listen = resolve(&config.server.listen)?;
    let public_url = config
        .server
        .public_url
        .as_deref()
        .map(Url::parse)
        .transpose()
        .map_err(|error| {
            Failure::usage(
                format!("server.public_url is no URL: {error}"),
                "write it like https://calls.example.com",
            )
        })?;
    let trusted_proxies = config
        .server
        .trusted_proxies
        .iter()
        .map(|text| text.parse::<Network>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| {
            Failure::usage(
                format!("server.trusted_proxies: {error}"),
                "write addresses or networks, like 10.0.0.2 or 10.0.0.0/8",
            )
        })?;
    let tls = match (&config.server.tls_cert, &config.server.tls_key) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert: cert.clone(),
            key: key.clone(),
        }),
        _ => None,
    };
    Ok(ServerSettings {
        public_url,
        tls,
        allowed_hosts: config.server.allowed_hosts.clone(),
        allowed_origins: config.server.allowed_origins.clone(),
        trusted_proxies,
        insecure_skip_signatures: options.insecure_skip_signatures,
        public_namespace: config.auth.public_namespace,
        chat_public: config.auth.chat_public,
        ..ServerSettings::on(listen)
    })
}

fn resolve(listen: &str) -> Outcome<SocketAddr> {
    listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| {
            Failure::usage(
                format!("{listen} is not an address of this machine"),
                "set server.listen, for instance 127.0.0.1:8787",
            )
        })
}

/// How this machine reaches what listens there.
fn local_url(address: SocketAddr, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    let port = address.port();
    match address {
        _ if address.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{port}"),
        address => format!("{scheme}://{address}"),
    }
}

fn not_started(error: StartError) -> Failure {
    match &error {
        StartError::Bind { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Failure::failed(
                format!("{address} is used by another program"),
                format!(
                    "stop it, or take another port: wallboard serve --listen :{}",
                    address.port().checked_add(1).unwrap_or(8787)
                ),
            )
        }
        StartError::Bind { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Failure::failed(
                error.to_string(),
                "ports below 1024 need rights: listen on 8787 and put a proxy in front",
            )
        }
        StartError::Bind { .. } => Failure::failed(
            error.to_string(),
            "set server.listen to an address of this machine, for instance 127.0.0.1:8787",
        ),
        StartError::Tls(_) => Failure::failed(
            error.to_string(),
            "both must be PEM files that this user may read",
        ),
    }
}
