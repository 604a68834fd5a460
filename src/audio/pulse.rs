//! The PulseAudio path: connect, open a stream, notice when it dies.
//!
//! The client crate runs one thread per connection and asks us for samples on it. It does not
//! report a removed output or a hung server, so both are looked for here; every request has a
//! timeout. Crate facts were measured with `pulseaudio` 0.3.2 against PulseAudio 16.1.

pub(super) mod mic;

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pulseaudio::protocol::{
    ChannelMap, ChannelVolume, PlaybackStreamParams, Prop, Props, ProtocolError, PulseError,
    SampleFormat, SampleSpec, SinkInfo, stream,
};
use pulseaudio::{AsPlaybackSource, Client, ClientError, PlaybackStream};
use rodio::mixer::{MixerSource, mixer};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::call::text::clean_label;

use super::address::{AudioEnv, PulseAddress, pulse_addresses};
use super::device::{Opened, Reason};

/// The server converts if its device runs at another rate.
const RATE_HZ: u32 = 48_000;
/// Stereo f32: bytes of a millisecond.
const BYTES_PER_MS: u32 = 384;
/// Below 80 ms a busy machine was heard to stumble.
const BUFFER_MS: u32 = 80;
const REQUEST_MS: u32 = 20;
/// A server that has not answered by then hangs.
const ANSWER: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_secs(1);
/// All addresses together.
const SEARCH: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(500);
const COOKIE_LEN: usize = 256;

/// Opens a stream on the default output or the one named.
pub(super) async fn open(env: &AudioEnv, wanted: Option<&str>) -> Result<Opened, Reason> {
    let (client, address) = connect(env).await?;
    let sink = match wanted {
        Some(name) => Some(named_sink(&client, name).await?),
        None => None,
    };
    let two = std::num::NonZero::<u16>::MIN.saturating_add(1);
    let rate = std::num::NonZero::new(RATE_HZ).unwrap_or(std::num::NonZero::<u32>::MIN);
    let (mixer, samples) = mixer(two, rate);
    let pulls = Arc::new(AtomicU64::new(0));
    let callback = callback(samples, pulls.clone());
    let stream = client.create_playback_stream(parameters(sink), callback.as_playback_source());
    let stream = answered(CONNECT, stream)
        .await
        .map_err(|e| explain(&e, &address))?;
    let info = answered(ANSWER, client.sink_info(stream.sink())).await;
    let name = info.map_or_else(|_| address.to_string(), |info| describe(&info));
    let close = CancellationToken::new();
    let watch = Box::pin(watch(client, stream, pulls, close.clone()));
    Ok(Opened {
        name,
        mixer,
        rate_hz: RATE_HZ,
        watch,
        close,
    })
}

/// Whether there is a server with an output.
pub(super) async fn find(env: &AudioEnv, wanted: Option<&str>) -> Result<(), Reason> {
    let (client, address) = connect(env).await?;
    match wanted {
        Some(name) => named_sink(&client, name).await.map(|_| ()),
        None if sinks(&client, &address).await?.is_empty() => Err(no_output(&address)),
        None => Ok(()),
    }
}

pub(super) async fn list(env: &AudioEnv) -> Result<Vec<(String, Option<String>)>, Reason> {
    let (client, address) = connect(env).await?;
    let sinks = sinks(&client, &address).await?;
    Ok(sinks
        .iter()
        .map(|sink| (label(&sink.name), Some(describe(sink))))
        .collect())
}

/// Tries the addresses in turn; the reason is that of the last server that was there.
async fn connect(env: &AudioEnv) -> Result<(Client, PulseAddress), Reason> {
    let env = env.clone();
    let (answer, answered) = oneshot::channel();
    // The handshake blocks. A thread of its own, so that a hung server cannot fill a shared pool.
    std::thread::Builder::new()
        .name("audio-connect".to_owned())
        .spawn(move || drop(answer.send(connect_first(&env))))
        .map_err(|e| format!("no thread for sound: {e}"))?;
    match timeout(SEARCH, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("the search for a sound server failed".to_owned()),
        Err(_) => Err("no sound server answered in time".to_owned()),
    }
}

