//! The view a screen was left with is there again at the next start on the same backend, and only
//! there; a file that cannot be read is left out with a line.

use std::path::Path;

use super::*;
use crate::it::support::pty;

fn start(url: &str, state: &Path, more: &[&str]) -> pty::Screen {
    let args = [&["attach", url], more].concat();
    let env = [
        ("WALLBOARD_TOKEN", ADMIN),
        ("WALLBOARD_UI__RESTORE", "true"),
        ("XDG_STATE_HOME", state.to_str().unwrap()),
    ];
    let screen = pty::Screen::start(&args, 140, 40, &env);
    screen.wait_for("IN CALL", 20);
    screen
}

fn leave(mut screen: pty::Screen) {
    screen.keys("q");
    assert_eq!(screen.wait_exit(10), 0);
    screen.assert_restored();
}

fn command(screen: &mut pty::Screen, words: &str, answer: &str) {
    screen.keys(":");
    screen.wait_for("Commands", 20);
    // Letter by letter, as a hand: many in one breath are taken for a paste.
    for letter in words.chars() {
        screen.keys(&letter.to_string());
    }
    let typed = format!("› {words}");
    screen.wait_for(&typed, 20);
    screen.keys("\r");
    screen.wait_for(answer, 20);
}

const FILTER: &str = "/state:live";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_of_last_time_is_there_again_on_the_same_backend_and_only_there() {
    let (here, elsewhere) = (Backend::start().await, Backend::start().await);
    for backend in [&here, &elsewhere] {
        see(backend, 1, None).await;
    }
    let home = tempfile::tempdir().unwrap();
    let state = home.path();
    tokio::task::block_in_place(|| {
        let mut screen = start(&here.url, state, &[]);
        command(&mut screen, "filter state:live", FILTER);
        command(&mut screen, "sort newest", "by newest");
        command(&mut screen, "theme light", "theme light");
        leave(screen);
        let files: Vec<_> = std::fs::read_dir(state.join("wallboard"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(
            text.contains("theme = \"light\"") && text.contains("sort = \"newest\""),
            "{text}"
        );
        assert!(!text.contains(ADMIN) && !text.contains("415"), "{text}");

        let screen = start(&here.url, state, &[]);
        screen.wait_for(FILTER, 20);
        screen.wait_for("by newest", 20);
        screen.wait_for("your view of last time, filter state:live", 20);
        leave(screen);
        for (url, more) in [(&here.url, &["--fresh"][..]), (&elsewhere.url, &[])] {
            let screen = start(url, state, more);
            let shown = screen.wait_for("by attention", 20);
            assert!(!shown.contains(FILTER), "{shown}");
            leave(screen);
        }
        // Nothing was changed, so what was kept stays; not even a broken file is touched.
        assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), text);
        std::fs::write(&files[0], "[view]\nsort = \"\u{1b}[2Jage\"").unwrap();
        let screen = start(&here.url, state, &[]);
        screen.wait_for("the view of last time was not read", 20);
        assert!(screen.text().contains("by attention"));
        leave(screen);
    });
}
