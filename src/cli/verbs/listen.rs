//! `listen`: a call's live sound on stdout, for a player or a file. Out only; there is nothing here
//! that could speak into a call.

use std::io::IsTerminal;

use futures_util::StreamExt;

use crate::cli::args::{AudioFormat, ListenArgs};
use crate::cli::config::Config;
use crate::cli::out;
use crate::cli::{Failure, Outcome};
use crate::media::ulaw_decode;

use super::Client;

/// A WAV header that is longer than this is none.
const HEADER_MAX: usize = 512;

pub async fn run(args: &ListenArgs, config: &Config) -> Outcome {
    if std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "sound does not belong on a terminal",
            format!("pipe it: wallboard listen {} | mpv -", args.call),
        ));
    }
    let format = if args.raw {
        AudioFormat::Ulaw
    } else {
        args.format
    };
    let client = Client::find(&args.remote, config)?;
    let call = super::look::resolve(&client, &args.call).await?.to_string();
    let response = client
        .open(client.url(&["api", "calls", &call, "audio.wav"]))
        .await?;
    let mut body = response.bytes_stream();
    let mut head = Some(Vec::new());
    loop {
        let chunk = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            chunk = body.next() => chunk,
        };
        // The end of the call, or of the link: either way there is no more to hear.
        let Some(Ok(chunk)) = chunk else {
            return Ok(());
        };
        if format == AudioFormat::Wav {
            out::write_all(&chunk)?;
            continue;
        }
        let sound = match &mut head {
            None => chunk.to_vec(),
            Some(bytes) => {
                bytes.extend_from_slice(&chunk);
                match after_header(bytes) {
                    Some(rest) => {
                        let rest = rest.to_vec();
                        head = None;
                        rest
                    }
                    None if bytes.len() > HEADER_MAX => {
                        return Err(Failure::failed("the backend sent no WAV", "check --url"));
                    }
                    None => continue,
                }
            }
        };
        out::write_all(&in_format(format, sound))?;
    }
}

/// What follows the header of the data chunk; `None` while it has not come whole.
fn after_header(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(4).position(|window| window == b"data")?;
    bytes.get(at + 8..)
}

fn in_format(format: AudioFormat, sound: Vec<u8>) -> Vec<u8> {
    match format {
        AudioFormat::Wav | AudioFormat::Ulaw => sound,
        AudioFormat::S16le => {
            let mut samples = vec![0; sound.len()];
            ulaw_decode(&sound, &mut samples);
            samples
                .iter()
                .flat_map(|sample| sample.to_le_bytes())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::ulaw_decode_sample;

    #[test]
    fn the_header_is_cut_off_even_when_it_comes_in_pieces() {
        assert_eq!(after_header(b"RIFF....WAVEfmt "), None);
        assert_eq!(
            after_header(b"RIFF....WAVEdata\xff\xff\xff\xff\x01\x02"),
            Some(&[1, 2][..])
        );
        assert_eq!(after_header(b"RIFF....WAVEdata\xff\xff"), None);
    }

    #[test]
    fn s16le_is_two_bytes_a_sample() {
        assert_eq!(in_format(AudioFormat::S16le, vec![0xff, 0x80]), {
            let loud = ulaw_decode_sample(0x80).to_le_bytes();
            vec![0, 0, loud[0], loud[1]]
        });
    }
}
