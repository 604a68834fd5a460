//! WAV bytes: the µ-law header we write and the small files we read. Opening, appending and syncing
//! files is the store's business. Format: RIFF/WAVE, format code 7 (ITU G.711 µ-law).

use super::{MediaFormat, TELEPHONE_RATE_HZ, Transcoder};

/// RIFF (12) + fmt (8 + 18) + fact (8 + 4) + data (8).
pub const ULAW_HEADER_LEN: usize = 58;
/// In a stream the end is unknown; players take this for "until it stops".
const UNKNOWN: u32 = u32::MAX;

/// Sample coding of a file that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavFormat {
    Ulaw,
    Pcm16,
}

/// A parsed file; `data` is a view into the bytes given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wav<'a> {
    pub format: WavFormat,
    pub channels: u16,
    pub rate_hz: u32,
    pub data: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    #[error("not a WAV file")]
    NotWav,
    #[error("WAV file without a format or data part")]
    Incomplete,
    #[error("WAV format {code} with {bits} bits is not supported, only µ-law and 16-bit PCM")]
    Format { code: u16, bits: u16 },
    #[error("unusable WAV shape: {channels} channels at {rate_hz} Hz")]
    Shape { channels: u16, rate_hz: u32 },
}

/// Header of an 8 kHz µ-law file. `channels` is 1 or 2 (caller left, agent right); `data_len` is
/// `None` while the length is unknown, so that a file cut short by a crash still plays.
pub fn ulaw_header(channels: u16, data_len: Option<u32>) -> [u8; ULAW_HEADER_LEN] {
    let rate = TELEPHONE_RATE_HZ;
    let (riff, samples, data) = sizes(channels, data_len);
    let mut header = [0u8; ULAW_HEADER_LEN];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&riff.to_le_bytes());
    put(b"WAVEfmt ");
    put(&18u32.to_le_bytes());
    put(&7u16.to_le_bytes());
    put(&channels.to_le_bytes());
    put(&rate.to_le_bytes());
    put(&(rate * u32::from(channels)).to_le_bytes());
    put(&channels.to_le_bytes());
    put(&8u16.to_le_bytes());
    put(&0u16.to_le_bytes());
    put(b"fact");
    put(&4u32.to_le_bytes());
    put(&samples.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    header
}

/// Bytes of [`pcm16_header`].
pub const PCM16_HEADER_LEN: usize = 44;

/// Header of a mono file of 16-bit samples. `data_len` in bytes; what does not fit the format's 32
/// bits is written as unknown.
pub fn pcm16_header(rate_hz: u32, data_len: usize) -> [u8; PCM16_HEADER_LEN] {
    let data = u32::try_from(data_len).unwrap_or(UNKNOWN);
    let mut header = [0u8; PCM16_HEADER_LEN];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&data
        .saturating_add(PCM16_HEADER_LEN as u32 - 8)
        .to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&1u16.to_le_bytes());
    put(&rate_hz.to_le_bytes());
    put(&rate_hz.saturating_mul(2).to_le_bytes());
    put(&2u16.to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    header
}

/// What to overwrite when a file with an open header is finished: offset and bytes.
pub fn ulaw_size_patches(channels: u16, data_len: u32) -> [(u64, [u8; 4]); 3] {
    let (riff, samples, data) = sizes(channels, Some(data_len));
    [
        (4, riff.to_le_bytes()),
        (46, samples.to_le_bytes()),
        (54, data.to_le_bytes()),
    ]
}

fn sizes(channels: u16, data_len: Option<u32>) -> (u32, u32, u32) {
    match data_len {
        None => (UNKNOWN, UNKNOWN, UNKNOWN),
        Some(len) => {
            let riff = len.saturating_add(ULAW_HEADER_LEN as u32 - 8);
            (riff, len / u32::from(channels.max(1)), len)
        }
    }
}

impl<'a> Wav<'a> {
    /// Reads a whole file. A data part longer than the file, as after a crash, ends with the file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WavError> {
        let rest = bytes
            .strip_prefix(b"RIFF")
            .and_then(|b| b.get(4..))
            .ok_or(WavError::NotWav)?;
        let mut rest = rest.strip_prefix(b"WAVE").ok_or(WavError::NotWav)?;
        let mut format = None;
        while let Some((head, body)) = rest.split_at_checked(8) {
            let (name, size) = head.split_at(4);
            let size = le_u32(size).unwrap_or(0) as usize;
            let chunk = &body[..size.min(body.len())];
            match name {
                b"fmt " => format = Some(parse_format(chunk)?),
                b"data" => {
                    let (format, channels, rate_hz) = format.ok_or(WavError::Incomplete)?;
                    return Ok(Self {
                        format,
                        channels,
                        rate_hz,
                        data: chunk,
                    });
                }
                _ => {}
            }
            // Parts are padded to an even length.
            rest = body
                .get(size.saturating_add(size & 1)..)
                .unwrap_or_default();
        }
        Err(WavError::Incomplete)
    }

    /// The sound as a telephone track: mono, 8 kHz, µ-law. More channels are averaged.
    pub fn to_ulaw_8k(&self) -> Result<Vec<u8>, WavError> {
        let shape = WavError::Shape {
            channels: self.channels,
            rate_hz: self.rate_hz,
        };
        let word = match self.format {
            WavFormat::Ulaw => "audio/x-mulaw",
            WavFormat::Pcm16 => "audio/x-l16",
        };
        let own = MediaFormat::from_mime(word, self.rate_hz).map_err(|_| shape)?;
        let mut out = Vec::new();
        if self.channels == 1 {
            Transcoder::new(own, MediaFormat::ULAW_8K).convert(self.data, &mut out);
            return Ok(out);
        }
        let pcm_own = MediaFormat::from_mime("audio/x-l16", self.rate_hz).map_err(|_| shape)?;
        let mut pcm = Vec::new();
        Transcoder::new(own, pcm_own).convert(self.data, &mut pcm);
        let group = 2 * usize::from(self.channels);
        let mono: Vec<u8> = pcm
            .chunks_exact(group)
            .flat_map(|g| {
                let sum: i32 = g
                    .chunks_exact(2)
                    .map(|s| i32::from(i16::from_le_bytes([s[0], s[1]])))
                    .sum();
                ((sum / i32::from(self.channels)) as i16).to_le_bytes()
            })
            .collect();
        Transcoder::new(pcm_own, MediaFormat::ULAW_8K).convert(&mono, &mut out);
        Ok(out)
    }
}

