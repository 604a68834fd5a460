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
    let error = Theme::load("../etc/passwd", Some(Path::new("/")), Depth::True).unwrap_err();
    assert!(matches!(error, ThemeError::Unknown { .. }));
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
