//! Requests in the order they came. The library spawns every async handler, which loses the order;
//! this one only puts what was said into the hub's queue.

use std::sync::Arc;

use serde_json::{Value, json};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, Data};
use socketioxide::handler::{FromMessageParts as _, MessageHandler, Value as Packet};
use socketioxide::socket::Socket;
use tokio::sync::mpsc;

/// One request of a client.
pub(in crate::server) struct Asked {
    pub event: &'static str,
    pub data: Value,
    pub ack: AckSender,
}

/// Queues one kind of event.
pub(in crate::server) struct Ordered {
    pub event: &'static str,
    pub inbox: mpsc::Sender<Asked>,
}

/// Tells our implementation of the library's trait from the ones it makes for closures.
pub(in crate::server) enum InOrder {}

impl MessageHandler<LocalAdapter, InOrder> for Ordered {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Packet, ack_id: Option<i64>) {
        let Ok(ack) = AckSender::from_message_parts(&socket, &mut packet, &ack_id);
        let data = Data::<Value>::from_message_parts(&socket, &mut packet, &ack_id)
            .map_or(Value::Null, |data| data.0);
        let asked = Asked {
            event: self.event,
            data,
            ack,
        };
        if let Err(mpsc::error::TrySendError::Full(asked)) = self.inbox.try_send(asked) {
            // The hub is too slow for this client: it must know that its wish was not taken.
            let reply = json!({
                "id": asked.data.get("id"),
                "ok": false,
                "error": {
                    "code": "overloaded",
                    "message": "too many requests at once",
                    "hint": "wait for the replies",
                },
            });
            let _unsent = asked.ack.send(&reply);
            let _unsent = socket.emit("reply", &reply);
        }
    }
}
