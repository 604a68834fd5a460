//! Faults at real sockets: what breaks in the field, and what must then be true of the whole
//! backend. Each test is named after its rule.

mod attach;
mod conversations;
mod doors;
mod links;
mod listening;
mod process;
mod recording;
mod restart;
mod rig;
mod secrets;
mod steering;
mod webhooks;
