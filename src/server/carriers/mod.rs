//! Webhooks and media sockets of carriers. The way a request takes is the same for all of them
//! ([`path`], [`super::media`]); a [`CarrierDesk`] knows the routes, proofs and documents of one.

pub(super) mod base;
mod documents;
mod log;
mod path;
mod seen;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{MethodFilter, on};

use crate::providers::vendor::CarrierDesk;

use super::state::App;

pub use log::{WebhookEntry, WebhookLog};
pub(super) use path::may_log_refusal;
pub(super) use seen::{Seen, mark_of};

/// The carriers whose routes are served, by name.
#[derive(Clone, Debug, Default)]
pub struct CarrierRoutes {
    desks: HashMap<&'static str, Arc<dyn CarrierDesk>>,
}

impl CarrierRoutes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a carrier; a second one of the same name replaces the first.
    #[must_use]
    pub fn with(mut self, desk: impl CarrierDesk + 'static) -> Self {
        self.add(Arc::new(desk));
        self
    }

    /// As [`Self::with`], for a desk somebody else made.
    pub fn add(&mut self, desk: Arc<dyn CarrierDesk>) {
        self.desks.insert(desk.carrier(), desk);
    }

    pub fn desks(&self) -> impl Iterator<Item = &Arc<dyn CarrierDesk>> {
        self.desks.values()
    }

    /// Who opens a stream at `desk`'s path: whoever has signed for it, else the path's own carrier.
    pub(super) fn who_streams(
        &self,
        desk: &Arc<dyn CarrierDesk>,
        headers: &HeaderMap,
    ) -> Arc<dyn CarrierDesk> {
        let signer = self.desks.values().find(|other| other.has_signed(headers));
        Arc::clone(signer.unwrap_or(desk))
    }

    /// The routes of all carriers.
    pub(super) fn router(&self) -> Router<Arc<App>> {
        let mut router = Router::new();
        for desk in self.desks.values() {
            for route in desk.hooks() {
                let filter = if route.takes_get {
                    MethodFilter::POST.or(MethodFilter::GET)
                } else {
                    MethodFilter::POST
                };
                let desk = Arc::clone(desk);
                let path = route.path;
                router = router.route(
                    path,
                    on(filter, async move |state, request| {
                        path::take(state, desk, path, request).await
                    }),
                );
            }
            for path in desk.monitors() {
                router = router.route(path, super::media::monitor(Arc::clone(desk)));
            }
            for path in desk.streams() {
                let bare = super::media::route(self.clone(), Arc::clone(desk));
                let nested = super::media::route(self.clone(), Arc::clone(desk));
                router = router
                    .route(path, bare)
                    .route(&format!("{path}/{{*rest}}"), nested);
            }
        }
        router
    }
}
