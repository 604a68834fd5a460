//! A believable board, for tests, benches and pictures: fixed time, fixed calls, invented people.

mod load;
mod looper;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::call::{
    AgentLink, Alert, AnsweredBy, Band, Call, CallFacts, CallId, CallStatus, Direction, Epoch,
    Line, LineBody, MediaLink, Quality, Role, Severity, StoreLevel, Track, TurnTiming, Verb,
};
use crate::engine::{Hello, LinkState, Update};

use looper::looper;

pub use load::{gauges, long_call, many};

/// The moment every sample is about.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_269_835, 0).unwrap_or_default()
}

/// The nth sample call's id.
pub fn id(n: u8) -> CallId {
    CallId::from_parts(1_795_269_000_000 + u64::from(n), [n; 10])
}

/// What the sample backend says of itself.
pub fn hello() -> Hello {
    Hello {
        v: 1,
        backend_id: "prod-eu".into(),
        epoch: Epoch::from_parts(1_795_269_000_000, [7; 10]),
        seq: 1,
        now: now(),
        user: "ana".into(),
        role: Role::Admin,
        verbs: Verb::ALL.to_vec(),
        leads: None,
        features: ["listen", "record", "dial", "recordings"]
            .map(str::to_owned)
            .to_vec(),
        transfers: ["Front desk", "Sales"].map(str::to_owned).to_vec(),
    }
}

struct Who<'a> {
    n: u8,
    number: &'a str,
    name: Option<&'a str>,
    agent: &'a str,
    vendors: (&'a str, &'a str),
    direction: Direction,
}

fn base(who: &Who<'_>, status: CallStatus, age_s: i64, answered_s: Option<i64>) -> Call {
    let ours = "+18005550100".to_owned();
    let (from, to) = match who.direction {
        Direction::Inbound => (who.number.to_owned(), ours),
        Direction::Outbound => (ours, who.number.to_owned()),
    };
    let facts = CallFacts {
        carrier: who.vendors.0.into(),
        carrier_call_id: Some(format!("CA{:032x}", u32::from(who.n))),
        direction: who.direction,
        from,
        to,
        name: who.name.map(str::to_owned),
        lead_id: Some(format!("lead-{}", who.n)),
        agent: Some(who.agent.into()),
        agent_kind: Some(who.vendors.1.into()),
        adopted: false,
        observed: false,
        store: StoreLevel::All,
    };
    let at = now();
    let mut call = Call::new(id(who.n), facts, status, at - TimeDelta::seconds(age_s));
    call.updated_at = at;
    call.seq = u64::from(who.n);
    if let Some(answered) = answered_s {
        call.answered_at = Some(at - TimeDelta::seconds(answered));
        call.agent_link = AgentLink::Connected;
        call.media_link = MediaLink::Up;
        call.conversation_id = Some(format!("conv_{:04}", who.n));
        if who.direction == Direction::Outbound {
            call.answered_by = Some(AnsweredBy::Human);
        }
    }
    call
}

fn said(call: &mut Call, ago_s: i64, track: Track, text: &str, latency_ms: Option<u32>) {
    let turn = call.lines.len() as u32 + 1;
    if let Some(latency_ms) = latency_ms {
        call.turns.push(TurnTiming {
            turn,
            latency_ms,
            ears_ms: Some(latency_ms / 8),
            token_ms: None,
            think_ms: Some(latency_ms * 5 / 8),
            voice_ms: Some(latency_ms / 4),
        });
    }
    call.lines.push(Line {
        turn,
        at: now() - TimeDelta::seconds(ago_s),
        body: LineBody::Speech {
            track,
            text: text.into(),
            interim: false,
            latency_ms,
            cut: None,
        },
    });
}

fn alert(rule: &str, severity: Severity, reason: &str, since_s: i64, evidence: &[u32]) -> Alert {
    Alert {
        rule: rule.into(),
        severity,
        reason: reason.into(),
        value: 3.0,
        threshold: 2.0,
        since: now() - TimeDelta::seconds(since_s),
        evidence: evidence.to_vec(),
        acknowledged_by: None,
        snoozed_until: None,
    }
}

