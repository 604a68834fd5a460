//! Policies, recordings, notices and draining, on virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use crate::call::{AnsweredBy, CallEvent, CallId, Fact, LeadRow, Recording, RecordingState};
use crate::engine::testing::{Answer, core, eventually, live_call, outcomes, parts};
use crate::engine::{
    BridgeOrder, CarrierError, Core, Drained, HistoryPage, HistoryQuery, Journal, KeptRecording,
    MemoryJournal, MissingRecording, OnMachine, RecordingVault, Route, StoreError, StoreHealth,
    Target,
};

fn verdict(verdict: AnsweredBy) -> Vec<Fact> {
    vec![Fact::AnsweredBy {
        verdict,
        took_ms: None,
    }]
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_hung_up_on_where_the_route_says_so_and_only_there() {
    for (on_machine, by, hang_ups) in [
        (OnMachine::End, AnsweredBy::MachineStart, 1),
        (OnMachine::End, AnsweredBy::Human, 0),
        (OnMachine::Continue, AnsweredBy::MachineStart, 0),
    ] {
        let (mut core, carrier, journal) = core();
        let mut plans = (*core.plans).clone();
        plans.routes.push(Route {
            on_machine,
            ..Route::default()
        });
        core.plans = Arc::new(plans);
        core.keep_house();
        let call = live_call(&core, "CA1").await;
        core.switchboard
            .post(Target::Call(call), verdict(by))
            .await
            .expect("posted");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(
            carrier.state().hang_ups.len(),
            hang_ups,
            "{on_machine:?} {by:?}"
        );
        assert_eq!(outcomes(&journal).is_empty(), hang_ups == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_inbound_call_is_recorded_once_where_the_route_says_so() {
    for record in [true, false] {
        let (mut core, carrier, _journal) = core();
        let mut plans = (*core.plans).clone();
        plans.routes.push(Route {
            record,
            ..Route::default()
        });
        core.plans = Arc::new(plans);
        core.keep_house();
        let call = live_call(&core, "CA1").await;
        for stream_id in ["MZ1", "MZ2"] {
            let started = Fact::StreamStarted {
                stream_id: stream_id.into(),
            };
            let posted = core.switchboard.post(Target::Call(call), vec![started]);
            posted.await.expect("posted");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(carrier.state().records.len(), usize::from(record));
    }
}

#[derive(Clone, Debug, Default)]
struct FakeVault(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl RecordingVault for FakeVault {
    fn keep(
        &self,
        _call: CallId,
        recording: String,
        audio: Bytes,
    ) -> BoxFuture<'static, Result<String, StoreError>> {
        let id = format!("kept-{recording}");
        self.0.lock().expect("whole").insert(id.clone(), audio);
        Box::pin(ready(Ok(id)))
    }

    fn find(&self, _id: String) -> BoxFuture<'static, Result<Option<KeptRecording>, StoreError>> {
        Box::pin(ready(Ok(None)))
    }

    fn missing(&self) -> BoxFuture<'static, Result<Vec<MissingRecording>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_recording_is_fetched_once_and_served_under_our_name() {
    let (mut core, carrier, _journal) = core();
    let vault = FakeVault::default();
    core.vault = Some(Arc::new(vault.clone()));
    core.keep_house();
    let call = live_call(&core, "CA1").await;
    let done = || Fact::RecordingChanged {
        recording: Recording {
            id: "RE1".into(),
            state: RecordingState::Completed,
            duration_s: Some(9),
            url: None,
            error: None,
        },
    };
    // The file is not there at once.
    let early = CarrierError::Refused {
        code: Some(20404),
        message: "not found".into(),
    };
    carrier.answers([Answer::No(early)]);
    for _ in 0..3 {
        core.switchboard
            .post(Target::Call(call), vec![done()])
            .await
            .expect("posted");
    }
    let url = |core: &Core| {
        core.switchboard.read(|board| {
            board
                .get(call)
                .and_then(|call| call.recordings.first().and_then(|one| one.url.clone()))
        })
    };
    eventually(&core, "kept", |core| url(core).is_some()).await;
    assert_eq!(url(&core).as_deref(), Some("/api/recordings/kept-RE1"));
    core.switchboard
        .post(Target::Call(call), vec![done()])
        .await
        .expect("posted");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(carrier.state().fetches, 2);
    assert_eq!(vault.0.lock().expect("whole").len(), 1);
}

/// A journal whose disk can be taken away.
#[derive(Clone, Debug)]
struct Moody(MemoryJournal, watch::Sender<StoreHealth>);

impl Journal for Moody {
    fn append(&self, envelope: Arc<crate::call::Envelope>) -> Result<(), StoreError> {
        self.0.append(envelope)
    }
    fn flush(&self) -> BoxFuture<'static, Result<(), StoreError>> {
        self.0.flush()
    }
    fn history(&self, query: HistoryQuery) -> BoxFuture<'static, Result<HistoryPage, StoreError>> {
        self.0.history(query)
    }
    fn unfinished(&self) -> BoxFuture<'static, Result<Vec<crate::call::Call>, StoreError>> {
        self.0.unfinished()
    }
    fn ended_before(&self, carrier: String, id: String) -> BoxFuture<'static, bool> {
        self.0.ended_before(carrier, id)
    }
    fn health(&self) -> Option<watch::Receiver<StoreHealth>> {
        Some(self.1.subscribe())
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_disk_is_a_notice_and_so_is_its_recovery() {
    let journal = Moody(MemoryJournal::new(), watch::Sender::new(StoreHealth::Good));
    let (parts, _carrier) = parts(Arc::new(journal.clone()));
    let core = Core::new(parts);
    core.keep_house();
    let codes = || -> Vec<String> {
        let all = journal.0.envelopes();
        all.iter()
            .filter_map(|envelope| match &envelope.event {
                CallEvent::Known(Fact::Notice { code, .. }) => Some(code.clone()),
                _ => None,
            })
            .collect()
    };
    journal.1.send_replace(StoreHealth::Failing {
        reason: "disk full".into(),
        hint: "free some".into(),
    });
    eventually(&core, "named", |_| codes() == ["store_failing"]).await;
    journal.1.send_replace(StoreHealth::Good);
    eventually(&core, "over", |_| {
        codes() == ["store_failing", "store_recovered"]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_calls_to_end_and_hands_the_rest_over() {
    let (core, _carrier, _journal) = core();
    let (short, long) = (live_call(&core, "CA1").await, live_call(&core, "CA2").await);
    let (_orders, _) = core.bridges.register(short, 1);
    let (mut orders, _) = core.bridges.register(long, 2);
    let bridges = core.bridges.clone();
    core.tasks.spawn("bridge", async move {
        let order = orders.recv().await.expect("an order");
        assert!(matches!(order.order, BridgeOrder::HandOver { .. }));
        bridges.unregister(long, 2);
        order.done.send(Ok(())).ok();
    });
    let ended = core.bridges.clone();
    core.tasks.spawn("short call", async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        ended.unregister(short, 1);
    });
    let begun = tokio::time::Instant::now();
    let drained = core.drain(Duration::from_secs(30)).await;
    assert_eq!(
        drained,
        Drained {
            handed_over: 1,
            stuck: 0
        }
    );
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert!(core.dialling.admit().is_err());
    assert_eq!(
        core.drain(Duration::from_secs(30)).await,
        Drained::default()
    );
}

#[tokio::test(start_paused = true)]
async fn the_caller_gets_the_name_of_their_lead() {
    let (core, _carrier, journal) = core();
    let mut row = LeadRow::default();
    row.set("id", "L7");
    row.set("name", "Ana Roy");
    row.set("number", "+15551230000");
    let lead = row.checked(core.clock.now()).expect("a lead");
    journal.keep_leads(vec![lead]).await.expect("kept");
    core.keep_house();
    let call = live_call(&core, "CA1").await;
    eventually(&core, "the name on the card", |core| {
        core.switchboard.read(|board| {
            let facts = &board.get(call).expect("a call").facts;
            facts.lead_id.as_deref() == Some("L7") && facts.name.as_deref() == Some("Ana Roy")
        })
    })
    .await;
}
