//! A board on which nothing happens still answers every key at once.

use super::*;
use crate::it::support::pty;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_is_painted_at_once_on_a_quiet_board() {
    let backend = Backend::start().await;
    tokio::task::block_in_place(|| {
        let env = [("WALLBOARD_TOKEN", ADMIN)];
        let mut screen = pty::Screen::start(&["attach", &backend.url], 100, 30, &env);
        screen.wait_for("No calls", 20);
        screen.keys(":");
        screen.wait_for("Commands", 5);
        // One key at a time, as a hand does; nothing else wakes the screen meanwhile.
        let mut typed = String::new();
        for key in "zebra crossing".chars() {
            typed.push(key);
            screen.keys(&key.to_string());
            let shown = format!("› {}", typed.trim_end());
            assert!(screen.appears(&shown, 900), "{typed}:\n{}", screen.text());
        }
    });
}
