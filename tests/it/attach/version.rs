//! A backend of another version: one sentence, what to do about it, and an exit code.

use axum::Router;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use socketioxide::handler::ConnectHandler as _;

use super::*;
use crate::it::cli_rig::Home;

#[derive(Debug)]
struct Newer;

impl std::fmt::Display for Newer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("version")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_the_backend_is_said_in_a_sentence_with_its_exit_code() {
    let (tasks, (layer, io)) = (Tasks::new(), SocketIo::new_layer());
    let enter = async |_: SocketRef| {};
    let door = async |_: SocketRef| Err::<(), Newer>(Newer);
    io.ns("/wallboard", enter.with(door));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let token = tasks.token().clone();
    tasks.spawn("stand-in", async move {
        tokio::select! {
            _ = axum::serve(listener, Router::new().layer(layer)) => {}
            () = token.cancelled() => {}
        }
    });
    tokio::task::block_in_place(|| {
        let home = Home::new().with("WALLBOARD_TOKEN", "wb_any");
        for args in [&["attach", &url][..], &["events", "--url", &url]] {
            let said = home.run(args).expect(1);
            let words = format!("{}{}", said.out, said.err);
            assert!(words.contains("another version of the protocol"), "{words}");
            assert!(words.contains("same version on both sides"), "{words}");
        }
    });
    tasks.cancel();
}
