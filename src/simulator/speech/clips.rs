//! The packed clips of `assets/speech`: IMA ADPCM in, µ-law out, decoded when first asked for.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use serde::Deserialize;

use crate::simulator::ulaw;

static PACK: &[u8] = include_bytes!("../../../assets/speech/speech.pack");
static INDEX: &str = include_str!("../../../assets/speech/speech.toml");
static CLIPS: LazyLock<HashMap<String, Entry>> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the index is compiled in and covered by a test"
    )]
    let index: Index = toml::from_str(INDEX).expect("the compiled-in clip index parses");
    index
        .clip
        .into_iter()
        .map(|row| {
            (
                row.id.clone(),
                Entry {
                    row,
                    audio: OnceLock::new(),
                },
            )
        })
        .collect()
});

#[derive(Deserialize)]
struct Index {
    clip: Vec<Row>,
}

#[derive(Clone, Deserialize)]
struct Row {
    id: String,
    offset: usize,
    bytes: usize,
}

struct Entry {
    row: Row,
    audio: OnceLock<Bytes>,
}

/// One clip as 8 kHz mono µ-law; `None` if the pack has no such clip. Cheap after the first time.
pub fn clip(id: &str) -> Option<Bytes> {
    let entry = CLIPS.get(id)?;
    let coded = PACK.get(entry.row.offset..entry.row.offset + entry.row.bytes)?;
    Some(entry.audio.get_or_init(|| decode(coded)).clone())
}

/// All ids of the pack, in no order.
#[cfg(test)]
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    CLIPS.keys().map(String::as_str)
}

const INDEX_STEP: [i32; 16] = [-1, -1, -1, -1, 2, 4, 6, 8, -1, -1, -1, -1, 2, 4, 6, 8];
#[rustfmt::skip]
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
    73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449,
    494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272,
    2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493,
    10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];

/// IMA ADPCM (IMA Digital Audio Focus Group, 1992), headerless, high nibble first.
fn decode(coded: &[u8]) -> Bytes {
    let (mut value, mut index) = (0_i32, 0_usize);
    let mut out = Vec::with_capacity(coded.len() * 2);
    for nibble in coded.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]) {
        let step = STEPS.get(index).copied().unwrap_or(32_767);
        let mut delta = step >> 3;
        for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            if nibble & bit != 0 {
                delta += part;
            }
        }
        value = if nibble & 8 == 0 {
            value + delta
        } else {
            value - delta
        };
        value = value.clamp(-32_768, 32_767);
        let moved = INDEX_STEP.get(usize::from(nibble)).copied().unwrap_or(0);
        index = (index as i32 + moved).clamp(0, 88) as usize;
        out.push(ulaw::encode(value as i16));
    }
    Bytes::from(out)
}
