//! Which of a bridge's sources has something to say. A bridge waits for a dozen things and is woken
//! for one of them fifty times a second and more; asking all of them every time costs more than the
//! work itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What a bridge waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Cancelled,
    Orders,
    Carrier,
    /// Its socket, or the dialling of it.
    Agent,
    HangUp,
    Tools,
    Timer,
}

const COUNT: usize = 7;

impl Source {
    const ALL: [Self; COUNT] = [
        Self::Cancelled,
        Self::Orders,
        Self::Carrier,
        Self::Agent,
        Self::HangUp,
        Self::Tools,
        Self::Timer,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One bell per source. A source is polled only while its bell has rung; whatever changes what a
/// source waits for must ring it.
#[derive(Debug)]
pub(super) struct Bells {
    board: Arc<BellBoard>,
    wakers: [Waker; COUNT],
}

#[derive(Debug)]
struct BellBoard {
    rung: AtomicU8,
    task: AtomicWaker,
}

/// Rings one bell, from wherever the source is woken.
struct Rope {
    board: Arc<BellBoard>,
    bit: u8,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.board.rung.fetch_or(self.bit, Ordering::AcqRel);
        self.board.task.wake();
    }
}

impl Bells {
    /// Every bell has rung: everything is looked at once.
    pub(super) fn new() -> Self {
        let board = Arc::new(BellBoard {
            rung: AtomicU8::new(u8::MAX),
            task: AtomicWaker::new(),
        });
        let wakers = Source::ALL.map(|source| {
            Waker::from(Arc::new(Rope {
                board: Arc::clone(&board),
                bit: source.bit(),
            }))
        });
        Self { board, wakers }
    }

    /// Before looking at any bell: one that rings from now on wakes this task.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        self.board.task.register(cx.waker());
    }

    /// The task itself changed what this source waits for.
    pub(super) fn ring(&self, source: Source) {
        self.board.rung.fetch_or(source.bit(), Ordering::AcqRel);
    }

    /// What a source is polled with outside of [`Self::answer`].
    pub(super) fn waker(&self, source: Source) -> &Waker {
        &self.wakers[source as usize]
    }

    /// Polls the source if its bell has rung. One that had something may have more: it stays rung.
    pub(super) fn answer<T>(
        &self,
        source: Source,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let bit = source.bit();
        if self.board.rung.load(Ordering::Acquire) & bit == 0 {
            return Poll::Pending;
        }
        // Silenced before the poll: a ring during it is a new one.
        self.board.rung.fetch_and(!bit, Ordering::AcqRel);
        let polled = poll(&mut Context::from_waker(self.waker(source)));
        if polled.is_ready() {
            self.ring(source);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn silent(bells: &Bells) {
        for source in Source::ALL {
            let _polled = bells.answer(source, |_| Poll::<()>::Pending);
        }
    }

    #[test]
    fn only_the_source_that_rang_is_polled_and_the_task_is_woken_for_it() {
        let (bells, woken) = (Bells::new(), Arc::new(Woken::default()));
        silent(&bells);
        let waker = Waker::from(Arc::clone(&woken));
        bells.listen(&Context::from_waker(&waker));
        bells.waker(Source::Carrier).wake_by_ref();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let rang: Vec<_> = Source::ALL
            .into_iter()
            .filter(|source| bells.answer(*source, |_| Poll::Ready(())).is_ready())
            .collect();
        assert_eq!(rang, [Source::Carrier]);
    }

    #[test]
    fn everything_is_polled_once_and_what_was_ready_is_polled_again() {
        let bells = Bells::new();
        for source in Source::ALL {
            assert!(bells.answer(source, |_| Poll::Ready(())).is_ready());
            assert!(bells.answer(source, |_| Poll::Ready(())).is_ready());
        }
        silent(&bells);
        assert!(
            bells
                .answer(Source::Agent, |_| Poll::Ready(()))
                .is_pending()
        );
        bells.ring(Source::Agent);
        assert!(bells.answer(Source::Agent, |_| Poll::Ready(())).is_ready());
    }

    #[test]
    fn a_ring_in_the_middle_of_the_poll_is_not_lost() {
        let bells = Bells::new();
        let polled = bells.answer(Source::Orders, |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert!(bells.answer(Source::Orders, |_| Poll::Ready(())).is_ready());
    }
}