fn connect_first(env: &AudioEnv) -> Result<(Client, PulseAddress), Reason> {
    let uid = std::fs::metadata("/proc/self").ok().map(|meta| meta.uid());
    let machine_id = std::fs::read_to_string("/etc/machine-id").ok();
    let cookie = cookie(env);
    let mut reason = None;
    for address in pulse_addresses(env, uid, machine_id.as_deref()) {
        match connect_to(&address, &cookie) {
            Ok(client) => return Ok((client, address)),
            // A missing socket is no news beside a server that is there and fails.
            Err(ClientError::Io(e)) if e.kind() == ErrorKind::NotFound => {}
            Err(error) => reason = Some(explain(&error, &address)),
        }
    }
    Err(reason.unwrap_or_else(|| match &env.pulse_server {
        Some(list) => format!("no sound server at {}", clean_label(list)),
        None => "no sound server on this host".to_owned(),
    }))
}

fn connect_to(address: &PulseAddress, cookie: &[u8]) -> Result<Client, ClientError> {
    let socket = match address {
        PulseAddress::Unix(path) => UnixStream::connect(path)?,
        PulseAddress::Tcp { host, port } => tcp_as_unix(host, *port)?,
    };
    // The handshake reads without end otherwise; afterwards the socket is non-blocking.
    socket.set_read_timeout(Some(ANSWER))?;
    socket.set_write_timeout(Some(ANSWER))?;
    Client::new_unix(c"wallboard", socket, Some(cookie))
}