const ELEVEN: (&str, &str) = ("twilio", "elevenlabs");
const OPENAI: (&str, &str) = ("plivo", "openai");

fn bridge_quality(score: f32, jitter_ms: f32, gap_pct: f32, band: Band) -> Quality {
    Quality {
        band,
        bridge_score: Some(score),
        jitter_ms: Some(jitter_ms),
        gap_pct: Some(gap_pct),
        rtt_ms: Some(62.0),
        source: "bridge".into(),
    }
}

fn talking(who: &Who<'_>, answered_s: i64, turns: &[u32], words: &[(Track, &str)]) -> Call {
    let mut call = base(
        who,
        CallStatus::InProgress,
        answered_s + 6,
        Some(answered_s),
    );
    let mut latencies = turns.iter().copied();
    for (index, (track, text)) in words.iter().enumerate() {
        let ago = (words.len() - index) as i64 * 6;
        let latency = (*track == Track::FromAgent)
            .then(|| latencies.next())
            .flatten();
        said(&mut call, ago, *track, text, latency);
    }
    for latency_ms in latencies {
        let turn = call.turns.len() as u32 + 20;
        call.turns.push(TurnTiming {
            turn,
            latency_ms,
            ..TurnTiming::default()
        });
    }
    call.quality = Some(bridge_quality(4.3, 4.0, 0.0, Band::Good));
    call
}

