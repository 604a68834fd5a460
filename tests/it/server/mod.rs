//! The server from outside: real sockets on loopback, no internet.

mod api;
mod compat;
mod faults;
mod hub;
mod listen;
mod media;
mod webhooks;
