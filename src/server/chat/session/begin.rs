//! How a conversation begins: its call on the board, its agent, its leg to the bridge; and the word
//! that it is over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bridge::StreamStart;
use crate::call::{CallFacts, CallId, CallStatus, Direction, Fact, Source};
use crate::engine::{CallPlan, Fallback, Target, attach_stream, random};
use crate::providers::{MODALITY, hex};

use super::super::super::state::App;
use super::super::CARRIER;
use super::super::answer::Answers;
use super::super::desk::{Handle, SESSIONS_MAX};
use super::super::door::Newcomer;
use super::super::leg::{LegCodec, leg};
use super::super::sound::LEG;
use super::super::trouble::Trouble;
use super::turns::Floor;
use super::{Conversation, Member};

/// Orders and facts waiting for one conversation.
const ORDERS_MAX: usize = 256;

/// Begins a conversation with its first socket.
///
/// # Errors
/// What the client is told before it is put out.
pub(in crate::server::chat) async fn open(
    app: &Arc<App>,
    newcomer: Newcomer,
    member: Box<Member>,
) -> Result<(), Trouble> {
    let id = format!("CH{}", hex(&random::<12>()));
    let key = hex(&random::<16>());
    let (call, plan) = place(app, &id, &newcomer).await?;
    let (leg, socket) = leg();
    let (orders, ordered) = mpsc::channel(ORDERS_MAX);
    let handle = Handle {
        call,
        agent: newcomer.agent.clone(),
        key: key.clone(),
        is_read: !newcomer.with_audio,
        orders,
    };
    if !app.chat.enter(&id, handle) {
        post_end(app, call, CallStatus::Failed, "refused").await;
        return Err(overloaded("try again in a minute"));
    }
    let mut start = StreamStart {
        stream_id: format!("{id}-1"),
        carrier_call_id: id.clone(),
        account_id: None,
        format: LEG,
        custom: BTreeMap::new(),
    };
    if !newcomer.with_audio {
        start.custom.insert(MODALITY.into(), "text".into());
    }
    let greeting = plan.agent.brief.first_message.as_ref();
    let greets = greeting.is_none_or(|text| !text.trim().is_empty());
    let fallback = match plan.fallback {
        Fallback::Say(text) => Some(text),
        Fallback::Transfer(_) => None,
    };
    let bridge = attach_stream(&app.core, call, Box::new(socket), Box::new(LegCodec), start);
    let conversation = Conversation {
        app: Arc::clone(app),
        id,
        key,
        agent: newcomer.agent,
        call,
        members: Vec::new(),
        leg,
        bridge,
        answers: Answers::new(newcomer.wish),
        floor: Floor::new(greets),
        began: Instant::now(),
        fed_until: Duration::ZERO,
        alone_since: None,
        texts: VecDeque::new(),
        echoed_at: None,
        fallback,
        proof_at: Duration::ZERO,
        ended: None,
    };
    app.tasks
        .spawn("conversation", conversation.run(member, ordered));
    Ok(())
}

/// Puts the call on the board and finds out who answers it.
async fn place(app: &App, id: &str, newcomer: &Newcomer) -> Result<(CallId, CallPlan), Trouble> {
    if app.chat.len() >= SESSIONS_MAX {
        return Err(overloaded("try again in a minute"));
    }
    let facts = CallFacts {
        carrier: CARRIER.to_owned(),
        carrier_call_id: Some(id.to_owned()),
        direction: Direction::Inbound,
        from: match &newcomer.user {
            Some(user) => format!("client:{user}"),
            None => "client:guest".to_owned(),
        },
        to: newcomer.agent.clone(),
        name: newcomer.name.clone(),
        lead_id: newcomer.lead_id.clone(),
        agent: Some(newcomer.agent.clone()),
        ..CallFacts::default()
    };
    let target = Target::Carrier {
        facts,
        status: CallStatus::InProgress,
        started_at: None,
    };
    let posted = app.core.switchboard.post(target, Vec::new()).await;
    let Some(call) = posted.ok().and_then(|posted| posted.call) else {
        return Err(overloaded("the backend is busy, try again"));
    };
    let about = app.core.switchboard.read(|board| board.get(call).cloned());
    let plan = about.as_ref().map(|about| app.core.plan_for(about));
    match plan {
        Some(Ok(plan)) => Ok((call, plan)),
        refused => {
            let why = refused.and_then(Result::err);
            post_end(app, call, CallStatus::Failed, "refused").await;
            let hint = why.map_or_else(|| "try again".to_owned(), |refusal| refusal.hint);
            Err(Trouble::new(
                "overloaded",
                "connect",
                "this agent cannot take another conversation now",
                hint,
            ))
        }
    }
}

fn overloaded(hint: &str) -> Trouble {
    Trouble::new(
        "overloaded",
        "connect",
        "too many conversations at once",
        hint,
    )
}

pub(super) async fn post_end(app: &App, call: CallId, status: CallStatus, cause: &str) {
    let ended = Fact::CallEnded {
        status,
        ended_by: None,
        cause: Some(cause.to_owned()),
        duration_s: None,
        source: Source::Stream,
    };
    // A backend that has stopped keeps no more books.
    let _stopped = app
        .core
        .switchboard
        .post(Target::Call(call), vec![ended])
        .await;
}
