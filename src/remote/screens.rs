//! The screens that look through one link, and the board a late one begins with.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use crate::call::{Board, Epoch, Reply};
use crate::engine::{ENDED_SHOWN, Hello, LinkState, UPDATES_MAX, Update};

/// Replies kept for a screen that is behind.
const REPLIES_MAX: usize = 64;

/// All screens of one link.
#[derive(Debug)]
pub(super) struct Screens {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    link: LinkState,
    hello: Option<Hello>,
    epoch: Option<Epoch>,
    board: Board,
    screens: Vec<Screen>,
}

#[derive(Debug)]
struct Screen {
    sender: mpsc::Sender<Update>,
    /// Its queue was full: it gets a snapshot as soon as there is room.
    behind: bool,
    replies: Vec<Reply>,
}

impl Screens {
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                link: LinkState::Connecting { attempt: 1 },
                hello: None,
                epoch: None,
                board: Board::new(),
                screens: Vec::new(),
            }),
        }
    }

    /// A new screen: link, hello and snapshot as they are, then everything that happens.
    pub fn join(&self) -> mpsc::Receiver<Update> {
        let (sender, receiver) = mpsc::channel(UPDATES_MAX);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut screen = Screen {
            sender,
            behind: true,
            replies: Vec::new(),
        };
        inner.catch_up(&mut screen);
        inner.screens.push(screen);
        receiver
    }

    pub fn is_up(&self) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.link == LinkState::Up
    }

    /// Folds an update in and passes it on. Never waits: a full screen is set back later.
    pub fn tell(&self, update: Update) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.fold(&update);
        let mut screens = std::mem::take(&mut inner.screens);
        screens.retain_mut(|screen| {
            inner.pass_on(screen, &update);
            !screen.sender.is_closed()
        });
        inner.screens = screens;
    }

    /// Gives screens that are behind another chance, and lets go of calls long over.
    pub fn tidy(&self, wall: DateTime<Utc>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.board.forget_ended(wall - ENDED_SHOWN);
        let mut screens = std::mem::take(&mut inner.screens);
        for screen in screens.iter_mut().filter(|screen| screen.behind) {
            inner.catch_up(screen);
        }
        inner.screens = screens;
    }
}

impl Inner {
    fn fold(&mut self, update: &Update) {
        match update {
            Update::Link(link) => self.link = link.clone(),
            Update::Hello(hello) => self.hello = Some(hello.clone()),
            Update::Snapshot { epoch, seq, calls } => {
                self.epoch = Some(*epoch);
                self.board = Board::from_snapshot(*seq, calls.iter().cloned());
            }
            Update::Envelopes { to, items } => {
                for item in items {
                    // A scoped token skips numbers; the batch covers them.
                    self.board.skip_to(item.seq.saturating_sub(1));
                    self.board.apply(item);
                }
                self.board.skip_to(*to);
            }
            Update::Gauges(_) | Update::Reply(_) | Update::Alive => {}
        }
    }

    fn pass_on(&self, screen: &mut Screen, update: &Update) {
        if screen.behind {
            if let Update::Reply(reply) = update {
                keep(screen, reply);
            }
            self.catch_up(screen);
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(update)) = screen.sender.try_send(update.clone())
        {
            screen.behind = true;
            if let Update::Reply(reply) = &update {
                keep(screen, reply);
            }
        }
    }

    /// Sends the present state if all of it fits.
    fn catch_up(&self, screen: &mut Screen) {
        if screen.sender.capacity() < 3 + screen.replies.len() {
            return;
        }
        let mut updates = vec![Update::Link(self.link.clone())];
        updates.extend(self.hello.clone().map(Update::Hello));
        if let Some(epoch) = self.epoch {
            let calls = self.board.calls().cloned().collect();
            updates.push(Update::Snapshot {
                epoch,
                seq: self.board.seq(),
                calls,
            });
        }
        updates.extend(screen.replies.drain(..).map(Update::Reply));
        for update in updates {
            // There is room, or the screen is gone.
            let _gone = screen.sender.try_send(update);
        }
        screen.behind = false;
    }
}

fn keep(screen: &mut Screen, reply: &Reply) {
    if screen.replies.len() < REPLIES_MAX {
        screen.replies.push(reply.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::call::{Envelope, Fact, Severity};

    fn envelope(seq: u64) -> Update {
        let event = Fact::Notice {
            severity: Severity::Info,
            code: "x".into(),
            text: String::new(),
        };
        let at = "2026-11-21T04:00:00Z".parse().unwrap();
        let envelope = Envelope {
            v: 1,
            seq,
            at,
            call: None,
            event: event.into(),
        };
        Update::Envelopes {
            to: seq,
            items: vec![Arc::new(envelope)],
        }
    }

    fn snapshot(seq: u64) -> Update {
        Update::Snapshot {
            epoch: Epoch::from_parts(1, [0; 10]),
            seq,
            calls: Vec::new(),
        }
    }

    #[test]
    fn a_late_screen_begins_where_the_others_are() {
        let screens = Screens::new();
        screens.tell(Update::Link(LinkState::Up));
        screens.tell(snapshot(4));
        screens.tell(envelope(5));
        let mut late = screens.join();
        assert!(matches!(
            late.try_recv().unwrap(),
            Update::Link(LinkState::Up)
        ));
        assert!(matches!(
            late.try_recv().unwrap(),
            Update::Snapshot { seq: 5, .. }
        ));
        screens.tell(envelope(6));
        assert!(matches!(
            late.try_recv().unwrap(),
            Update::Envelopes { to: 6, .. }
        ));
    }

    #[test]
    fn a_slow_screen_is_set_back_by_a_snapshot_and_hinders_nobody() {
        let screens = Screens::new();
        screens.tell(snapshot(0));
        let (mut slow, mut quick) = (screens.join(), screens.join());
        while quick.try_recv().is_ok() {}
        let last = UPDATES_MAX as u64 + 100;
        for seq in 1..=last {
            screens.tell(envelope(seq));
            assert!(quick.try_recv().is_ok());
        }
        let mut seen = 0;
        while let Ok(update) = slow.try_recv() {
            if let Update::Envelopes { to, .. } = update {
                assert_eq!(to, seen + 1);
                seen = to;
            }
        }
        assert!(seen < last);
        screens.tidy("2026-11-21T04:00:00Z".parse().unwrap());
        let newest = std::iter::from_fn(|| slow.try_recv().ok()).last();
        assert!(matches!(newest, Some(Update::Snapshot { seq, .. }) if seq == last));
    }
}
