//! The same `Backend` over Socket.IO: link states, backoff, resync.
