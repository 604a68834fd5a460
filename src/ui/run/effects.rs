//! What the screen asks of the world, done; and what comes of it, brought back as messages.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Refusal, Severity};
use crate::engine::{Backend, Fetched, HistoryQuery};
use crate::ui::msg::{Effect, Listing, Msg};
use crate::ui::term::clipboard;
use crate::ui::theme::Theme;
use crate::ui::update::{self, AUDIT_ROWS};
use crate::ui::views::FILE as VIEWS;

use super::{Done, Kept, Screen, files};

/// How often it is said how much of a recording has come.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Calls of an export read at a time: few enough to leave the link to the operator's orders.
const READS_AT_ONCE: usize = 4;

impl Screen {
    pub(super) fn finish(&mut self, done: Done) {
        match done {
            Done::Listen(call, Ok(stream)) => {
                // The operator may have changed their mind while it was being opened.
                if self.model.ear.call == Some(call) {
                    self.tune();
                    self.sound.play(stream);
                }
                let result = Ok(());
                self.message(Msg::Listening { call, result });
            }
            Done::Listen(call, Err(refusal)) => {
                let result = Err(refusal);
                self.message(Msg::Listening { call, result });
            }
            Done::Recording(id, result) => {
                let is_wanted = self.model.tape.as_ref().is_some_and(|tape| tape.id == id);
                let result = result.map(|audio| {
                    if is_wanted {
                        self.tune();
                        self.sound.play_recording(audio);
                    }
                });
                self.message(Msg::Recording { id, result });
            }
            Done::Fetched(id, watched) => {
                let so_far = *watched.borrow();
                let again = id.clone();
                self.message(Msg::Fetched { id, so_far });
                self.jobs.push(more(again, watched));
            }
            Done::Message(message) => self.message(message),
            Done::Nothing => {}
            Done::Resubscribe => self.updates = Some(self.backend.subscribe()),
        }
    }

    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(command) => {
                    if let Err(refusal) = self.backend.send(command.clone()) {
                        self.message(Msg::NotSent { command, refusal });
                    }
                }
                // Readings are what meters are made of: on a slow line nobody asks for them.
                Effect::Watch(_) if self.is_slow => {}
                Effect::Watch(calls) => self.backend.watch(calls),
                Effect::Listen(call) => {
                    let opening = self.backend.listen(call);
                    self.jobs
                        .push(Box::pin(async move { Done::Listen(call, opening.await) }));
                }
                Effect::StopListening => {
                    self.end_fetching();
                    self.sound.stop();
                }
                Effect::Recording(id) => self.fetch(id),
                Effect::Tape(order) => self.sound.tape(order),
                Effect::Volume(percent) => self.sound.volume(percent),
                Effect::Mute(on) => self.sound.mute(on),
                Effect::Pan(pan) => self.sound.pan(pan),
                Effect::ListenUrl(call) => {
                    let asked = self.backend.listen_url(call);
                    self.jobs.push(Box::pin(async move {
                        let result = asked.await;
                        Done::Message(Msg::ListenUrl { call, result })
                    }));
                }
                Effect::History(call) => {
                    let asked = self.backend.history(HistoryQuery {
                        call: Some(call),
                        limit: 1,
                        ..HistoryQuery::default()
                    });
                    self.jobs.push(Box::pin(async move {
                        let result = asked.await;
                        Done::Message(Msg::History { call, result })
                    }));
                }
                Effect::Past(serial, query) => {
                    let asked = self.backend.history(query);
                    self.jobs.push(Box::pin(async move {
                        let result = asked.await;
                        Done::Message(Msg::Past { serial, result })
                    }));
                }
                Effect::Audit => {
                    let asked = self.backend.history(HistoryQuery {
                        audit: true,
                        limit: AUDIT_ROWS,
                        ..HistoryQuery::default()
                    });
                    self.jobs.push(Box::pin(
                        async move { Done::Message(Msg::Audit(asked.await)) },
                    ));
                }
                Effect::Lead(serial, lead) => {
                    let asked = self.backend.history(HistoryQuery {
                        lead_id: Some(lead),
                        timeline: true,
                        ..HistoryQuery::default()
                    });
                    self.jobs.push(Box::pin(async move {
                        let result = asked.await;
                        Done::Message(Msg::Lead { serial, result })
                    }));
                }
                Effect::Copy { what, text } => self.copy(what, text),
                Effect::Write { name, text } => self.write("exported".into(), name, text),
                Effect::WriteCalls(listing) => self.write_calls(*listing),
                Effect::KeepViews(text) => self.keep_views(text),
                Effect::Theme(name) => {
                    match Theme::load(&name, self.theme_dir.as_deref(), self.depth) {
                        Ok(theme) => self.theme = theme,
                        Err(error) => self.model.say(Severity::Warn, error.to_string()),
                    }
                }
                Effect::Mouse(is_on) => self.term.mouse(is_on),
                Effect::Redraw => self.painter.forget(),
                Effect::Suspend => self.model.wants_suspend = true,
                Effect::Leave(exit) => self.exit = Some(exit),
            }
        }
    }

    /// Loudness and placing as the operator has set them.
    fn tune(&self) {
        let ear = &self.model.ear;
        self.sound.volume(ear.volume);
        self.sound.mute(ear.muted);
        self.sound.pan(ear.pan);
    }

    fn fetch(&mut self, id: String) {
        self.end_fetching();
        let (progress, watched) = watch::channel(Fetched::default());
        let asked = self.backend.recording(id.clone(), progress);
        let end = CancellationToken::new();
        self.fetching = Some(end.clone());
        self.jobs.push(more(id.clone(), watched));
        self.jobs.push(Box::pin(async move {
            match end.run_until_cancelled(asked).await {
                Some(result) => Done::Recording(id, result),
                None => Done::Nothing,
            }
        }));
    }

    fn end_fetching(&mut self) {
        if let Some(end) = self.fetching.take() {
            end.cancel();
        }
    }

    /// Onto the clipboard of the operator's terminal, and into a file for terminals that take none.
    fn copy(&mut self, what: String, text: String) {
        let mut what = format!("copied the {what}");
        match clipboard(&text) {
            Some(bytes) => self.term.aside(&bytes),
            None => what = format!("too long for the clipboard; {what} to a file"),
        }
        self.write(what, "copied.txt".into(), text);
    }

    /// Says nothing when it went well: the screen has said what was kept.
    fn keep_views(&mut self, text: String) {
        let Some(dir) = self.views_dir.clone() else {
            return;
        };
        self.jobs.push(Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || files::write(&dir, VIEWS, &text));
            let result = match written.await {
                Ok(Ok(_)) => return Done::Nothing,
                Ok(Err(error)) => Err(error),
                Err(error) => Err(error.to_string()),
            };
            let what = "not kept".into();
            Done::Message(Msg::Written { what, result })
        }));
    }

    /// Begins with the view of last time. A theme that was asked for otherwise stays.
    pub(super) fn begin(&mut self, takes_theme: bool) {
        let Some(text) = self.last.as_ref().and_then(|kept| kept.text.clone()) else {
            return;
        };
        let effects = update::restore(&mut self.model, &text, takes_theme);
        self.perform(effects);
        self.began_with = update::last(&self.model);
    }

    /// The view the screen is left with, if it is another than it began with, and where it is kept.
    pub(super) fn last_view(&self) -> Option<(Kept, String)> {
        let last = update::last(&self.model);
        let kept = self.last.clone()?;
        (last != self.began_with).then(|| (kept, last.to_text()))
    }

    /// Reads each call of a list whole, some at a time, and writes them down.
    fn write_calls(&mut self, listing: Listing) {
        let Some(dir) = self.files_dir.clone() else {
            self.model
                .say(Severity::Warn, "not exported: there is no folder for it");
            return;
        };
        let reads: Vec<_> = listing
            .calls
            .into_iter()
            .map(|call| whole(self.backend.as_ref(), call))
            .collect();
        self.jobs.push(Box::pin(async move {
            let calls = stream::iter(reads).buffered(READS_AT_ONCE);
            let (what, result) = match calls.try_collect::<Vec<Option<Call>>>().await {
                Ok(calls) => {
                    let calls: Vec<Call> = calls.into_iter().flatten().collect();
                    let what = match calls.len() {
                        1 => "exported 1 call".to_owned(),
                        count => format!("exported {count} calls"),
                    };
                    let written = tokio::task::spawn_blocking(move || {
                        let mut text = listing.rows.head().to_owned();
                        for call in &calls {
                            let (numbers, now) = (listing.numbers, listing.now);
                            listing.rows.write(call, numbers, now, &mut text);
                        }
                        files::write(&dir, &listing.name, &text)
                    });
                    let result = written.await.unwrap_or_else(|error| Err(error.to_string()));
                    (what, result)
                }
                Err(refusal) => ("not exported".to_owned(), Err(refusal.message)),
            };
            Done::Message(Msg::Written { what, result })
        }));
    }

    /// Writes a file that only this user can read, off the screen's own time.
    fn write(&mut self, what: String, name: String, text: String) {
        let Some(dir) = self.files_dir.clone() else {
            self.model.say(Severity::Info, what);
            return;
        };
        self.jobs.push(Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || files::write(&dir, &name, &text));
            let result = match written.await {
                Ok(result) => result,
                Err(error) => Err(error.to_string()),
            };
            Done::Message(Msg::Written { what, result })
        }));
    }
}

/// The call with all its lines, of which a list carries only the last ones; `None` when it has been
/// removed meanwhile.
fn whole(backend: &dyn Backend, call: Call) -> BoxFuture<'static, Result<Option<Call>, Refusal>> {
    if call.lines_dropped == 0 {
        return Box::pin(std::future::ready(Ok(Some(call))));
    }
    let asked = backend.history(HistoryQuery {
        call: Some(call.id),
        limit: 1,
        ..HistoryQuery::default()
    });
    Box::pin(async move {
        let page = asked.await?;
        Ok(page.items.into_iter().find(|found| found.id == call.id))
    })
}

/// Waits until more of a recording has come; nothing more is said once it is whole or given up.
fn more(id: String, mut watched: watch::Receiver<Fetched>) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        tokio::time::sleep(PROGRESS_EVERY).await;
        match watched.changed().await {
            Ok(()) => Done::Fetched(id, watched),
            Err(_) => Done::Nothing,
        }
    })
}

pub(super) fn keep_last(kept: &Kept, text: &str) {
    if let Err(why) = files::write(&kept.dir, &kept.name, text) {
        tracing::warn!(%why, "the view is not kept for next time");
    }
}
