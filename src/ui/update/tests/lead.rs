//! Everything said with one lead.

use std::time::Duration;

use crate::call::Fact;
use crate::engine::{HistoryPage, Said};
use crate::ui::model::Page;
use crate::ui::picture::{Still, text};
use crate::ui::{Effect, Msg, sample};

use super::paging::asked;
use super::{fact, still};

#[test]
fn a_leads_timeline_shows_text_and_voice_follows_what_is_said_and_opens_the_call() {
    let mut still = still();
    let mut hello = sample::hello();
    hello.features.push("timeline".into());
    still.update(crate::engine::Update::Hello(hello));
    let lead = |still: &mut Still, typed: &str| {
        still.keys(":");
        still.type_text(typed);
        still.keys("enter");
    };
    lead(&mut still, "lead L\u{1b}9");
    assert!(matches!(asked(&still), Some(Effect::Lead(1, lead)) if lead.starts_with('L')));
    // Without an id: whose call it is.
    still.keys("1");
    lead(&mut still, "lead");
    let Some(Effect::Lead(serial, id)) = asked(&still).cloned() else {
        panic!("not asked");
    };
    assert_eq!(id, "lead-1");
    let said = |id: &str, channel: &str, text: &str, call| Said {
        id: id.into(),
        at: sample::now(),
        sent_by: "user".into(),
        channel: channel.into(),
        text: text.into(),
        call,
    };
    let page = |said: Vec<Said>| HistoryPage {
        said,
        ..HistoryPage::default()
    };
    let rows = vec![
        said("m1", "sms", "Where is my \u{1b}[2Jorder?", None),
        said("v1", "voice", "About the refund", Some(sample::id(1))),
    ];
    let late = page(vec![said("m9", "sms", "of another lead", None)]);
    still.message(Msg::Lead {
        serial: serial - 1,
        result: Ok(late),
    });
    still.message(Msg::Lead {
        serial,
        result: Ok(page(rows)),
    });
    let shown = text(&still.draw(120, 40));
    for part in [
        "lead-1",
        "sms",
        "voice",
        "About the refund",
        "2 of 2",
        "WHEN",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("another lead"));
    // Something is said: it is asked again, a second later and not before.
    still.effects.clear();
    let new = Fact::UtteranceFinal {
        turn: 99,
        track: crate::call::Track::FromCaller,
        text: "One more thing".into(),
        latency_ms: None,
    };
    fact(&mut still, sample::id(1), new);
    still.message(Msg::Tick);
    still.after(Duration::from_secs(2));
    still.message(Msg::Tick);
    let again = still
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Lead(..)));
    assert_eq!(again.count(), 1);
    still.keys("k enter");
    let toast = still.model.toast.take().unwrap().text;
    assert!(toast.contains("no call belongs to it"), "{toast}");
    still.keys("j enter");
    assert_eq!(
        (still.model.page, still.model.list.selected),
        (Page::Call, Some(sample::id(1)))
    );
}
