//! Themes load, fall back and say what is wrong with them.

use super::*;

#[test]
fn every_built_in_theme_loads_at_every_depth() {
    for name in Theme::names(None) {
        for depth in [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True] {
            let theme = Theme::load(&name, None, depth).unwrap();
            assert_eq!(theme.name, name);
            if depth == Depth::None {
                for role in Role::ALL {
                    let style = theme.style(role);
                    assert_eq!((style.fg, style.bg), (None, None), "{name} {role:?}");
                }
            }
        }
    }
}

#[test]
fn a_missing_role_falls_back_along_its_chain() {
    let text = "name = \"t\"\n[roles]\naccent = { fg = \"#102030\" }\n";
    let theme = Theme::parse("t", text, Depth::True).unwrap();
    let accent = Some(Color::Rgb(0x10, 0x20, 0x30));
    assert_eq!(theme.style(Role::Caller).fg, accent);
    assert_eq!(theme.style(Role::Key).fg, accent);
    assert_eq!(theme.style(Role::Border).fg, None);
}

#[test]
fn a_wrong_file_names_what_is_wrong() {
    let rows = [
        ("name = \"t\"\n[roles]\naccnt = {}", "accnt"),
        ("name = \"t\"\n[roles]\ntext = { fg = \"#12\" }", "#12"),
        (
            "name = \"t\"\n[roles]\ntext = { mods = [\"shiny\"] }",
            "shiny",
        ),
        ("name = 3", "t"),
    ];
    for (text, word) in rows {
        let error = Theme::parse("t", text, Depth::True).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = Theme::load("no such", Some(Path::new("/")), Depth::True).unwrap_err();
    assert!(matches!(error, ThemeError::Unknown { .. }));
    let error = Theme::load("/no/such.toml", None, Depth::True).unwrap_err();
    assert!(matches!(error, ThemeError::Unreadable { .. }));
}

#[test]
fn depth_follows_the_usual_variables() {
    assert_eq!(Depth::detect(Some("1"), Some("xterm"), None), Depth::None);
    assert_eq!(Depth::detect(Some(""), Some("xterm"), None), Depth::Sixteen);
    assert_eq!(
        Depth::detect(None, Some("xterm-256color"), None),
        Depth::Indexed
    );
    assert_eq!(
        Depth::detect(None, Some("x"), Some("truecolor")),
        Depth::True
    );
    assert_eq!(
        Depth::detect(None, Some("dumb"), Some("truecolor")),
        Depth::None
    );
    assert_eq!(Theme::automatic(Depth::True, Some("0;15")), "light");
    assert_eq!(Theme::automatic(Depth::True, Some("15;0")), "dark");
}

/// Roles that are read as text on the plain background.
const READ: [Role; 12] = [
    Role::Text,
    Role::Strong,
    Role::Dim,
    Role::Accent,
    Role::Good,
    Role::Warn,
    Role::Bad,
    Role::Info,
    Role::Caller,
    Role::Agent,
    Role::Operator,
    Role::Recording,
];

#[test]
fn every_painted_theme_can_be_read_on_its_own_background() {
    let (mut dark, mut light) = (0, 0);
    for name in Theme::names(None) {
        let theme = Theme::load(&name, None, Depth::True).unwrap();
        let Some((foreground, background)) = theme.canvas else {
            assert_eq!(
                theme.kind,
                Kind::Any,
                "{name} has no background to be read on"
            );
            continue;
        };
        match theme.kind {
            Kind::Light => light += 1,
            Kind::Dark | Kind::Any => dark += 1,
        }
        let least = if name.starts_with("contrast") {
            7.0
        } else {
            4.5
        };
        for role in READ {
            let style = theme.style(role);
            let text = rgb(style.fg.unwrap_or(foreground)).unwrap();
            let behind = rgb(style.bg.unwrap_or(background)).unwrap();
            let found = contrast(text, behind);
            // A white word on a full red bar is bold: 3 is enough there (WCAG 1.4.3).
            let least = if style.bg.is_some() { 3.0 } else { least };
            assert!(found >= least, "{name} {role:?}: {found:.1}");
        }
        let is_light = luminance(rgb(background).unwrap()) > 0.18;
        assert_eq!(is_light, theme.kind == Kind::Light, "{name}");
    }
    assert!(light >= 2 && dark >= 5, "{light} light, {dark} dark");
    assert!(Theme::names(None).len() >= 10);
}

/// As somebody without green cones sees it. Source: Viénot, Brettel, Mollon 1999, in linear light.
fn without_green(rgb: [u8; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|part| (f64::from(part) / 255.0).powf(2.2));
    [
        0.29 * r + 0.71 * g,
        0.29 * r + 0.71 * g,
        -0.02 * r + 0.02 * g + b,
    ]
    .map(|part| part.max(0.0).powf(1.0 / 2.2) * 255.0)
}

#[test]
fn severities_stay_apart_without_green_cones() {
    for name in ["colorblind", "colorblind-light"] {
        let theme = Theme::load(name, None, Depth::True).unwrap();
        let seen: Vec<[f64; 3]> = [Role::Good, Role::Warn, Role::Bad]
            .map(|role| without_green(rgb(theme.style(role).fg.unwrap()).unwrap()))
            .to_vec();
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            let far: f64 = (0..3)
                .map(|n| (seen[one][n] - seen[other][n]).powi(2))
                .sum();
            assert!(
                far.sqrt() > 60.0,
                "{name}: {one} and {other} are {:.0} apart",
                far.sqrt()
            );
        }
    }
}

#[test]
fn the_chain_of_fallbacks_is_the_documented_one() {
    let docs = include_str!("../../../docs/themes.md");
    for role in Role::ALL {
        let parent = role
            .parent()
            .map_or("the terminal's own colours", Role::as_str);
        let row = format!("| `{}` | {parent} |", role.as_str());
        let row = row.replace(
            &format!("| {parent} |"),
            &match role.parent() {
                Some(parent) => format!("| `{}` |", parent.as_str()),
                None => format!("| {parent} |"),
            },
        );
        assert!(docs.contains(&row), "docs/themes.md lacks {row}");
    }
}

#[test]
fn a_role_says_where_its_style_comes_from() {
    let text = "name = \"t\"\n[roles]\naccent = { fg = \"#102030\" }\n";
    let theme = Theme::parse("t", text, Depth::True).unwrap();
    assert_eq!(theme.source_of(Role::Caller), Role::Accent);
    assert_eq!(theme.source_of(Role::Accent), Role::Accent);
    assert_eq!(theme.source_of(Role::Border), Role::Text);
}
