//! The sockets we accept: carriers' webhooks and media streams, the HTTP API, listeners, and the
//! Socket.IO hubs. It dials nothing and decides nothing about calls: it proves who speaks, hands
//! facts and commands to the engine, and shows what came of them.

mod api;
mod auth;
mod caller;
mod carriers;
mod chat;
mod compat;
mod conversations;
mod error;
mod guard;
mod hub;
mod leads;
mod listener;
mod media;
mod settings;
mod shape;
mod start;
mod state;
mod stream;
mod tickets;
mod tokens;
mod wire;

pub use auth::{Auth, AuthFailure, Session};
pub use carriers::{CarrierRoutes, WebhookEntry, WebhookLog};
pub use chat::ChatDesk;
pub use conversations::ConversationSettings;
pub use settings::{
    CONNECTIONS_MAX, CONNECTIONS_PER_IP_MAX, Network, NetworkError, ServerSettings, TlsFiles,
};
pub use start::{Server, ServerParts, StartError};
pub use tickets::{BrowserTickets, MediaTickets, OPEN_WITHIN, PAGE_WITHIN, TicketUse};
pub use tokens::{TOKEN_PREFIX, TokenError, TokenRecord, TokenStore, TokenSum, new_token, sum_of};
