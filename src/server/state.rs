//! What every route and hub of one server shares.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::engine::{Core, Tasks};

use super::auth::Auth;
use super::carriers::{CarrierRoutes, Seen, WebhookLog};
use super::chat::ChatDesk;
use super::conversations::{ConversationSettings, Conversations};
use super::hub::{Encoder, Fanout};
use super::settings::ServerSettings;
use super::stream::StreamHub;
use super::tickets::{BrowserTickets, MediaTickets};

/// Media sockets that have not said whose they are. Full: further ones are refused, so that strangers
/// cannot hold what callers need.
const UNPROVEN_STREAMS_MAX: usize = 256;
/// Recordings received by webhook at once. Full: 503, and the vendor comes again.
const RECORDINGS_IN_MAX: usize = 4;

/// The state behind the routes.
#[derive(Debug)]
pub(super) struct App {
    pub core: Core,
    pub settings: ServerSettings,
    pub auth: Auth,
    pub carriers: CarrierRoutes,
    pub chat: ChatDesk,
    pub webhooks: Arc<WebhookLog>,
    pub seen: Seen,
    pub conversations: Conversations,
    pub streams: StreamHub,
    pub conversation_settings: ConversationSettings,
    /// Recordings being received by webhook: they are large, and no stranger may fill the disk.
    pub recordings_in: Arc<Semaphore>,
    pub media_tickets: MediaTickets,
    pub tickets: BrowserTickets,
    pub encoder: Encoder,
    pub fanout: Arc<Fanout>,
    pub unproven_streams: Arc<Semaphore>,
    pub metrics: Option<Metrics>,
    /// The branch of the task tree everything here runs on.
    pub tasks: Tasks,
}

/// The recorder whose text `/metrics` serves.
pub(super) struct Metrics(pub PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl App {
    pub(super) fn new(
        core: Core,
        settings: ServerSettings,
        auth: Auth,
        carriers: CarrierRoutes,
        chat: ChatDesk,
        conversation_settings: ConversationSettings,
        metrics: Option<PrometheusHandle>,
    ) -> Self {
        let tasks = core.tasks.child();
        Self {
            streams: StreamHub::start(&core, &tasks),
            tasks,
            core,
            settings,
            auth,
            carriers,
            chat,
            webhooks: Arc::default(),
            seen: Seen::default(),
            conversations: Conversations::default(),
            conversation_settings,
            recordings_in: Arc::new(Semaphore::new(RECORDINGS_IN_MAX)),
            media_tickets: MediaTickets::default(),
            tickets: BrowserTickets::default(),
            encoder: Encoder::default(),
            fanout: Arc::default(),
            unproven_streams: Arc::new(Semaphore::new(UNPROVEN_STREAMS_MAX)),
            metrics: metrics.map(Metrics),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.core.dialling.is_draining()
    }

    /// Cancelled when the server goes down.
    pub(super) fn stopping(&self) -> &CancellationToken {
        self.tasks.token()
    }
}