/// The client takes a Unix socket only, so a pair of them stands before the TCP connection. Either
/// end closing closes the other.
fn tcp_as_unix(host: &str, port: u16) -> io::Result<UnixStream> {
    let mut failure = io::Error::from(ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                let (ours, theirs) = UnixStream::pair()?;
                let (tcp_out, theirs_out) = (tcp.try_clone()?, theirs.try_clone()?);
                copier("audio-tcp-out", theirs, tcp_out, |tcp| {
                    tcp.shutdown(Shutdown::Both)
                })?;
                copier("audio-tcp-in", tcp, theirs_out, |unix| {
                    unix.shutdown(Shutdown::Both)
                })?;
                return Ok(ours);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn copier<R, W>(
    name: &str,
    mut from: R,
    mut to: W,
    close: fn(&W) -> io::Result<()>,
) -> io::Result<()>
where
    R: io::Read + Send + 'static,
    W: io::Write + Send + 'static,
{
    let work = move || {
        // The results do not matter: however the copying ended, the connection is over.
        drop(io::copy(&mut from, &mut to));
        drop(close(&to));
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(|_| ())
}

/// Any 256 bytes do for a server of our own user; with none at all it hangs up.
fn cookie(env: &AudioEnv) -> Vec<u8> {
    let read = env
        .cookie_paths()
        .into_iter()
        .find_map(|path| std::fs::read(path).ok());
    read.filter(|bytes| bytes.len() == COOKIE_LEN)
        .unwrap_or_else(|| vec![0; COOKIE_LEN])
}

/// Runs on the client's thread and under its lock: no call into the client, and no panic may leave.
fn callback(mut samples: MixerSource, pulls: Arc<AtomicU64>) -> impl FnMut(&mut [u8]) -> usize {
    move |buffer: &mut [u8]| {
        let len = buffer.len() & !7;
        let Some(whole) = buffer.get_mut(..len) else {
            return 0;
        };
        let filled = catch_unwind(AssertUnwindSafe(|| {
            for sample in whole.chunks_exact_mut(4) {
                let value = samples.next().unwrap_or(0.0).clamp(-1.0, 1.0);
                sample.copy_from_slice(&value.to_le_bytes());
            }
        }));
        pulls.fetch_add(1, Ordering::Relaxed);
        // Zero ends the stream for good, which the watcher sees as its end.
        if filled.is_ok() { len } else { 0 }
    }
}

fn parameters(sink_name: Option<CString>) -> PlaybackStreamParams {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"live call");
    PlaybackStreamParams {
        sample_spec: SampleSpec {
            format: SampleFormat::Float32Le,
            channels: 2,
            sample_rate: RATE_HZ,
        },
        channel_map: ChannelMap::stereo(),
        sink_name,
        buffer_attr: stream::BufferAttr {
            max_length: u32::MAX,
            target_length: BUFFER_MS * BYTES_PER_MS,
            pre_buffering: REQUEST_MS * BYTES_PER_MS,
            minimum_request_length: REQUEST_MS * BYTES_PER_MS,
            fragment_size: u32::MAX,
        },
        cvolume: Some(ChannelVolume::norm(2)),
        flags: stream::StreamFlags {
            adjust_latency: true,
            ..Default::default()
        },
        props,
        ..Default::default()
    }
}

/// Ends with the reason the stream was lost, or in order once `close` is cancelled.
async fn watch(
    client: Client,
    stream: PlaybackStream,
    pulls: Arc<AtomicU64>,
    close: CancellationToken,
) -> Reason {
    let reason = tokio::select! {
        // Both are cancel-safe: the first is a shared notification, the second is awaited whole.
        ended = stream.source_eof() => match ended {
            Ok(()) => "the sound output failed inside".to_owned(),
            Err(_) => "the sound server went away".to_owned(),
        },
        reason = stalled(&pulls, "sound output", || stream.timing_info()) => reason,
        () = close.cancelled() => "closed".to_owned(),
    };
    // Without an answer the connection is closed all the same when the client is dropped.
    drop(timeout(ANSWER, stream.delete()).await);
    drop(client);
    reason
}

/// Looks whether sound still flows, and asks the server by `ask` why if not: what was removed is not
/// told of by the client. `what` stood still.
async fn stalled<T, F: Future<Output = Result<T, ClientError>>>(
    flow: &AtomicU64,
    what: &str,
    ask: impl Fn() -> F,
) -> Reason {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut unchanged) = (0, 0);
    loop {
        ticks.tick().await;
        let now = flow.load(Ordering::Relaxed);
        unchanged = if now == seen { unchanged + 1 } else { 0 };
        seen = now;
        if unchanged < 2 {
            continue;
        }
        // What is suspended or idle also stands still; the server then answers and we wait.
        match answered(ANSWER, ask()).await {
            Ok(_) => {}
            Err(ClientError::ServerError(PulseError::NoEntity)) => {
                return format!("the {what} was removed");
            }
            Err(ClientError::Io(e)) if e.kind() == ErrorKind::TimedOut => {
                return "the sound server does not answer".to_owned();
            }
            Err(_) => return "the sound server went away".to_owned(),
        }
    }
}

async fn sinks(client: &Client, address: &PulseAddress) -> Result<Vec<SinkInfo>, Reason> {
    let sinks = answered(ANSWER, client.list_sinks())
        .await
        .map_err(|e| explain(&e, address))?;
    Ok(sinks
        .into_iter()
        .filter(|sink| !sink.name.is_empty())
        .collect())
}

async fn named_sink(client: &Client, wanted: &str) -> Result<CString, Reason> {
    let sinks = answered(ANSWER, client.list_sinks())
        .await
        .map_err(|e| e.to_string())?;
    let lower = wanted.to_lowercase();
    let found = sinks
        .iter()
        .find(|sink| label(&sink.name) == wanted)
        .or_else(|| {
            sinks
                .iter()
                .find(|sink| describe(sink).to_lowercase().contains(&lower))
        });
    found.map(|sink| sink.name.clone()).ok_or_else(|| {
        let names: Vec<_> = sinks.iter().map(|sink| label(&sink.name)).collect();
        format!(
            "no output is called {wanted}; there are: {}",
            names.join(", ")
        )
    })
}

async fn answered<T>(
    within: Duration,
    request: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match timeout(within, request).await {
        Ok(result) => result,
        Err(_) => Err(ClientError::Io(ErrorKind::TimedOut.into())),
    }
}

fn describe(sink: &SinkInfo) -> String {
    label(sink.description.as_ref().unwrap_or(&sink.name))
}

fn label(text: &CString) -> String {
    clean_label(&text.to_string_lossy()).into_owned()
}

fn no_output(address: &PulseAddress) -> Reason {
    format!("the sound server at {address} has no output")
}

fn explain(error: &ClientError, address: &PulseAddress) -> Reason {
    let io = |kind: ErrorKind| match kind {
        ErrorKind::NotFound => format!("no sound server at {address}"),
        ErrorKind::ConnectionRefused => format!("the sound server at {address} is not running"),
        ErrorKind::UnexpectedEof => {
            format!("the sound server at {address} hung up: it wants a cookie (PULSE_COOKIE)")
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("the sound server at {address} does not answer")
        }
        ErrorKind::PermissionDenied => format!("no permission to use {address}"),
        other => format!("the sound server at {address} failed: {other}"),
    };
    let server = |code: &PulseError| match code {
        PulseError::NoEntity => no_output(address),
        PulseError::AccessDenied => {
            format!("the sound server at {address} refused our cookie (PULSE_COOKIE)")
        }
        other => format!("the sound server at {address} said: {other}"),
    };
    match error {
        ClientError::Io(e) | ClientError::Protocol(ProtocolError::Io(e)) => io(e.kind()),
        ClientError::ServerError(code)
        | ClientError::Protocol(ProtocolError::ServerError(code)) => server(code),
        other => format!("the sound server at {address} failed: {other}"),
    }
}