/// Thirteen calls in every state there is.
#[expect(clippy::too_many_lines, reason = "one flat list of calls")]
pub fn calls(at: DateTime<Utc>) -> Vec<Call> {
    use Direction::{Inbound, Outbound};
    use Track::{FromAgent, FromCaller};
    let who = |n, number, name, agent, vendors, direction| Who {
        n,
        number,
        name,
        agent,
        vendors,
        direction,
    };
    let mut calls = vec![looper()];

    let noah = who(
        2,
        "+442079460987",
        Some("Oliver Hart"),
        "noah",
        OPENAI,
        Inbound,
    );
    let mut dead_air = talking(
        &noah,
        67,
        &[1_200, 900, 1_000, 1_100],
        &[
            (FromAgent, "Good morning, how can I help?"),
            (FromCaller, "I would like to move my appointment."),
            (FromAgent, "One moment please."),
        ],
    );
    dead_air.alerts = vec![alert("dead_air", Severity::Warn, "dead air 9 s", 9, &[3])];
    calls.push(dead_air);

    let booking = who(
        3,
        "+12125550111",
        Some("Grace Kim"),
        "ava",
        ELEVEN,
        Outbound,
    );
    calls.push(talking(
        &booking,
        134,
        &[900, 800, 700, 800, 800],
        &[
            (FromAgent, "Hello, this is Ava from the clinic."),
            (FromCaller, "Oh hi, yes, I was expecting you."),
            (FromAgent, "Would Tuesday at ten suit you?"),
            (FromCaller, "Great, Tuesday at ten works for me."),
        ],
    ));

    let bad_line = who(
        4,
        "+33142688821",
        Some("Léa Moreau"),
        "mia",
        ELEVEN,
        Inbound,
    );
    let mut bad = talking(
        &bad_line,
        512,
        &[1_000, 1_400, 1_200, 1_700, 1_500],
        &[
            (FromCaller, "Vous m’entendez ? La ligne est mauvaise."),
            (
                FromAgent,
                "Oui, je vous entends. Pouvez-vous répéter votre nom ?",
            ),
        ],
    );
    bad.quality = Some(bridge_quality(2.9, 48.0, 4.6, Band::Bad));
    bad.alerts = vec![alert(
        "bad_line",
        Severity::Warn,
        "line 2.9, gaps 4.6 %",
        22,
        &[],
    )];
    calls.push(bad);

    let spare = who(5, "+13125550177", Some("Sam Patel"), "ava", ELEVEN, Inbound);
    let mut reconnecting = talking(
        &spare,
        43,
        &[700],
        &[
            (FromCaller, "Is somebody there?"),
            (FromAgent, "Yes, I am here. What can I do for you?"),
        ],
    );
    reconnecting.agent_link = AgentLink::Reconnecting;
    reconnecting.agent_link_reason = Some("socket closed 1006".into());
    calls.push(reconnecting);

    let jp = who(6, "+81355501234", Some("佐藤 花子"), "mia", ELEVEN, Inbound);
    calls.push(talking(
        &jp,
        3_725,
        &[600, 700, 900, 800],
        &[
            (FromCaller, "予約を変更したいのですが。"),
            (FromAgent, "かしこまりました。お名前をお願いします。"),
        ],
    ));

    let machine = who(7, "+16465550200", None, "ava", ELEVEN, Outbound);
    let mut voicemail = talking(
        &machine,
        12,
        &[],
        &[(FromCaller, "You have reached the voicemail of")],
    );
    voicemail.answered_by = Some(AnsweredBy::MachineStart);
    calls.push(voicemail);

    let hans = who(
        8,
        "+49301234471",
        Some("Hans Weber"),
        "noah",
        OPENAI,
        Outbound,
    );
    calls.push(base(&hans, CallStatus::Ringing, 7, None));
    let pat = who(9, "+16465550201", None, "ava", ELEVEN, Outbound);
    calls.push(base(&pat, CallStatus::Ringing, 3, None));
    let zoe = who(
        10,
        "+33155508821",
        Some("Zoé Petit"),
        "mia",
        ELEVEN,
        Inbound,
    );
    let mut connecting = base(&zoe, CallStatus::InProgress, 2, Some(2));
    connecting.agent_link = AgentLink::Connecting;
    calls.push(connecting);

    let done = who(
        11,
        "+14155557788",
        Some("Ida Novak"),
        "ava",
        ELEVEN,
        Inbound,
    );
    let mut ended = talking(
        &done,
        196,
        &[900, 1_000],
        &[(FromCaller, "Thank you, bye.")],
    );
    end(&mut ended, CallStatus::Completed, 4, Some("caller"));
    ended.duration_s = Some(192);
    calls.push(ended);
    let nobody = who(12, "+13035559981", None, "ava", ELEVEN, Outbound);
    let mut unanswered = base(&nobody, CallStatus::Ringing, 31, None);
    end(&mut unanswered, CallStatus::NoAnswer, 6, None);
    calls.push(unanswered);
    let hostile = who(
        13,
        "+15005550006",
        Some("\u{1b}]0;owned\u{7}Bobby \u{202e}tables\u{200b}"),
        "noah",
        OPENAI,
        Inbound,
    );
    let mut failed = base(&hostile, CallStatus::Ringing, 15, None);
    end(&mut failed, CallStatus::Failed, 8, None);
    failed.end_cause = Some("carrier error 31005".into());
    calls.push(failed);

    let shift = at - now();
    for call in &mut calls {
        for time in [&mut call.answered_at, &mut call.ended_at]
            .into_iter()
            .flatten()
        {
            *time += shift;
        }
        call.started_at += shift;
    }
    calls
}

fn end(call: &mut Call, status: CallStatus, ago_s: i64, by: Option<&str>) {
    call.status = status;
    call.ended_at = Some(now() - TimeDelta::seconds(ago_s));
    call.ended_by = by.map(str::to_owned);
    call.media_link = MediaLink::None;
}

/// What a screen receives from the sample backend at its start.
pub fn updates() -> Vec<Update> {
    let mut updates = vec![
        Update::Link(LinkState::Up),
        Update::Hello(hello()),
        Update::Snapshot {
            epoch: hello().epoch,
            seq: 1,
            calls: calls(now()),
        },
    ];
    updates.extend((0..16).map(|n| Update::Gauges(gauges(n))));
    updates
}

/// Monotonic time between two steps of the sample's meters.
pub const METER_STEP: Duration = Duration::from_millis(500);