fn parse_format(chunk: &[u8]) -> Result<(WavFormat, u16, u32), WavError> {
    let word = |at: usize| {
        chunk
            .get(at..at + 2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
    };
    let (Some(code), Some(channels), Some(rate_hz), Some(bits)) =
        (word(0), word(2), chunk.get(4..8).and_then(le_u32), word(14))
    else {
        return Err(WavError::Incomplete);
    };
    // 0xFFFE: the real code stands at the start of the sub-format that follows.
    let code = if code == 0xFFFE {
        word(24).unwrap_or(code)
    } else {
        code
    };
    let format = match (code, bits) {
        (7, 8) => WavFormat::Ulaw,
        (1, 16) => WavFormat::Pcm16,
        _ => return Err(WavError::Format { code, bits }),
    };
    if channels == 0 || channels > 8 || rate_hz == 0 {
        return Err(WavError::Shape { channels, rate_hz });
    }
    Ok((format, channels, rate_hz))
}

fn le_u32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{goertzel, sine, ulaw_decode_sample};

    fn pcm_file(rate_hz: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
        let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        file.extend(b"LIST\x03\0\0\0abc\0");
        file.extend(b"fmt \x10\0\0\0\x01\0");
        file.extend(channels.to_le_bytes());
        file.extend(rate_hz.to_le_bytes());
        file.extend((rate_hz * 2 * u32::from(channels)).to_le_bytes());
        file.extend((2 * channels).to_le_bytes());
        file.extend(16u16.to_le_bytes());
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn our_own_files_can_be_read_finished_or_not() {
        for len in [None, Some(320)] {
            let mut file = ulaw_header(2, len).to_vec();
            file.extend([7u8; 320]);
            let wav = Wav::parse(&file).unwrap();
            assert_eq!(
                (wav.format, wav.channels, wav.rate_hz),
                (WavFormat::Ulaw, 2, 8_000)
            );
            assert_eq!(wav.data, [7; 320]);
        }
    }

    #[test]
    fn patching_an_open_header_gives_the_finished_one() {
        let mut header = ulaw_header(2, None);
        for (offset, bytes) in ulaw_size_patches(2, 16_000) {
            let at = offset as usize;
            header[at..at + 4].copy_from_slice(&bytes);
        }
        assert_eq!(header, ulaw_header(2, Some(16_000)));
        assert_eq!(header[28..32], 16_000u32.to_le_bytes(), "bytes per second");
        assert_eq!(header[32..34], 2u16.to_le_bytes(), "bytes per sample pair");
    }

    #[test]
    fn a_foreign_file_becomes_telephone_audio() {
        let mono = sine(1_000.0, 9_000.0, 24_000, 24_000);
        let stereo: Vec<i16> = mono.iter().flat_map(|&s| [s, s]).collect();
        for file in [pcm_file(24_000, 1, &mono), pcm_file(24_000, 2, &stereo)] {
            let ulaw = Wav::parse(&file).unwrap().to_ulaw_8k().unwrap();
            assert_eq!(ulaw.len(), 8_000);
            let heard: Vec<f32> = ulaw[400..]
                .iter()
                .map(|&b| ulaw_decode_sample(b).into())
                .collect();
            assert!((goertzel(&heard, 8_000, 1_000.0) - 9_000.0).abs() < 150.0);
        }
    }

    #[test]
    fn a_file_of_samples_reads_back() {
        let mut file = pcm16_header(16_000, 4).to_vec();
        file.extend([1, 2, 3, 4]);
        let wav = Wav::parse(&file).unwrap();
        assert_eq!((wav.format, wav.rate_hz), (WavFormat::Pcm16, 16_000));
        assert_eq!(wav.data, [1, 2, 3, 4]);
    }

    #[test]
    fn rubbish_is_refused_with_a_reason() {
        assert_eq!(Wav::parse(b"RIFX"), Err(WavError::NotWav));
        assert_eq!(Wav::parse(b"RIFF\0\0\0\0WAVE"), Err(WavError::Incomplete));
        let mut file = ulaw_header(1, Some(0)).to_vec();
        file[20] = 6;
        assert_eq!(
            Wav::parse(&file),
            Err(WavError::Format { code: 6, bits: 8 })
        );
        for cut in 0..ULAW_HEADER_LEN {
            let _ = Wav::parse(&ulaw_header(2, Some(9))[..cut]);
        }
    }
}
