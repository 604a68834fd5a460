//! Who may talk, and to whom: token, agent, wishes. A client that names no agent, or an unknown one,
//! is let in, told so, and put out, as older servers do it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::handler::{
    ConnectHandler as _, FromMessageParts as _, MessageHandler, Value as Packet,
};
use socketioxide::socket::{DisconnectReason, Socket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::call::Verb;

use super::super::auth::Session as Proof;
use super::super::hub::door::session_of;
use super::super::state::App;
use super::NAMESPACE;
use super::incoming::Incoming;
use super::session::{self, Member, Order};
use super::sound::Wish;
use super::trouble::Trouble;

/// Messages of one socket waiting for the conversation: more than a second of frames. Full: dropped,
/// and told so.
const INBOX_MAX: usize = 128;
const EVENTS: [&str; 3] = ["audio", "text", "clear"];

/// What a client says when it comes in.
#[derive(Debug, Default, Deserialize)]
struct Hello {
    #[serde(default, rename = "agentId")]
    agent_id: Option<Value>,
    #[serde(default)]
    token: Option<String>,
    /// Finds a conversation again.
    #[serde(default)]
    session: Option<String>,
    /// The last answer it has, by `sequence_id`.
    #[serde(default)]
    since: Option<u64>,
    #[serde(default)]
    partials: bool,
    #[serde(default)]
    transcripts: bool,
    /// `false`: words only.
    #[serde(default)]
    audio: Option<bool>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    sample_rate: Option<u32>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "leadId")]
    lead_id: Option<String>,
}

/// Everything decided about a newcomer but the conversation.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub agent: String,
    pub user: Option<String>,
    pub name: Option<String>,
    pub lead_id: Option<String>,
    pub session: Option<String>,
    pub since: Option<u64>,
    pub partials: bool,
    pub transcripts: bool,
    pub with_audio: bool,
    pub wish: Wish,
}

/// The words of a `connect_error`.
struct Turned(&'static str);

impl fmt::Display for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One message of a client.
pub(super) struct Said {
    pub event: &'static str,
    pub message: Incoming,
    pub ack: AckSender,
}

/// The messages of one socket, in order, and how many were dropped for want of room.
pub(super) struct Inbox {
    pub said: mpsc::Receiver<Said>,
    pub dropped: Arc<std::sync::atomic::AtomicU32>,
}

/// How a socket left.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub token: CancellationToken,
    /// It said goodbye; a socket that only broke may come back.
    pub on_purpose: std::sync::atomic::AtomicBool,
}

struct Arrival {
    newcomer: Result<Newcomer, Trouble>,
    proof: Option<Proof>,
    inbox: Inbox,
    gone: Arc<Gone>,
}

type Arrivals = Arc<Mutex<Option<Arrival>>>;

/// Opens the namespace.
pub(super) fn open(io: &SocketIo, app: &Arc<App>) {
    let at_door = Arc::clone(app);
    let check = async move |socket: SocketRef, TryData(hello): TryData<Hello>| {
        check(&at_door, &socket, hello.unwrap_or_default())
    };
    let inside = Arc::clone(app);
    let enter = async move |socket: SocketRef| enter(&inside, socket).await;
    io.ns(NAMESPACE, enter.with(check));
}

fn check(app: &App, socket: &SocketRef, hello: Hello) -> Result<(), Turned> {
    let presented = hello.token.as_deref();
    let proof = session_of(app, socket, presented)
        .ok()
        .filter(|proof| proof.grant.allows(Verb::Chat));
    if proof.is_none() && !app.settings.chat_public {
        return Err(Turned("unauthorized"));
    }
    if app.is_draining() {
        return Err(Turned("draining"));
    }
    let newcomer = read(app, socket, hello, proof.as_ref());
    let inbox = listen(socket);
    let gone = Arc::new(Gone::default());
    let left = Arc::clone(&gone);
    socket.on_disconnect(async move |reason: DisconnectReason| {
        let on_purpose = matches!(reason, DisconnectReason::ClientNSDisconnect);
        left.on_purpose
            .store(on_purpose, std::sync::atomic::Ordering::Relaxed);
        left.token.cancel();
    });
    let arrivals: Arrivals = Arc::new(Mutex::new(Some(Arrival {
        newcomer,
        proof,
        inbox,
        gone,
    })));
    socket.extensions.insert(arrivals);
    Ok(())
}

