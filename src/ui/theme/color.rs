//! Colours: read from a theme's words, brought down to what a terminal shows, compared with each
//! other.

use ratatui::style::Color;

use super::Depth;

/// `none` is the terminal's own colour.
pub(super) fn parse_color(word: &str) -> Option<Color> {
    if word == "none" {
        return Some(Color::Reset);
    }
    if let Some(hex) = word.strip_prefix('#') {
        let value = (hex.len() == 6).then(|| u32::from_str_radix(hex, 16).ok())??;
        let [_, r, g, b] = value.to_be_bytes();
        return Some(Color::Rgb(r, g, b));
    }
    if let Ok(index) = word.parse::<u8>() {
        return Some(Color::Indexed(index));
    }
    NAMED
        .iter()
        .position(|(name, _)| *name == word)
        .map(sixteen)
}

/// The sixteen names and the values xterm gives them, for finding the nearest.
const NAMED: [(&str, [u8; 3]); 16] = [
    ("black", [0, 0, 0]),
    ("red", [205, 0, 0]),
    ("green", [0, 205, 0]),
    ("yellow", [205, 205, 0]),
    ("blue", [0, 0, 238]),
    ("magenta", [205, 0, 205]),
    ("cyan", [0, 205, 205]),
    ("white", [229, 229, 229]),
    ("bright-black", [127, 127, 127]),
    ("bright-red", [255, 0, 0]),
    ("bright-green", [0, 255, 0]),
    ("bright-yellow", [255, 255, 0]),
    ("bright-blue", [92, 92, 255]),
    ("bright-magenta", [255, 0, 255]),
    ("bright-cyan", [0, 255, 255]),
    ("bright-white", [255, 255, 255]),
];

fn sixteen(index: usize) -> Color {
    const COLORS: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    COLORS[index % COLORS.len()]
}

/// Brings a colour down to what the terminal can show.
pub(super) fn lower(color: Color, depth: Depth) -> Option<Color> {
    match (depth, color) {
        (Depth::None, _) => None,
        (Depth::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(cube(r, g, b))),
        (Depth::Sixteen, Color::Rgb(r, g, b)) => {
            let distance = |rgb: &[u8; 3]| -> u32 {
                rgb.iter()
                    .zip([r, g, b])
                    .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2))
                    .sum()
            };
            let nearest = (0..NAMED.len()).min_by_key(|index| distance(&NAMED[*index].1));
            nearest.map(sixteen)
        }
        _ => Some(color),
    }
}

/// Nearest entry of xterm's 6×6×6 cube or its grey ramp.
fn cube(r: u8, g: u8, b: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let near = |value: u8| {
        (0..6)
            .min_by_key(|index| STEPS[*index].abs_diff(value))
            .unwrap_or(0)
    };
    let (ri, gi, bi) = (near(r), near(g), near(b));
    let far = |rr: u8, gg: u8, bb: u8| {
        u32::from(rr.abs_diff(r)).pow(2)
            + u32::from(gg.abs_diff(g)).pow(2)
            + u32::from(bb.abs_diff(b)).pow(2)
    };
    let in_cube = far(STEPS[ri], STEPS[gi], STEPS[bi]);
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let grey_index = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = 8 + 10 * grey_index;
    if far(grey, grey, grey) < in_cube {
        232 + grey_index
    } else {
        (16 + 36 * ri + 6 * gi + bi) as u8
    }
}

/// Red, green, blue of a colour; of an indexed one as xterm shows it, `None` of the terminal's own.
pub fn rgb(color: Color) -> Option<[u8; 3]> {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let named = |index: usize| NAMED.get(index).map(|(_, rgb)| *rgb);
    match color {
        Color::Rgb(r, g, b) => Some([r, g, b]),
        Color::Indexed(index @ 0..16) => named(usize::from(index)),
        Color::Indexed(index @ 16..232) => {
            let at = usize::from(index - 16);
            Some([STEPS[at / 36], STEPS[at / 6 % 6], STEPS[at % 6]])
        }
        Color::Indexed(index) => Some([8 + 10 * (index - 232); 3]),
        Color::Reset => None,
        color => named((0..NAMED.len()).find(|index| sixteen(*index) == color)?),
    }
}

/// Relative luminance, 0 to 1. Source: WCAG 2.1, relative luminance.
pub fn luminance(rgb: [u8; 3]) -> f64 {
    let [r, g, b] = rgb.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.03928 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Contrast of two colours, 1 to 21. Source: WCAG 2.1, contrast ratio.
pub fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}
