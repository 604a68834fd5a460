//! Sockets we accept: HTTP routes, authentication, Socket.IO hubs, media streams, live audio.
