//! The server from outside: real sockets on loopback, no internet.

mod again;
mod apart;
mod api;
mod compat;
mod conversations;
mod copies;
mod faults;
mod hub;
mod leads;
mod levels;
mod listen;
mod media;
mod monitor;
mod proof;
mod recordings;
mod stream;
mod webhooks;
