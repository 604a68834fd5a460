//! The server from outside: real sockets on loopback, no internet.

mod api;
mod compat;
mod conversations;
mod faults;
mod hub;
mod listen;
mod media;
mod stream;
mod webhooks;
