//! Recordings: their states, and the sound itself, because the fetched file must really play.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::simulator::ulaw;

/// Ten minutes of both legs; later audio is left out.
const TRACK_BYTES_MAX: usize = 8_000 * 600;
/// Ended recordings kept for fetching.
const KEPT: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    InProgress,
    Paused { silence: bool },
    Stopped,
    Completed,
    Absent,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in-progress",
            Self::Paused { .. } => "paused",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Absent => "absent",
        }
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::InProgress | Self::Paused { .. })
    }
}

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) sid: String,
    pub(super) call_sid: String,
    pub(super) state: State,
    pub(super) channels: u8,
    pub(super) track: String,
    pub(super) source: &'static str,
    pub(super) started: DateTime<Utc>,
    /// Where its news goes, and which of them.
    pub(super) callback: Option<(String, Vec<String>)>,
    caller: Vec<u8>,
    agent: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Recordings {
    all: VecDeque<Recording>,
}

/// What is needed to begin one.
pub(super) struct NewRecording {
    pub(super) sid: String,
    pub(super) call_sid: String,
    pub(super) channels: u8,
    pub(super) track: String,
    pub(super) source: &'static str,
    pub(super) started: DateTime<Utc>,
    pub(super) callback: Option<(String, Vec<String>)>,
}

impl Recordings {
    pub(super) fn begin(&mut self, new: NewRecording) {
        self.all.push_back(Recording {
            sid: new.sid,
            call_sid: new.call_sid,
            state: State::InProgress,
            channels: new.channels,
            track: new.track,
            source: new.source,
            started: new.started,
            callback: new.callback,
            caller: Vec::new(),
            agent: Vec::new(),
        });
        let mut over = self.all.len().saturating_sub(KEPT);
        self.all.retain(|recording| {
            let drop = over > 0 && !recording.state.is_running();
            over -= usize::from(drop);
            !drop
        });
    }

    pub(super) fn get(&self, sid: &str) -> Option<&Recording> {
        self.all.iter().find(|r| r.sid == sid)
    }

    pub(super) fn get_mut(&mut self, sid: &str) -> Option<&mut Recording> {
        self.all.iter_mut().find(|r| r.sid == sid)
    }

    pub(super) fn delete(&mut self, sid: &str) -> bool {
        let before = self.all.len();
        self.all.retain(|r| r.sid != sid);
        self.all.len() < before
    }

    /// The one recording of a call that is running, if any.
    pub(super) fn running(&mut self, call_sid: &str) -> Option<&mut Recording> {
        self.all
            .iter_mut()
            .find(|r| r.call_sid == call_sid && r.state.is_running())
    }

    pub(super) fn of_call<'a>(&'a self, call_sid: &'a str) -> impl Iterator<Item = &'a Recording> {
        self.all
            .iter()
            .rev()
            .filter(move |r| call_sid.is_empty() || r.call_sid == call_sid)
    }

    /// 20 ms of both legs of a call.
    pub(super) fn hear(&mut self, call_sid: &str, caller: &[u8], agent: &[u8]) {
        let Some(recording) = self.running(call_sid) else {
            return;
        };
        if recording.caller.len() + caller.len() > TRACK_BYTES_MAX {
            return;
        }
        match recording.state {
            State::Paused { silence: true } => {
                let quiet = recording.caller.len() + caller.len();
                recording.caller.resize(quiet, ulaw::SILENCE);
                recording.agent.resize(quiet, ulaw::SILENCE);
            }
            State::InProgress => {
                recording.caller.extend_from_slice(caller);
                recording.agent.extend_from_slice(agent);
            }
            _ => {}
        }
    }
}

impl Recording {
    pub(super) fn duration_s(&self) -> u64 {
        (self.caller.len() as u64).div_ceil(8_000)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.caller.len() < 800
    }

    pub(super) fn url(&self, api_base: &str, account: &str) -> String {
        format!(
            "{api_base}/2010-04-01/Accounts/{account}/Recordings/{}",
            self.sid
        )
    }

