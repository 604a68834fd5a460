//! The facts for all clients that are in step: one reader instead of one each, and every text made
//! once. A client whose queue is full falls out of step and goes on with a feed of its own, which
//! begins where it got to; so does one that may see only some leads, from the start.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use socketioxide::extract::SocketRef;
use tokio::sync::oneshot;

use crate::call::Envelope;
use crate::engine::{Batch, Feed};

use super::super::state::App;
use super::encode::Encoder;
use super::outbox::{EnvelopesOut, Stretch};

/// The clients in step.
#[derive(Debug, Default)]
pub(in crate::server) struct Fanout {
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    /// `seq` of the last fact passed on; `None` while nobody reads.
    cursor: Option<u64>,
    taken: Vec<Taken>,
    next_id: u64,
}

#[derive(Debug)]
struct Taken {
    id: u64,
    socket: SocketRef,
    unmasked: bool,
    /// `seq` up to which the client has everything.
    sent: u64,
    fallen: oneshot::Sender<u64>,
}

/// A client's place among those in step, until this is dropped or it falls out.
#[derive(Debug)]
pub(super) struct Seat {
    fanout: Arc<Fanout>,
    id: u64,
    fallen: oneshot::Receiver<u64>,
}

impl Seat {
    /// Waits until the client has fallen out of step; up to which `seq` it has everything.
    /// Cancel-safe.
    pub(super) async fn fallen(&mut self) -> Option<u64> {
        (&mut self.fallen).await.ok()
    }

    /// Puts the client out of step; `fallen` says where it got to.
    pub(super) fn give_up(&self) {
        let taken = self.fanout.seats().remove(self.id);
        if let Some(taken) = taken {
            taken.fall();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.fanout.seats().remove(self.id);
    }
}

impl Seats {
    fn remove(&mut self, id: u64) -> Option<Taken> {
        let place = self.taken.iter().position(|taken| taken.id == id)?;
        Some(self.taken.swap_remove(place))
    }
}

impl Taken {
    fn fall(self) {
        // The hub may be gone with its client.
        let _gone = self.fallen.send(self.sent);
    }

    /// Hands over what is new to the client; whether all of it found room.
    fn take(&mut self, parcels: &[Parcel]) -> bool {
        for parcel in parcels {
            if self.socket.emit("envelopes", &parcel.body).is_err() {
                return false;
            }
            self.sent = parcel.to;
        }
        true
    }
}

/// The body of one `envelopes` event, which brings a client up to `to`.
struct Parcel {
    to: u64,
    body: Box<RawValue>,
}

impl Fanout {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a client that has everything up to `sent`, unless others are further already.
    pub(super) fn join(
        self: &Arc<Self>,
        socket: &SocketRef,
        sent: u64,
        unmasked: bool,
    ) -> Option<Seat> {
        let mut seats = self.seats();
        if seats.cursor? > sent {
            return None;
        }
        let (fall, fallen) = oneshot::channel();
        let id = seats.next_id;
        seats.next_id += 1;
        seats.taken.push(Taken {
            id,
            socket: socket.clone(),
            unmasked,
            sent,
            fallen: fall,
        });
        drop(seats);
        Some(Seat {
            fanout: Arc::clone(self),
            id,
            fallen,
        })
    }

    /// Passes facts on. Nothing in here waits: a queue is full or it is not.
    fn pass_on(&self, encoder: &Encoder, to: u64, items: &[Arc<Envelope>]) {
        let mut seats = self.seats();
        let Some(from) = seats.cursor.replace(to) else {
            return;
        };
        let (masked, whole) = (OnceCell::new(), OnceCell::new());
        let all_fit = |taken: &mut Taken| {
            let (begin, unmasked) = (taken.sent, taken.unmasked);
            if begin > from {
                return taken.take(&parcels(encoder, begin, to, items, unmasked));
            }
            let shared = if unmasked { &whole } else { &masked };
            taken.take(shared.get_or_init(|| parcels(encoder, from, to, items, unmasked)))
        };
        let fallen = seats.taken.extract_if(.., |taken| !all_fit(taken));
        fallen.for_each(Taken::fall);
    }

    fn everybody_out(&self) {
        let mut seats = self.seats();
        seats.cursor = None;
        seats.taken.drain(..).for_each(Taken::fall);
    }
}

/// What brings a client from `from` to `to`; nothing when it is there already.
fn parcels(
    encoder: &Encoder,
    from: u64,
    to: u64,
    items: &[Arc<Envelope>],
    unmasked: bool,
) -> Vec<Parcel> {
    if from >= to {
        return Vec::new();
    }
    let new = items.iter().filter(|item| item.seq > from);
    let (seqs, items): (Vec<u64>, Vec<Arc<RawValue>>) = new
        .map(|item| (item.seq, encoder.text(item, unmasked)))
        .unzip();
    let chunks = Stretch { from, to, items }.cut(&seqs);
    let parcel = |chunk: &Stretch| {
        // The items are JSON already; a body that could not be made is missing, and seen to be.
        let body = serde_json::value::to_raw_value(&EnvelopesOut::of(chunk)).ok()?;
        Some(Parcel { to: chunk.to, body })
    };
    chunks.iter().filter_map(parcel).collect()
}

/// Reads the facts for everybody in step, until the backend stops.
pub(super) async fn run(app: Arc<App>) {
    while let Ok(mut feed) = Feed::from_now(&app.core.switchboard).await {
        app.fanout.seats().cursor = Some(feed.cursor());
        while let Ok(Batch::Envelopes { to, items, .. }) = feed.next().await {
            app.fanout.pass_on(&app.encoder, to, &items);
        }
        // Too far behind for the ring, or the end: each client finds its own way.
        app.fanout.everybody_out();
    }
}
