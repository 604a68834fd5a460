//! Recorded audio, whole or in ranges (RFC 9110 §14). Files are named by our own ids; a recording
//! the carrier still holds is fetched through its own API, never by a URL somebody sent us.

use std::io::SeekFrom;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::engine::Recorded;

use super::super::caller::Caller;
use super::super::error::ApiError;
use super::super::state::App;

/// Bytes read from the disk at once.
const CHUNK: usize = 64 * 1024;

/// Where the audio is.
enum Source {
    File { path: PathBuf, length: u64 },
    Memory(Bytes),
}

impl Source {
    /// Media type and ending of a file's name.
    fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::File { path, .. } if path.extension().is_some_and(|end| end == "mp3") => {
                ("audio/mpeg", "mp3")
            }
            _ => ("audio/wav", "wav"),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

/// `GET /api/recordings/{id}`.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = match app.core.recorded(caller.grant(), &id).await? {
        Recorded::Memory(audio) => Source::Memory(audio),
        Recorded::File(kept) => Source::File {
            path: kept.path,
            length: kept.bytes,
        },
    };
    serve(source, &id, headers.get(header::RANGE)).await
}

async fn serve(
    source: Source,
    id: &str,
    wanted: Option<&HeaderValue>,
) -> Result<Response, ApiError> {
    let length = source.length();
    let wanted = wanted.and_then(|value| value.to_str().ok());
    let range = match wanted.map(|text| range_of(text, length)) {
        None | Some(Range::Ignore) => None,
        Some(Range::Bytes(range)) => Some(range),
        Some(Range::Outside) => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            return Ok(response);
        }
    };
    let span = range.clone().unwrap_or(0..=length.saturating_sub(1));
    let count = if length == 0 {
        0
    } else {
        span.end() - span.start() + 1
    };
    let (media_type, ending) = source.kind();
    let body = match source {
        Source::Memory(bytes) => {
            let from = usize::try_from(*span.start()).unwrap_or(usize::MAX);
            let count = usize::try_from(count).unwrap_or(0);
            Body::from(bytes.slice(from.min(bytes.len())..(from + count).min(bytes.len())))
        }
        Source::File { path, .. } => file_body(path, *span.start(), count).await?,
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, media_type),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(count));
    let name = format!("inline; filename=\"{id}.{ending}\"");
    if let Ok(value) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{length}", range.start(), range.end());
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header::CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

async fn file_body(path: PathBuf, from: u64, count: u64) -> Result<Body, ApiError> {
    let opened = async {
        let mut file = File::open(&path).await?;
        file.seek(SeekFrom::Start(from)).await?;
        std::io::Result::Ok(file)
    };
    let file = opened.await.map_err(|_| ApiError::not_found("recording"))?;
    let chunks = stream::try_unfold((file, count), async |(mut file, left)| {
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = vec![0; size];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    });
    Ok(Body::from_stream(chunks))
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// Not a single byte range: the whole is sent, as the standard allows.
    Ignore,
    Bytes(RangeInclusive<u64>),
    Outside,
}

fn range_of(text: &str, length: u64) -> Range {
    let Some(spec) = text.trim().strip_prefix("bytes=") else {
        return Range::Ignore;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Range::Ignore;
    };
    if spec.contains(',') {
        return Range::Ignore;
    }
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, to) = match (first.trim().is_empty(), last.trim().is_empty()) {
        (true, false) => match number(last) {
            Some(tail) => (length.saturating_sub(tail), length.saturating_sub(1)),
            None => return Range::Ignore,
        },
        (false, true) => match number(first) {
            Some(from) => (from, length.saturating_sub(1)),
            None => return Range::Ignore,
        },
        (false, false) => match (number(first), number(last)) {
            (Some(from), Some(to)) if from <= to => (from, to.min(length.saturating_sub(1))),
            _ => return Range::Ignore,
        },
        (true, true) => return Range::Ignore,
    };
    if from >= length || (first.trim().is_empty() && number(last) == Some(0)) {
        return Range::Outside;
    }
    Range::Bytes(from..=to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let rows = [
            ("bytes=0-9", Range::Bytes(0..=9)),
            ("bytes=90-", Range::Bytes(90..=99)),
            ("bytes=-10", Range::Bytes(90..=99)),
            ("bytes=-1000", Range::Bytes(0..=99)),
            ("bytes=50-1000", Range::Bytes(50..=99)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=9-3", Range::Ignore),
            ("bytes=0-1,5-6", Range::Ignore),
            ("bytes=x-y", Range::Ignore),
            ("lines=0-1", Range::Ignore),
        ];
        for (text, expected) in rows {
            assert_eq!(range_of(text, 100), expected, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), Range::Outside);
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_sent_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.wav");
        let content: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let source = || Source::File {
            path: path.clone(),
            length: 200_000,
        };
        let range = HeaderValue::from_static("bytes=70000-140000");
        let response = serve(source(), "r", Some(&range)).await.unwrap();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(
            response.headers()[header::CONTENT_RANGE],
            "bytes 70000-140000/200000"
        );
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        assert_eq!(&body[..], &content[70_000..=140_000]);
        let whole = serve(source(), "r", None).await.unwrap();
        assert_eq!(whole.status(), StatusCode::OK);
        assert_eq!(whole.headers()[header::CONTENT_LENGTH], "200000");
    }
}
