//! Recordings: two states, and the sound itself, because the fetched file must really play.
//! There is no pause at this carrier.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::simulator::line::Method;
use crate::simulator::ulaw;

/// Ten minutes of both legs; later audio is left out.
const TRACK_BYTES_MAX: usize = 8_000 * 600;
/// Ended recordings kept for fetching.
const KEPT: usize = 40;

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) id: String,
    pub(super) call_uuid: String,
    pub(super) running: bool,
    pub(super) started: DateTime<Utc>,
    pub(super) callback: Option<(String, Method)>,
    caller: Vec<u8>,
    agent: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Recordings {
    all: VecDeque<Recording>,
}

impl Recordings {
    pub(super) fn begin(
        &mut self,
        id: String,
        call_uuid: String,
        started: DateTime<Utc>,
        callback: Option<(String, Method)>,
    ) {
        self.all.push_back(Recording {
            id,
            call_uuid,
            running: true,
            started,
            callback,
            caller: Vec::new(),
            agent: Vec::new(),
        });
        let mut over = self.all.len().saturating_sub(KEPT);
        self.all.retain(|recording| {
            let drop = over > 0 && !recording.running;
            over -= usize::from(drop);
            !drop
        });
    }

    pub(super) fn get(&self, id: &str) -> Option<&Recording> {
        self.all.iter().find(|recording| recording.id == id)
    }

    /// Ends whatever records this call; the ids of what ended.
    pub(super) fn end(&mut self, call_uuid: &str) -> Vec<String> {
        let mut ended = Vec::new();
        for recording in &mut self.all {
            if recording.running && recording.call_uuid == call_uuid {
                recording.running = false;
                ended.push(recording.id.clone());
            }
        }
        ended
    }

    pub(super) fn of_call<'a>(&'a self, call_uuid: &'a str) -> impl Iterator<Item = &'a Recording> {
        self.all
            .iter()
            .rev()
            .filter(move |r| call_uuid.is_empty() || r.call_uuid == call_uuid)
    }

    /// 20 ms of both legs of a call.
    pub(super) fn hear(&mut self, call_uuid: &str, caller: &[u8], agent: &[u8]) {
        let running = self
            .all
            .iter_mut()
            .filter(|r| r.running && r.call_uuid == call_uuid);
        for recording in running {
            if recording.caller.len() + caller.len() <= TRACK_BYTES_MAX {
                recording.caller.extend_from_slice(caller);
                recording.agent.extend_from_slice(agent);
            }
        }
    }
}

impl Recording {
    pub(super) fn duration_ms(&self) -> u64 {
        self.caller.len() as u64 / 8
    }

    /// Stereo, 8 kHz, 16 bit PCM.
    pub(super) fn wav(&self) -> Vec<u8> {
        let data_len = self.caller.len() as u32 * 4;
        let mut out = Vec::with_capacity(44 + data_len as usize);
        out.extend_from_slice(b"RIFF");
        out.extend_from_slice(&(36 + data_len).to_le_bytes());
        out.extend_from_slice(b"WAVEfmt ");
        out.extend_from_slice(&16_u32.to_le_bytes());
        for half in [1_u16, 2] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        for word in [8_000_u32, 32_000] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for half in [4_u16, 16] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        out.extend_from_slice(b"data");
        out.extend_from_slice(&data_len.to_le_bytes());
        for (caller, agent) in self.caller.iter().zip(&self.agent) {
            for code in [caller, agent] {
                out.extend_from_slice(&ulaw::decode(*code).to_le_bytes());
            }
        }
        out
    }
}
