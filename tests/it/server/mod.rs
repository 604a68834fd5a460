//! The server from outside: real sockets on loopback, no internet.

mod hub;
mod media;
mod webhooks;
