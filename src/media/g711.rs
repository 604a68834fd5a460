//! ITU-T G.711: µ-law and A-law to linear 16 bit and back. Tables one way, arithmetic the other.
//! Packet loss concealment is not done here.

const BIAS: i32 = 132;
/// Largest magnitude that still fits after the bias.
const ULAW_CLIP: i32 = 32_635;

static ULAW: [i16; 256] = ulaw_table();
static ALAW: [i16; 256] = alaw_table();

/// Expands one µ-law code word; ±32124 is the largest magnitude. Source: G.711 tables 2a and 2b.
pub fn ulaw_decode_sample(code: u8) -> i16 {
    ULAW[usize::from(code)]
}

/// Expands one A-law code word; ±32256 is the largest magnitude. Source: G.711 tables 1a and 1b.
pub fn alaw_decode_sample(code: u8) -> i16 {
    ALAW[usize::from(code)]
}

/// The µ-law code word nearest to `sample`. Zero becomes 0xFF, never 0x7F.
pub fn ulaw_encode_sample(sample: i16) -> u8 {
    let x = i32::from(sample);
    let sign = if x < 0 { 0x80u8 } else { 0 };
    let magnitude = (x.abs().min(ULAW_CLIP) + BIAS) as u32;
    // The bias puts the lowest segment's leading bit at bit 7, the highest at bit 14.
    let exponent = 24 - magnitude.leading_zeros();
    let mantissa = ((magnitude >> (exponent + 3)) & 0x0F) as u8;
    !(sign | ((exponent as u8) << 4) | mantissa)
}

/// The A-law code word nearest to `sample`.
pub fn alaw_encode_sample(sample: i16) -> u8 {
    // In A-law the set sign bit means positive; negatives count from -1 so that both halves match.
    let (mask, magnitude) = if sample >= 0 {
        (0xD5u8, sample as u16)
    } else {
        (0x55u8, !(sample as u16))
    };
    let magnitude = u32::from(magnitude);
    let code = if magnitude < 256 {
        magnitude >> 4
    } else {
        let segment = 24 - magnitude.leading_zeros();
        (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)
    };
    code as u8 ^ mask
}

/// Expands µ-law, one byte per sample. Writes `min(input.len(), out.len())` samples and returns
/// that number. Never fails: every byte is a valid code word.
pub fn ulaw_decode(input: &[u8], out: &mut [i16]) -> usize {
    for (o, &b) in out.iter_mut().zip(input) {
        *o = ulaw_decode_sample(b);
    }
    input.len().min(out.len())
}

/// Compresses to µ-law, one byte per sample; see [`ulaw_decode`] for lengths.
pub fn ulaw_encode(input: &[i16], out: &mut [u8]) -> usize {
    for (o, &s) in out.iter_mut().zip(input) {
        *o = ulaw_encode_sample(s);
    }
    input.len().min(out.len())
}

/// Expands A-law, one byte per sample; see [`ulaw_decode`] for lengths.
pub fn alaw_decode(input: &[u8], out: &mut [i16]) -> usize {
    for (o, &b) in out.iter_mut().zip(input) {
        *o = alaw_decode_sample(b);
    }
    input.len().min(out.len())
}

/// Compresses to A-law, one byte per sample; see [`ulaw_decode`] for lengths.
pub fn alaw_encode(input: &[i16], out: &mut [u8]) -> usize {
    for (o, &s) in out.iter_mut().zip(input) {
        *o = alaw_encode_sample(s);
    }
    input.len().min(out.len())
}

const fn ulaw_table() -> [i16; 256] {
    let mut table = [0i16; 256];
    let mut b = 0usize;
    while b < 256 {
        let u = !(b as u8);
        let exponent = (u >> 4) & 7;
        let mantissa = (u & 0x0F) as i32;
        let x = (((mantissa << 3) + BIAS) << exponent) - BIAS;
        table[b] = if u & 0x80 != 0 { -x as i16 } else { x as i16 };
        b += 1;
    }
    table
}

const fn alaw_table() -> [i16; 256] {
    let mut table = [0i16; 256];
    let mut b = 0usize;
    while b < 256 {
        let a = (b as u8) ^ 0x55;
        let segment = (a >> 4) & 7;
        let mantissa = ((a & 0x0F) as i32) << 4;
        let x = match segment {
            0 => mantissa + 8,
            s => (mantissa + 0x108) << (s - 1),
        };
        table[b] = if a & 0x80 != 0 { x as i16 } else { -x as i16 };
        b += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ulaw_matches_the_published_vectors() {
        let rows = [
            (0xFF, 0),
            (0x7F, 0),
            (0x00, -32_124),
            (0x80, 32_124),
            (0x8F, 16_764),
            (0xDB, 524),
            (0xFE, 8),
        ];
        for (code, x) in rows {
            assert_eq!(ulaw_decode_sample(code), x, "{code:#x}");
        }
        assert_eq!(ulaw_encode_sample(0), 0xFF);
        assert_eq!(ulaw_encode_sample(i16::MAX), 0x80);
        assert_eq!(ulaw_encode_sample(i16::MIN), 0x00);
    }

    #[test]
    fn alaw_matches_the_published_vectors() {
        let rows = [(0xD5, 8), (0x55, -8), (0xAA, 32_256), (0x2A, -32_256)];
        for (code, x) in rows {
            assert_eq!(alaw_decode_sample(code), x, "{code:#x}");
        }
    }

    #[test]
    fn every_code_word_survives_decode_then_encode() {
        for code in 0..=255u8 {
            let back = ulaw_encode_sample(ulaw_decode_sample(code));
            // 0x7F is the negative zero, which has no sample of its own.
            assert_eq!(back, if code == 0x7F { 0xFF } else { code });
            assert_eq!(alaw_encode_sample(alaw_decode_sample(code)), code);
        }
    }

    #[test]
    fn slices_stop_at_the_shorter_side() {
        let mut out = [7i16; 3];
        assert_eq!(ulaw_decode(&[0xFF, 0x80], &mut out), 2);
        assert_eq!(out, [0, 32_124, 7]);
    }

    proptest! {
        #[test]
        fn error_stays_within_half_a_step(x in any::<i16>()) {
            let wide = i32::from(x);
            let ulaw = i32::from(ulaw_decode_sample(ulaw_encode_sample(x)));
            let alaw = i32::from(alaw_decode_sample(alaw_encode_sample(x)));
            // A step is 1/16 of the segment, a segment starts at half the magnitude: 1/32 + floor.
            let bound = (wide.abs() + BIAS) / 32 + 8;
            let clipped = wide.clamp(-ULAW_CLIP, ULAW_CLIP);
            prop_assert!((clipped - ulaw).abs() <= bound, "{x} -> {ulaw}");
            prop_assert!((wide - alaw).abs() <= bound, "{x} -> {alaw}");
        }
    }
}
