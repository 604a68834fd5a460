//! Starting and stopping: one listener, one router, one Socket.IO layer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, Method, header};
use axum::middleware;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioTimer;
use metrics_exporter_prometheus::PrometheusHandle;
use socketioxide::SocketIo;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::call::{Fact, Severity};
use crate::engine::{Core, ListenUrl, Target};

use super::api;
use super::auth::Auth;
use super::carriers::{CarrierRoutes, WebhookLog};
use super::chat::ChatDesk;
use super::conversations::{ConversationSettings, end_forgotten, watch_conversations};
use super::guard::{guard, origin_is_allowed};
use super::listener::Gate;
use super::settings::{ServerSettings, TlsFiles};
use super::state::App;
use super::{chat as gateway, compat, hub};

/// A request's head must be whole within this.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Largest body of an API request.
pub(super) const BODY_MAX: usize = 256 * 1024;
/// How long open connections may finish when the core goes down without [`Server::stop`].
const LINGER: Duration = Duration::from_secs(1);
/// How long `bye` may take to reach the clients.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

/// What a server is made of.
#[derive(Debug)]
pub struct ServerParts {
    pub core: Core,
    pub settings: ServerSettings,
    pub auth: Auth,
    pub carriers: CarrierRoutes,
    /// The conversations of the voice gateway; its control belongs among the core's carriers.
    pub chat: ChatDesk,
    /// Webhooks of conversations the agent vendor runs by itself.
    pub conversations: ConversationSettings,
    /// Makes `/metrics` answer.
    pub metrics: Option<PrometheusHandle>,
}

impl ServerParts {
    /// Parts with no carrier and no metrics.
    pub fn new(core: Core, settings: ServerSettings, auth: Auth) -> Self {
        Self {
            core,
            settings,
            auth,
            carriers: CarrierRoutes::new(),
            chat: ChatDesk::new(),
            conversations: ConversationSettings::default(),
            metrics: None,
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{address} cannot be listened on: {source}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the certificate or key of server.tls cannot be used: {0}")]
    Tls(std::io::Error),
}

/// A running server. Dropping it does not stop it; the core's task tree does, or [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    app: Arc<App>,
    io: SocketIo,
    handle: Handle<SocketAddr>,
}

impl Server {
    /// Binds and serves. Returns once connections are accepted.
    pub async fn start(parts: ServerParts) -> Result<Self, StartError> {
        let ServerParts {
            core,
            settings,
            auth,
            carriers,
            chat,
            conversations,
            metrics,
        } = parts;
        let address = settings.listen;
        let bind = |source| StartError::Bind { address, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        let tls = match &settings.tls {
            Some(files) => Some(tls_config(files).await.map_err(StartError::Tls)?),
            None => None,
        };
        if settings.insecure_skip_signatures {
            tracing::warn!("signatures are NOT checked: anybody can create calls here");
            let notice = Fact::Notice {
                severity: Severity::Critical,
                code: "signatures_off".to_owned(),
                text: "signatures are not checked: anybody can create calls here".to_owned(),
            };
            // A core that has stopped already needs no warning.
            let _stopped = core.switchboard.post(Target::Backend, vec![notice]).await;
        }
        auth.follow(&core.tasks);
        let app = Arc::new(App::new(
            core,
            settings,
            auth,
            carriers,
            chat,
            conversations,
            metrics,
        ));
        remember_webhooks(&app).await;
        let (sockets, io) = hub::layer(&app);
        compat::attach(&io, &app);
        gateway::attach(&io, &app);
        end_forgotten(&app);
        watch_conversations(&app);
        let router = router(&app).layer(sockets);
        let router = outer_layers(router, &app);
        let handle = Handle::new();
        serve(listener, router, &app, handle.clone(), tls).map_err(bind)?;
        Ok(Self {
            local_addr,
            app,
            io,
            handle,
        })
    }

    /// Where it listens; the port is the real one even if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What makes listen URLs for the screen in this process, `http(s)://…` of the public URL or of
    /// the address listened on.
    pub fn listen_url(&self) -> Arc<ListenUrl> {
        let base = match &self.app.settings.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None if self.app.settings.tls.is_some() => format!("https://{}", self.local_addr),
            None => format!("http://{}", self.local_addr),
        };
        api::listen_url(&self.app, base)
    }

    /// The newest webhooks and what became of them.
    pub fn webhooks(&self) -> Arc<WebhookLog> {
        Arc::clone(&self.app.webhooks)
    }

    /// Connections that are open at this moment.
    pub fn connections(&self) -> usize {
        self.handle.connection_count()
    }

    /// Says goodbye to clients, then closes every connection, within `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.app.tasks.cancel();
        // The hubs notice and send `bye`; a client that does not read is not waited for.
        tokio::time::sleep(GOODBYE_WITHIN.min(grace / 4)).await;
        if tokio::time::timeout(grace / 2, self.io.close())
            .await
            .is_err()
        {
            tracing::debug!("some clients did not close in time");
        }
        self.handle.graceful_shutdown(Some(grace / 4));
    }
}

/// Takes over which webhooks an earlier run has taken. Without them a delivery that is sent again
/// counts twice, which is better than serving nobody.
async fn remember_webhooks(app: &App) {
    match app.core.journal.marks().await {
        Ok(marks) => marks.into_iter().for_each(|mark| app.seen.remember(mark)),
        Err(error) => tracing::warn!(%error, "cannot tell which webhooks were taken before"),
    }
}

/// All HTTP routes.
fn router(app: &Arc<App>) -> Router {
    app.carriers
        .router()
        .merge(api::router())
        .merge(super::conversations::router())
        .merge(super::stream::router())
        .fallback(api::not_found)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Arc::clone(app))
}

/// What every request passes first, Socket.IO's included.
fn outer_layers(router: Router, app: &Arc<App>) -> Router {
    let settings = app.settings.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, head| {
            let host = super::guard::host_of(&head.uri, &head.headers).unwrap_or_default();
            origin
                .to_str()
                .is_ok_and(|origin| origin_is_allowed(origin, host, &settings))
        }))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .max_age(Duration::from_secs(600));
    router
        .layer(cors)
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
}

fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    app: &Arc<App>,
    handle: Handle<SocketAddr>,
    tls: Option<RustlsConfig>,
) -> std::io::Result<()> {
    let gate = Gate::new(&app.settings);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener.into_std()?)?.handle(handle.clone());
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN);
    server
        .http_builder()
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128);
    let serving: BoxFuture<'static, std::io::Result<()>> = match tls {
        Some(config) => {
            let server = server.acceptor(RustlsAcceptor::new(config).acceptor(gate));
            Box::pin(server.serve(service))
        }
        None => Box::pin(server.acceptor(gate).serve(service)),
    };
    app.core.tasks.spawn("listener", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the listener ended");
        }
    });
    // The core may go down without anybody stopping this server first.
    let token = app.core.tasks.token().clone();
    app.core.tasks.spawn("listener end", async move {
        token.cancelled().await;
        handle.graceful_shutdown(Some(LINGER));
    });
    Ok(())
}

/// HTTP/1.1 only: WebSockets need it, and nothing here gains from HTTP/2.
async fn tls_config(files: &TlsFiles) -> std::io::Result<RustlsConfig> {
    let loaded = RustlsConfig::from_pem_file(&files.cert, &files.key).await?;
    let mut config = (*loaded.get_inner()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