fn read(
    app: &App,
    socket: &SocketRef,
    hello: Hello,
    proof: Option<&Proof>,
) -> Result<Newcomer, Trouble> {
    let query = socket.req_parts().uri.query().unwrap_or_default();
    let agent = hello
        .agent_id
        .as_ref()
        .and_then(word)
        .or_else(|| in_query(query, "agentId"))
        .ok_or_else(Trouble::no_agent_id)?;
    let agents = &app.core.plans.agents;
    if !agents.contains_key(&agent) {
        // Strangers are not told who works here.
        let known: Vec<&str> = match proof {
            Some(_) => agents.keys().map(String::as_str).collect(),
            None => vec!["ask whoever runs this server"],
        };
        return Err(Trouble::unknown_agent(&agent, &known));
    }
    let label = |text: Option<String>| {
        let text = text?;
        let clean = crate::call::text::clean_label(text.trim());
        let short: String = clean.chars().take(80).collect();
        (!short.is_empty()).then_some(short)
    };
    let lead_id = label(hello.lead_id);
    if let Some(proof) = proof {
        if proof.grant.leads.is_some() && !proof.grant.sees_lead(lead_id.as_deref()) {
            return Err(Trouble::new(
                "forbidden",
                "connect",
                "this token is for other leads",
                "send auth.leadId with one of the token's leads",
            ));
        }
    }
    Ok(Newcomer {
        agent,
        user: proof.map(|proof| proof.grant.user.clone()),
        name: label(hello.name),
        lead_id,
        session: hello
            .session
            .filter(|key| !key.is_empty() && key.len() <= 128),
        since: hello.since,
        partials: hello.partials,
        transcripts: hello.transcripts,
        with_audio: hello.audio.unwrap_or(true),
        wish: Wish::read(hello.format.as_deref(), hello.sample_rate)?,
    })
}

/// An id given as text or number; of several, the first.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => list.first().and_then(word),
        _ => None,
    }
}

fn in_query(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name || key.strip_suffix("[]") == Some(name))
        .map(|(_, value)| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

/// Queues one kind of event; see `hub::ordered`, which does the same for JSON alone.
struct Ordered {
    event: &'static str,
    inbox: mpsc::Sender<Said>,
    dropped: Arc<std::sync::atomic::AtomicU32>,
}

fn listen(socket: &SocketRef) -> Inbox {
    let (inbox, said) = mpsc::channel(INBOX_MAX);
    let dropped = Arc::default();
    for event in EVENTS {
        let handler = Ordered {
            event,
            inbox: inbox.clone(),
            dropped: Arc::clone(&dropped),
        };
        socket.on(event, handler);
    }
    Inbox { said, dropped }
}

/// Tells our implementation of the library's trait from the ones it makes for closures.
enum InOrder {}

impl MessageHandler<LocalAdapter, InOrder> for Ordered {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Packet, ack_id: Option<i64>) {
        let Ok(ack) = AckSender::from_message_parts(&socket, &mut packet, &ack_id);
        let message = Data::<Incoming>::from_message_parts(&socket, &mut packet, &ack_id)
            .map_or_else(|_| Incoming::default(), |data| data.0);
        let said = Said {
            event: self.event,
            message,
            ack,
        };
        if let Err(mpsc::error::TrySendError::Full(said)) = self.inbox.try_send(said) {
            self.dropped
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // The client may have gone.
            let _unheard = said.ack.send(&Trouble::too_fast(self.event).ack());
        }
    }
}

async fn enter(app: &Arc<App>, socket: SocketRef) {
    let arrival = socket.extensions.get::<Arrivals>().and_then(|arrivals| {
        let mut place = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    });
    let Some(arrival) = arrival else { return };
    let newcomer = match arrival.newcomer {
        Ok(newcomer) => newcomer,
        Err(trouble) => {
            put_out(&socket, &trouble);
            return;
        }
    };
    let member = Member::new(
        socket.clone(),
        arrival.inbox,
        arrival.gone,
        arrival.proof,
        &newcomer,
    );
    let known = newcomer
        .session
        .as_deref()
        .and_then(|key| app.chat.find(key, &newcomer.agent));
    let mut member = Box::new(member);
    if let Some(handle) = known {
        match handle.orders.try_send(Order::Join(member)) {
            Ok(()) => return,
            Err(
                mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order),
            ) => {
                // It is just ending: a new one begins.
                let Order::Join(back) = order else { return };
                member = back;
            }
        }
    }
    if let Err(trouble) = session::open(app, newcomer, member).await {
        put_out(&socket, &trouble);
    }
}

/// Tells a newcomer why, and puts it out of the namespace.
fn put_out(socket: &SocketRef, trouble: &Trouble) {
    metrics::counter!("wallboard_chat_refused_total", "why" => trouble.code).increment(1);
    // It has just come: its queue has room, or it is gone.
    let _gone = socket.emit("error", trouble);
    let _gone = socket.clone().disconnect();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_agent_is_named_by_text_number_or_the_first_of_several() {
        for (value, expected) in [
            (json!("a2"), Some("a2")),
            (json!(1), Some("1")),
            (json!(["x", "y"]), Some("x")),
            (json!(" "), None),
            (json!({}), None),
        ] {
            assert_eq!(word(&value).as_deref(), expected, "{value}");
        }
        for (query, expected) in [
            ("agentId=front%20desk&EIO=4", Some("front desk")),
            ("EIO=4&agentId=a&agentId=b", Some("a")),
            ("agentId[]=a&agentId[]=b", Some("a")),
            ("EIO=4&agentid=a", None),
            ("agentId=", None),
        ] {
            assert_eq!(in_query(query, "agentId").as_deref(), expected, "{query}");
        }
    }
}
