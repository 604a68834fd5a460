//! `recording`: a finished recording's file, as it is, on stdout or saved.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::call::{Recording, RecordingState};
use crate::cli::args::RecordingArgs;
use crate::cli::config::Config;
use crate::cli::out;
use crate::cli::{Exit, Failure, Outcome};

use super::Client;

#[derive(Debug, Deserialize)]
struct Answer {
    data: List,
}

#[derive(Debug, Deserialize)]
struct List {
    recordings: Vec<Recording>,
}

pub async fn run(args: &RecordingArgs, config: &Config, as_json: bool) -> Outcome {
    if args.out.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "sound does not belong on a terminal",
            format!(
                "pipe it: wallboard recording {} | mpv - (or --out FILE)",
                args.call
            ),
        ));
    }
    let client = Client::find(&args.remote, config)?;
    let id = find(&client, args).await?;
    let response = client.open(client.url(&["api", "recordings", &id])).await?;
    let Some(path) = &args.out else {
        copy(response, out::write_all).await?;
        return Ok(());
    };
    let mut file = create(path)?;
    let copied = copy(response, |piece| {
        file.write_all(piece)
            .map_err(|error| unwritable(path, &error))
    })
    .await;
    let bytes = match copied {
        Ok(bytes) => bytes,
        Err(failure) => {
            // Half a recording under its name would pass for a whole one.
            let _gone = std::fs::remove_file(path);
            return Err(failure);
        }
    };
    if as_json {
        return out::json(&json!({ "id": id, "file": path, "bytes": bytes }));
    }
    out::line(&format!("{}  {bytes} bytes", path.display()))
}

/// The id the wanted recording is served under. What is no call is taken for a recording's id.
async fn find(client: &Client, args: &RecordingArgs) -> Outcome<String> {
    let url = client.url(&["api", "calls", &args.call, "recordings"]);
    let list = match client.get::<Answer>(url).await {
        Ok(answer) => answer.data.recordings,
        Err(failure) if failure.exit == Exit::NotFound => return Ok(args.call.clone()),
        Err(failure) => return Err(failure),
    };
    let finished: Vec<&Recording> = list
        .iter()
        .filter(|recording| recording.state == RecordingState::Completed)
        .collect();
    let number = args.number.map_or(finished.len(), |number| number as usize);
    let wanted = number.checked_sub(1).and_then(|at| finished.get(at));
    wanted
        .map(|recording| recording.served_id().to_owned())
        .ok_or_else(|| {
            Failure::not_found(
                format!("this call has {} finished recordings", finished.len()),
                "one that still runs is there once it is stopped",
            )
        })
}

async fn copy(
    mut response: reqwest::Response,
    mut take: impl FnMut(&[u8]) -> Outcome,
) -> Outcome<u64> {
    let mut bytes = 0;
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => {
                bytes += piece.len() as u64;
                take(&piece)?;
            }
            Ok(None) => return Ok(bytes),
            Err(error) => {
                return Err(Failure::failed(
                    format!("the recording broke off: {error}"),
                    "try again",
                ));
            }
        }
    }
}

fn create(path: &Path) -> Outcome<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(
        format!("{} cannot be written: {error}", path.display()),
        "give another name with --out; nothing is overwritten",
    )
}