    pub(super) fn resource(&self, account: &str) -> Value {
        let uri = format!(
            "/2010-04-01/Accounts/{account}/Recordings/{}.json",
            self.sid
        );
        let done = self.state == State::Completed;
        json!({
            "sid": self.sid, "account_sid": account, "call_sid": self.call_sid,
            "conference_sid": null, "api_version": "2010-04-01", "status": self.state.as_str(),
            "channels": self.channels, "track": self.track, "source": self.source,
            "start_time": self.started.to_rfc2822(), "date_created": self.started.to_rfc2822(),
            "date_updated": self.started.to_rfc2822(),
            "duration": done.then(|| self.duration_s().to_string()),
            "price": null, "price_unit": "USD", "encryption_details": null,
            "error_code": if self.state == State::Absent { json!(16_101) } else { Value::Null },
            "uri": uri,
        })
    }

    /// 8 kHz, 16 bit PCM, as the carrier serves `.wav`.
    pub(super) fn wav(&self) -> Vec<u8> {
        let channels = u32::from(self.channels);
        let data_len = self.caller.len() as u32 * 2 * channels;
        let mut out = Vec::with_capacity(44 + data_len as usize);
        out.extend_from_slice(b"RIFF");
        out.extend_from_slice(&(36 + data_len).to_le_bytes());
        out.extend_from_slice(b"WAVEfmt ");
        out.extend_from_slice(&16_u32.to_le_bytes());
        out.extend_from_slice(&1_u16.to_le_bytes());
        out.extend_from_slice(&(channels as u16).to_le_bytes());
        out.extend_from_slice(&8_000_u32.to_le_bytes());
        out.extend_from_slice(&(16_000 * channels).to_le_bytes());
        out.extend_from_slice(&((2 * channels) as u16).to_le_bytes());
        out.extend_from_slice(&16_u16.to_le_bytes());
        out.extend_from_slice(b"data");
        out.extend_from_slice(&data_len.to_le_bytes());
        for (caller, agent) in self.caller.iter().zip(&self.agent) {
            let (caller, agent) = (ulaw::decode(*caller), ulaw::decode(*agent));
            if channels == 2 {
                out.extend_from_slice(&caller.to_le_bytes());
                out.extend_from_slice(&agent.to_le_bytes());
            } else {
                out.extend_from_slice(&caller.saturating_add(agent).to_le_bytes());
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recordings() -> Recordings {
        let mut all = Recordings::default();
        all.begin(NewRecording {
            sid: "RE1".to_owned(),
            call_sid: "CA1".to_owned(),
            channels: 2,
            track: "both".to_owned(),
            source: "StartCallRecordingAPI",
            started: DateTime::UNIX_EPOCH,
            callback: None,
        });
        all
    }

    #[test]
    fn a_pause_leaves_out_or_silences_what_is_said() {
        let mut all = recordings();
        let tone = ulaw::tone(500.0, 20, -12.0);
        all.hear("CA1", &tone, &tone);
        all.get_mut("RE1").unwrap().state = State::Paused { silence: false };
        all.hear("CA1", &tone, &tone);
        assert_eq!(all.get("RE1").unwrap().caller.len(), 160);
        all.get_mut("RE1").unwrap().state = State::Paused { silence: true };
        all.hear("CA1", &tone, &tone);
        let recording = all.get("RE1").unwrap();
        assert_eq!(recording.caller.len(), 320);
        assert_eq!(recording.caller[200], ulaw::SILENCE);
        assert_eq!(recording.wav().len(), 44 + 320 * 4);
    }

    #[test]
    fn only_ended_recordings_are_forgotten() {
        let mut all = recordings();
        for n in 0..60 {
            all.begin(NewRecording {
                sid: format!("RE{}", n + 2),
                call_sid: format!("CA{}", n + 2),
                channels: 1,
                track: "both".to_owned(),
                source: "OutboundAPI",
                started: DateTime::UNIX_EPOCH,
                callback: None,
            });
            all.get_mut(&format!("RE{}", n + 2)).unwrap().state = State::Completed;
        }
        assert!(all.get("RE1").is_some());
        assert!(all.all.len() <= KEPT + 1);
    }
}
