//! Recording from a source of the server.
//!
//! A machine without a microphone has a default source all the same: the monitor of its loudspeaker,
//! which would feed the agent its own words. Such a source is taken only by name.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pulseaudio::protocol::{
    ChannelMap, Prop, Props, PulseError, RecordStreamParams, SampleFormat, SampleSpec, SourceInfo,
    stream,
};
use pulseaudio::{Client, ClientError, RecordStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::address::{AudioEnv, PulseAddress};
use super::super::device::Reason;
use super::super::mic::{CHUNKS_MAX, FRAME_BYTES, Opened, RATE_HZ};
use super::{ANSWER, CONNECT, answered, connect, explain, label, stalled};

/// Begins to record.
pub(in crate::audio) async fn open(env: &AudioEnv, wanted: Option<&str>) -> Result<Opened, Reason> {
    let (client, address) = connect(env).await?;
    let source = source(&client, &address, wanted).await?;
    let (chunks, heard) = mpsc::channel(CHUNKS_MAX);
    let counts = Arc::new(Counts::default());
    let stream = client.create_record_stream(
        parameters(source.name.clone()),
        callback(chunks, counts.clone()),
    );
    let stream = answered(CONNECT, stream)
        .await
        .map_err(|error| explain_source(&error, &address))?;
    let close = CancellationToken::new();
    let watch = watch(client, stream, counts, close.clone());
    Ok(Opened {
        name: describe(&source),
        chunks: heard,
        watch: Box::pin(watch),
        close,
    })
}

/// The name of what [`open`] would record, without recording.
pub(in crate::audio) async fn find(env: &AudioEnv, wanted: Option<&str>) -> Result<String, Reason> {
    let (client, address) = connect(env).await?;
    let source = source(&client, &address, wanted).await?;
    Ok(describe(&source))
}

#[derive(Debug, Default)]
struct Counts {
    chunks: AtomicU64,
    dropped: AtomicU64,
}

async fn source(
    client: &Client,
    address: &PulseAddress,
    wanted: Option<&str>,
) -> Result<SourceInfo, Reason> {
    if let Some(wanted) = wanted {
        return named(client, address, wanted).await;
    }
    let server = answered(ANSWER, client.server_info())
        .await
        .map_err(|error| explain(&error, address))?;
    let name = server.default_source_name;
    let name = name.ok_or_else(|| no_source(address))?;
    let source = answered(ANSWER, client.source_info_by_name(name))
        .await
        .map_err(|error| explain_source(&error, address))?;
    if is_monitor(&source) {
        return Err(format!(
            "no microphone on this host, only the loudspeaker's own sound ({0}; --mic={0} takes it \
             all the same)",
            label(&source.name)
        ));
    }
    Ok(source)
}

/// By its name, else by its description.
async fn named(
    client: &Client,
    address: &PulseAddress,
    wanted: &str,
) -> Result<SourceInfo, Reason> {
    let mut sources = answered(ANSWER, client.list_sources())
        .await
        .map_err(|error| explain(&error, address))?;
    let lower = wanted.to_lowercase();
    let by_name = sources
        .iter()
        .position(|source| label(&source.name) == wanted);
    let found = by_name.or_else(|| {
        sources
            .iter()
            .position(|source| describe(source).to_lowercase() == lower)
    });
    let Some(found) = found else {
        let names: Vec<String> = sources.iter().map(|source| label(&source.name)).collect();
        return Err(format!(
            "no microphone called {wanted}; there is: {}",
            names.join(", ")
        ));
    };
    Ok(sources.swap_remove(found))
}

/// Whether it records what an output plays.
fn is_monitor(source: &SourceInfo) -> bool {
    source.monitor_of_sink_index.is_some() || source.monitor_of_sink_name.is_some()
}

fn describe(source: &SourceInfo) -> String {
    label(source.description.as_ref().unwrap_or(&source.name))
}

fn no_source(address: &PulseAddress) -> Reason {
    format!("the sound server at {address} has no microphone")
}

/// As [`explain`]; what does not exist is an input here.
fn explain_source(error: &ClientError, address: &PulseAddress) -> Reason {
    match error {
        ClientError::ServerError(PulseError::NoEntity) => no_source(address),
        other => explain(other, address),
    }
}

fn parameters(name: CString) -> RecordStreamParams {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"conversation");
    RecordStreamParams {
        sample_spec: SampleSpec {
            format: SampleFormat::S16Le,
            channels: 1,
            sample_rate: RATE_HZ,
        },
        channel_map: ChannelMap::mono(),
        source_name: Some(name),
        buffer_attr: stream::BufferAttr {
            max_length: u32::MAX,
            fragment_size: FRAME_BYTES as u32,
            ..Default::default()
        },
        flags: stream::StreamFlags {
            adjust_latency: true,
            ..Default::default()
        },
        props,
        ..Default::default()
    }
}

/// Runs on the client's thread and under its lock: no call into the client, no waiting, and no panic
/// may leave. The chunks' size is the server's choice.
fn callback(
    chunks: mpsc::Sender<Bytes>,
    counts: Arc<Counts>,
) -> impl FnMut(&[u8]) + Send + 'static {
    move |bytes: &[u8]| {
        let taken = catch_unwind(AssertUnwindSafe(|| {
            chunks.try_send(Bytes::copy_from_slice(bytes)).is_ok()
        }));
        counts.chunks.fetch_add(1, Ordering::Relaxed);
        if !taken.unwrap_or(false) {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends with the reason the recording was lost, or in order once `close` is cancelled.
async fn watch(
    client: Client,
    stream: RecordStream,
    counts: Arc<Counts>,
    close: CancellationToken,
) -> Reason {
    // Cancel-safe: the second is awaited whole, the first is dropped for good.
    let reason = tokio::select! {
        reason = stalled(&counts.chunks, "microphone", || stream.timing_info()) => reason,
        () = close.cancelled() => "closed".to_owned(),
    };
    let dropped = counts.dropped.load(Ordering::Relaxed);
    if dropped > 0 {
        tracing::debug!(dropped, "chunks of the microphone were not taken in time");
    }
    // Without an answer the connection is closed all the same when the client is dropped.
    drop(timeout(ANSWER, stream.delete()).await);
    drop(client);
    reason
}
