//! The attach protocol: joining, resuming without a gap, commands, scope, revocation.

use std::time::Duration;

use serde_json::{Value, json};
use wallboard::call::{CallFacts, CallStatus, Grant, Role};
use wallboard::engine::Target;

use crate::it::support::backend::{ADMIN, Backend, sid};
use crate::it::support::socketio::SioClient;

const ID: &str = "0190a000-0000-7000-8000-000000000001";

async fn join(backend: &Backend, token: &str) -> SioClient {
    let auth = json!({ "token": token, "client": "test", "v": 1 });
    SioClient::join(&backend.url, "/wallboard", auth)
        .await
        .unwrap()
}

async fn see(backend: &Backend, number: u32, lead: Option<&str>) {
    let target = Target::Carrier {
        facts: CallFacts {
            carrier: "twilio".into(),
            carrier_call_id: Some(sid("CA", number)),
            from: "+14155550134".into(),
            lead_id: lead.map(str::to_owned),
            ..CallFacts::default()
        },
        status: CallStatus::Ringing,
        started_at: None,
    };
    backend.core.switchboard.post(target, vec![]).await.unwrap();
}

#[tokio::test]
async fn strangers_and_other_versions_are_refused_in_a_word() {
    let backend = Backend::start().await;
    for (auth, word) in [
        (json!({ "token": "wb_wrong", "v": 1 }), "unauthorized"),
        (json!({}), "unauthorized"),
        (json!({ "token": ADMIN, "v": 2 }), "version"),
    ] {
        let refused = SioClient::join(&backend.url, "/wallboard", auth).await;
        assert_eq!(refused.err().as_deref(), Some(word));
    }
}

#[tokio::test]
async fn hello_comes_first_and_every_request_gets_one_reply() {
    let backend = Backend::start().await;
    let mut client = join(&backend, ADMIN).await;
    let (event, hello) = client.event().await.unwrap();
    assert_eq!(event, "hello");
    assert_eq!(hello["v"], 1);
    assert_eq!(hello["role"], "admin");
    assert!(
        hello["verbs"]
            .as_array()
            .unwrap()
            .contains(&json!("terminate"))
    );
    client.emit_acked("ping", json!({ "id": ID })).await;
    let reply = client.wait_for("reply").await;
    assert_eq!(reply["id"], ID);
    client
        .emit("watch", json!({ "id": "w", "calls": [] }))
        .await;
    assert_eq!(client.wait_for("reply").await["id"], "w");
    assert_eq!(client.acked.len(), 1);
    assert_eq!(client.acked[0].1["id"], ID);
}

/// Reads envelopes until `to`, checking that nothing is missing after `from`.
async fn read_to(client: &mut SioClient, mut from: u64, to: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while from < to {
        let batch = client.wait_for("envelopes").await;
        assert_eq!(
            batch["from"], from,
            "a batch begins where the last one ended"
        );
        from = batch["to"].as_u64().unwrap();
        let items = batch["items"].as_array().unwrap();
        seqs.extend(items.iter().map(|item| item["seq"].as_u64().unwrap()));
    }
    seqs
}

