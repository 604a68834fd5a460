//! The leg between a conversation and its bridge: a carrier's stream without a network.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::bridge::{CarrierAudio, CarrierCodec, CarrierIn, CarrierOut, DecodeError, Wire};
use crate::engine::WireClosed;

use super::CARRIER;

/// Words of the client on their way to the bridge: a clip of twenty seconds and its silence, twice.
/// Full: the client is told that it is too fast.
const TO_BRIDGE_MAX: usize = 512;
/// Frames of the agent on their way to the client. Full: the bridge keeps them, and drops what it
/// cannot keep.
const FROM_BRIDGE_MAX: usize = 256;

/// The conversation's end.
#[derive(Debug)]
pub(super) struct Leg {
    pub to_bridge: mpsc::Sender<Wire>,
    pub from_bridge: mpsc::Receiver<Wire>,
}

/// The bridge's end.
pub(super) struct LegSocket {
    heard: mpsc::Receiver<Wire>,
    told: PollSender<Wire>,
    ended: bool,
}

/// A new leg.
pub(super) fn leg() -> (Leg, LegSocket) {
    let (to_bridge, heard) = mpsc::channel(TO_BRIDGE_MAX);
    let (told, from_bridge) = mpsc::channel(FROM_BRIDGE_MAX);
    let socket = LegSocket {
        heard,
        told: PollSender::new(told),
        ended: false,
    };
    let leg = Leg {
        to_bridge,
        from_bridge,
    };
    (leg, socket)
}

impl Stream for LegSocket {
    type Item = Result<Wire, WireClosed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.heard.poll_recv(cx).map(|wire| {
            Some(wire.ok_or_else(|| {
                self.ended = true;
                WireClosed {
                    code: Some(1000),
                    reason: "the client left".into(),
                }
            }))
        })
    }
}

impl Sink<Wire> for LegSocket {
    type Error = WireClosed;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        self.told.poll_ready_unpin(cx).map_err(|_| gone())
    }

    fn start_send(mut self: Pin<&mut Self>, wire: Wire) -> Result<(), WireClosed> {
        self.told.start_send_unpin(wire).map_err(|_| gone())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        self.told.poll_flush_unpin(cx).map_err(|_| gone())
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), WireClosed>> {
        self.told.close();
        Poll::Ready(Ok(()))
    }
}

fn gone() -> WireClosed {
    WireClosed {
        code: None,
        reason: "the conversation is over".into(),
    }
}

/// What the conversation tells the bridge beside audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    Typed(String),
    Hush,
}

impl Word {
    pub(super) fn wire(&self) -> Option<Wire> {
        serde_json::to_string(self).ok().map(Wire::Text)
    }
}

/// What comes from the bridge as text: it emptied its queue.
pub(super) const CLEARED: &str = "clear";

/// Translates the leg.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LegCodec;

impl CarrierCodec for LegCodec {
    fn vendor(&self) -> &'static str {
        CARRIER
    }

    fn decode(&mut self, wire: &Wire) -> Result<CarrierIn, DecodeError> {
        match wire {
            Wire::Binary(payload) => Ok(CarrierIn::Audio(CarrierAudio {
                payload: payload.clone(),
                chunk: None,
                timestamp_ms: None,
            })),
            Wire::Text(text) => match serde_json::from_str(text) {
                Ok(Word::Typed(text)) => Ok(CarrierIn::Typed { text }),
                Ok(Word::Hush) => Ok(CarrierIn::Hush),
                Err(error) => Err(DecodeError {
                    vendor: CARRIER,
                    reason: error.to_string(),
                }),
            },
        }
    }

    fn encode(&mut self, out: &CarrierOut) -> Option<Wire> {
        match out {
            CarrierOut::Audio(payload) => Some(Wire::Binary(Bytes::clone(payload))),
            CarrierOut::Clear => Some(Wire::Text(CLEARED.into())),
            // The clock tells what was heard: clients confirm nothing.
            CarrierOut::Mark { .. } => None,
        }
    }
}
