//! The server from outside: real sockets on loopback, no internet.

mod api;
mod compat;
mod hub;
mod listen;
mod media;
mod webhooks;
