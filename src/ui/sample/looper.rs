//! The call that needs somebody.

use chrono::TimeDelta;

use crate::call::{
    Band, Call, CallStatus, Cut, Direction, Line, LineBody, Listener, Note, Recording,
    RecordingState, Severity, Track,
};

use super::{ELEVEN, Who, alert, base, bridge_quality, now, said};

/// An agent that repeats itself.
#[expect(clippy::too_many_lines, reason = "one flat list of what was said")]
pub(super) fn looper() -> Call {
    let who = Who {
        n: 1,
        number: "+14155550134",
        name: Some("Maria Lopez"),
        agent: "ava",
        vendors: ELEVEN,
        direction: Direction::Inbound,
    };
    let mut call = base(&who, CallStatus::InProgress, 275, Some(271));
    use Track::{FromAgent, FromCaller};
    said(
        &mut call,
        135,
        FromCaller,
        "Hi, I am calling about my refund.",
        None,
    );
    said(
        &mut call,
        133,
        FromAgent,
        "Of course. Can I have your order number, please?",
        Some(800),
    );
    said(
        &mut call,
        128,
        FromCaller,
        "It is four one seven, nine —",
        None,
    );
    said(
        &mut call,
        126,
        FromAgent,
        "Thank you. Let me check the status of that order for you right away.",
        Some(1_100),
    );
    if let Some(LineBody::Speech { cut, .. }) = call.lines.last_mut().map(|line| &mut line.body) {
        *cut = Some(Cut {
            heard: "Thank you. Let me ch".into(),
            cut_at_ms: 600,
            by: None,
        });
    }
    call.interruptions = 1;
    said(&mut call, 125, FromCaller, "— nine two. Sorry.", None);
    said(
        &mut call,
        122,
        FromAgent,
        "Let me check that for you.",
        Some(1_300),
    );
    call.lines.push(Line {
        turn: 7,
        at: now() - TimeDelta::seconds(121),
        body: LineBody::Tool {
            tool_call_id: "t1".into(),
            name: "lookup_order".into(),
            args: "{\"id\":\"417992\"}".into(),
            ok: Some(true),
            result: "{\"state\":\"returned\",\"refund\":null}".into(),
            took_ms: Some(400),
        },
    });
    said(
        &mut call,
        95,
        FromAgent,
        "Let me check that for you.",
        Some(2_200),
    );
    said(
        &mut call,
        64,
        FromAgent,
        "Let me check that for you one more time.",
        Some(2_400),
    );
    said(&mut call, 2, FromCaller, "are you still th", None);
    if let Some(LineBody::Speech { interim, .. }) = call.lines.last_mut().map(|l| &mut l.body) {
        *interim = true;
    }
    call.alerts = vec![
        alert(
            "agent_loop",
            Severity::Critical,
            "loop ×3, 41 s",
            41,
            &[8, 9],
        ),
        alert("slow_turn", Severity::Warn, "slow turns", 60, &[9]),
    ];
    call.recordings = vec![Recording {
        id: "RE1".into(),
        state: RecordingState::InProgress,
        duration_s: None,
        url: None,
        error: None,
    }];
    call.listeners = vec![Listener {
        listener: "l1".into(),
        by: "ben".into(),
    }];
    call.claimed_by = Some("ben".into());
    call.quality = Some(bridge_quality(4.1, 6.0, 0.2, Band::Good));
    call.notes = vec![Note {
        at: now() - TimeDelta::seconds(30),
        by: "ben".into(),
        text: "prompt v12, refund clause".into(),
    }];
    call.flags = vec!["hallucination".into()];
    call
}
