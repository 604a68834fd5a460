//! A sound server with one microphone, on a socket of its own: what a test says into it is recorded
//! by whoever asks. It plays nothing. Made of the client crate's own reading and writing of messages.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io::BufReader;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pulseaudio::protocol::{
    AuthReply, Command, CreateRecordStreamReply, MAX_VERSION, PulseError, RecordStreamParams,
    ServerInfo, SetClientNameReply, SourceInfo, read_command_message, write_ack_message,
    write_error, write_memblock, write_reply_message,
};

/// 20 ms at 16 kHz, 16 bit.
const PIECE: usize = 640;

/// The server. Clients lose their connection when it is dropped.
pub struct SoundServer {
    path: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    sources: Vec<SourceInfo>,
    /// Said into the microphone, and not recorded yet.
    said: Mutex<VecDeque<u8>>,
    asked: Mutex<Option<RecordStreamParams>>,
    streams: AtomicUsize,
    is_removed: AtomicBool,
    sockets: Mutex<Vec<UnixStream>>,
}

/// An input of this name; `of`: it is what that output plays.
pub fn source(name: &str, of: Option<&str>) -> SourceInfo {
    let text = |text: &str| CString::new(text).unwrap();
    SourceInfo {
        name: text(name),
        description: Some(text(&format!("The {name}"))),
        monitor_of_sink_index: of.map(|_| 0),
        monitor_of_sink_name: of.map(text),
        ..SourceInfo::default()
    }
}

impl SoundServer {
    /// The first source is the system's default.
    pub fn start(dir: &Path, sources: Vec<SourceInfo>) -> Self {
        let path = dir.join("pulse");
        let listener = UnixListener::bind(&path).unwrap();
        let inner = Arc::new(Inner {
            sources,
            said: Mutex::default(),
            asked: Mutex::default(),
            streams: AtomicUsize::new(0),
            is_removed: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        thread("sound server", move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { return };
                let inner = Arc::clone(&serving);
                inner
                    .sockets
                    .lock()
                    .unwrap()
                    .push(socket.try_clone().unwrap());
                thread("sound client", move || inner.serve(socket));
            }
        });
        Self { path, inner }
    }

    /// As in `PULSE_SERVER`.
    pub fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// Says 16-bit samples at 16 kHz into the microphone; they are recorded as fast as they sound.
    pub fn say(&self, pcm: &[u8]) {
        self.inner.said.lock().unwrap().extend(pcm);
    }

    /// How the last recording was asked for.
    pub fn asked(&self) -> Option<RecordStreamParams> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// Recordings that run.
    pub fn recordings(&self) -> usize {
        self.inner.streams.load(Ordering::SeqCst)
    }

    /// Pulls the microphone out.
    pub fn remove(&self) {
        self.inner.is_removed.store(true, Ordering::SeqCst);
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        for socket in self.inner.sockets.lock().unwrap().drain(..) {
            // A client that has gone already is fine.
            drop(socket.shutdown(std::net::Shutdown::Both));
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .unwrap();
}

impl Inner {
    /// One client, until it goes.
    fn serve(self: Arc<Self>, socket: UnixStream) {
        let mut input = BufReader::new(socket.try_clone().unwrap());
        let output = Arc::new(Mutex::new(socket));
        let is_recording = Arc::new(AtomicBool::new(false));
        while let Ok((seq, command)) = read_command_message(&mut input, MAX_VERSION) {
            let out = &mut *output.lock().unwrap();
            let done = match command {
                Command::Auth(_) => {
                    let reply = AuthReply {
                        version: MAX_VERSION,
                        use_memfd: false,
                        use_shm: false,
                    };
                    write_reply_message(out, seq, &reply, MAX_VERSION)
                }
                Command::SetClientName(_) => {
                    let reply = SetClientNameReply { client_id: 1 };
                    write_reply_message(out, seq, &reply, MAX_VERSION)
                }
                Command::GetServerInfo => {
                    let reply = ServerInfo {
                        default_source_name: self.sources.first().map(|s| s.name.clone()),
                        ..ServerInfo::default()
                    };
                    write_reply_message(out, seq, &reply, MAX_VERSION)
                }
                Command::GetSourceInfo(asked) => match self.find(asked.name.as_deref()) {
                    Some(source) => write_reply_message(out, seq, source, MAX_VERSION),
                    None => write_error(out, seq, &PulseError::NoEntity),
                },
                Command::GetSourceInfoList => {
                    write_reply_message(out, seq, &self.sources, MAX_VERSION)
                }
                Command::CreateRecordStream(params) => {
                    let reply = CreateRecordStreamReply {
                        sample_spec: params.sample_spec,
                        channel_map: params.channel_map,
                        ..CreateRecordStreamReply::default()
                    };
                    *self.asked.lock().unwrap() = Some(params);
                    is_recording.store(true, Ordering::SeqCst);
                    let (this, output) = (Arc::clone(&self), Arc::clone(&output));
                    let recording = Arc::clone(&is_recording);
                    self.streams.fetch_add(1, Ordering::SeqCst);
                    thread("microphone", move || this.record(&output, &recording));
                    write_reply_message(out, seq, &reply, MAX_VERSION)
                }
                Command::DeleteRecordStream(_) => {
                    is_recording.store(false, Ordering::SeqCst);
                    write_ack_message(out, seq)
                }
                _ => write_error(out, seq, &PulseError::NoEntity),
            };
            if done.is_err() {
                break;
            }
        }
        is_recording.store(false, Ordering::SeqCst);
    }

    fn find(&self, name: Option<&CStr>) -> Option<&SourceInfo> {
        self.sources
            .iter()
            .find(|source| Some(source.name.as_c_str()) == name)
    }

    /// Sends what was said, or silence, as fast as it sounds.
    fn record(&self, output: &Mutex<UnixStream>, is_recording: &AtomicBool) {
        // By the clock, as a sound card: a pause that lasts too long is made up for.
        let mut due = Instant::now();
        while is_recording.load(Ordering::SeqCst) && !self.is_removed.load(Ordering::SeqCst) {
            due += Duration::from_millis(20);
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            let mut piece: Vec<u8> = {
                let mut said = self.said.lock().unwrap();
                let most = said.len().min(PIECE);
                said.drain(..most).collect()
            };
            piece.resize(PIECE, 0);
            if write_memblock(&mut *output.lock().unwrap(), 0, &piece, 0).is_err() {
                break;
            }
        }
        self.streams.fetch_sub(1, Ordering::SeqCst);
    }
}
