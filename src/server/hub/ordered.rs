//! Requests in the order they came. The library spawns every async handler, which loses the order;
//! this one only puts what was said into the hub's queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, Data};
use socketioxide::handler::{FromMessageParts as _, MessageHandler, Value as Packet};
use socketioxide::socket::Socket;
use tokio::sync::mpsc;

/// Requests waiting for one hub. Full: refused, and told so as soon as there is room.
const INBOX_MAX: usize = 64;
/// Refusals waiting to be told. A client that makes more of them is put out.
const REFUSED_MAX: usize = 1_024;

/// One request of a client.
pub(in crate::server) struct Asked {
    pub event: &'static str,
    pub data: Value,
    pub ack: AckSender,
}

/// The requests of one client, in order.
pub(in crate::server) struct Inbox {
    pub asked: mpsc::Receiver<Asked>,
    pub refused: Refused,
}

/// The ids of requests that were not taken for want of room.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Refused(Arc<Mutex<VecDeque<Value>>>);

impl Refused {
    pub(in crate::server) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(in crate::server) fn pop(&self) -> Option<Value> {
        self.lock().pop_front()
    }

    /// Whether there was room.
    fn push(&self, id: Value) -> bool {
        let mut waiting = self.lock();
        let room = waiting.len() < REFUSED_MAX;
        if room {
            waiting.push_back(id);
        }
        room
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues one kind of event.
struct Ordered {
    event: &'static str,
    inbox: mpsc::Sender<Asked>,
    refused: Refused,
}

/// Hangs up the handlers of these events and returns what they hear.
pub(in crate::server) fn listen_for(
    socket: &socketioxide::extract::SocketRef,
    events: &[&'static str],
) -> Inbox {
    let (inbox, asked) = mpsc::channel(INBOX_MAX);
    let refused = Refused::default();
    for event in events {
        let handler = Ordered {
            event,
            inbox: inbox.clone(),
            refused: refused.clone(),
        };
        socket.on(*event, handler);
    }
    Inbox { asked, refused }
}

/// Tells our implementation of the library's trait from the ones it makes for closures.
enum InOrder {}

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
            let id = asked.data.get("id").cloned().unwrap_or(Value::Null);
            if !self.refused.push(id) {
                let _gone = socket.disconnect();
            }
        }
    }
}