#[tokio::test]
async fn a_client_resumes_exactly_where_it_left() {
    let backend = Backend::start().await;
    for number in 0..5 {
        see(&backend, number, None).await;
    }
    let mut client = join(&backend, ADMIN).await;
    let hello = client.wait_for("hello").await;
    client
        .emit("resume", json!({ "id": ID, "epoch": null, "since": null }))
        .await;
    let part = client.wait_for("snapshot").await;
    assert_eq!(
        (part["part"].as_u64(), part["parts"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(part["seq"], 5);
    assert_eq!(part["calls"].as_array().unwrap().len(), 5);
    for number in 5..40 {
        see(&backend, number, None).await;
    }
    assert_eq!(
        read_to(&mut client, 5, 40).await,
        (6..=40).collect::<Vec<_>>()
    );
    drop(client);
    for number in 40..60 {
        see(&backend, number, None).await;
    }
    let mut client = join(&backend, ADMIN).await;
    client
        .emit(
            "resume",
            json!({ "id": ID, "epoch": hello["epoch"], "since": 40 }),
        )
        .await;
    assert_eq!(
        read_to(&mut client, 40, 60).await,
        (41..=60).collect::<Vec<_>>()
    );

    let mut stale = join(&backend, ADMIN).await;
    stale
        .emit("resume", json!({ "id": ID, "epoch": ID, "since": 40 }))
        .await;
    let part = stale.wait_for("snapshot").await;
    assert_eq!(
        part["seq"], 60,
        "a place of another run is answered with the whole board"
    );

    let mut current = join(&backend, ADMIN).await;
    current
        .emit(
            "resume",
            json!({ "id": ID, "epoch": hello["epoch"], "since": 60 }),
        )
        .await;
    let batch = current.wait_for("envelopes").await;
    assert_eq!(batch, json!({ "from": 60, "to": 60, "items": [] }));
}

#[tokio::test]
async fn numbers_are_masked_and_other_leads_hidden_without_looking_like_a_gap() {
    let backend = Backend::start().await;
    let mut grant = Grant::of("lea", Role::Operator);
    grant.leads = Some(["L1".to_owned()].into());
    let token = backend.token(grant);
    let mut client = retry_join(&backend, &token).await;
    client
        .emit("resume", json!({ "id": ID, "epoch": null, "since": null }))
        .await;
    assert_eq!(client.wait_for("snapshot").await["calls"], json!([]));
    see(&backend, 1, Some("L2")).await;
    see(&backend, 2, None).await;
    see(&backend, 3, Some("L1")).await;
    let batch = client.wait_for("envelopes").await;
    assert_eq!(
        (batch["from"].as_u64(), batch["to"].as_u64()),
        (Some(0), Some(3))
    );
    let items = batch["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let text = items[0].to_string();
    assert!(
        !text.contains("14155550134") && text.contains("0134"),
        "{text}"
    );

    // By the carrier's id as by our own.
    let carriers = sid("CA", 1);
    let ours = backend
        .core
        .switchboard
        .read(|board| board.find(&carriers).unwrap().id);
    for (n, hidden) in [carriers, ours.to_string()].into_iter().enumerate() {
        let id = format!("0190a000-0000-7000-8000-00000000010{n}");
        let note = json!({ "text": "x" });
        let command = json!({ "id": id, "call": hidden, "verb": "note", "args": note });
        client.emit("command", command).await;
        let reply = loop {
            let reply = client.wait_for("reply").await;
            if reply["id"] == id.as_str() {
                break reply;
            }
        };
        assert_eq!(reply["error"]["code"], "not_found", "{hidden}");
    }
}

/// Joins, and has the board.
async fn on_board(backend: &Backend, token: &str) -> SioClient {
    let mut client = join(backend, token).await;
    client
        .emit("resume", json!({ "id": ID, "epoch": null, "since": null }))
        .await;
    client.wait_for("snapshot").await;
    client
}

/// The one fact that brings the client from `from` to `from + 1`, as text.
async fn next_fact(client: &mut SioClient, from: u64) -> String {
    let batch = client.wait_for("envelopes").await;
    assert_eq!(
        (&batch["from"], &batch["to"]),
        (&from.into(), &(from + 1).into())
    );
    assert_eq!(batch["items"].as_array().unwrap().len(), 1);
    batch["items"][0].to_string()
}

#[tokio::test]
async fn clients_side_by_side_get_every_fact_once_each_as_it_may_see_it() {
    let backend = Backend::start().await;
    let may_unmask = backend.token(Grant::of("una", Role::Admin));
    let viewer = backend.token(Grant::of("vic", Role::Viewer));
    let mut lead = Grant::of("lea", Role::Viewer);
    lead.leads = Some(["L1".to_owned()].into());
    let lead = backend.token(lead);
    drop(retry_join(&backend, &lead).await);
    let mut una = on_board(&backend, &may_unmask).await;
    let mut vic = on_board(&backend, &viewer).await;
    let mut lea = on_board(&backend, &lead).await;
    for seq in 0..20 {
        see(&backend, seq, Some("L1")).await;
        let from = u64::from(seq);
        assert!(next_fact(&mut una, from).await.contains("+14155550134"));
        for masked in [&mut vic, &mut lea] {
            let text = next_fact(masked, from).await;
            assert!(
                !text.contains("14155550134") && text.contains("0134"),
                "{text}"
            );
        }
        if seq == 10 {
            // One that comes later, and one that comes back.
            una = on_board(&backend, &may_unmask).await;
        }
    }

    // The token may do less from now on.
    let path = backend.tokens.path();
    let tokens = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, tokens.replace("\"admin\"", "\"viewer\"")).unwrap();
    let mut seq = 20;
    loop {
        see(&backend, seq, None).await;
        let text = next_fact(&mut una, u64::from(seq)).await;
        next_fact(&mut vic, u64::from(seq)).await;
        if !text.contains("14155550134") {
            break;
        }
        seq += 1;
        assert!(seq < 2_000, "the number is still shown");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The server follows the token file within a second.
async fn retry_join(backend: &Backend, token: &str) -> SioClient {
    for _ in 0..100 {
        let auth = json!({ "token": token });
        if let Ok(client) = SioClient::join(&backend.url, "/wallboard", auth).await {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the new token was never accepted");
}

#[tokio::test]
async fn a_revoked_token_cuts_its_open_socket() {
    let backend = Backend::start().await;
    let token = backend.token(Grant::of("ana", Role::Viewer));
    let mut client = retry_join(&backend, &token).await;
    client.wait_for("hello").await;
    backend
        .tokens
        .revoke("ana", backend.core.clock.now())
        .unwrap();
    let cut = tokio::time::timeout(Duration::from_secs(2), client.wait_for("bye"));
    let bye = cut.await.expect("within two seconds");
    assert_eq!(bye["retry_ms"], Value::Null);
    assert!(client.event().await.is_none());
}

#[tokio::test]
async fn commands_are_refused_with_a_code_and_a_hint() {
    let backend = Backend::start().await;
    see(&backend, 1, None).await;
    let token = backend.token(Grant::of("vic", Role::Viewer));
    let mut client = retry_join(&backend, &token).await;
    client
        .emit(
            "command",
            json!({ "id": ID, "call": sid("CA", 1), "verb": "terminate" }),
        )
        .await;
    let reply = client.wait_for("reply").await;
    assert_eq!(reply["error"]["code"], "forbidden");
    assert!(!reply["error"]["hint"].as_str().unwrap().is_empty());
    for bad in [
        json!({ "id": "not-a-uuid", "call": sid("CA", 1), "verb": "terminate" }),
        json!({ "id": ID, "call": sid("CA", 1), "verb": "levitate" }),
        json!([1, 2]),
    ] {
        client.emit("command", bad).await;
        assert_eq!(client.wait_for("reply").await["error"]["code"], "invalid");
    }
}

#[tokio::test]
async fn stopping_says_bye() {
    let backend = Backend::start().await;
    let mut client = join(&backend, ADMIN).await;
    client.wait_for("hello").await;
    let (bye, ()) = tokio::join!(
        client.wait_for("bye"),
        backend.server.stop(Duration::from_secs(4))
    );
    assert_eq!(bye["retry_ms"], 1_000);
}
