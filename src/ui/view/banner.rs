//! The banner under the header: a lost link with its countdown, or what the backend warns of.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::call::{Fact, Severity};
use crate::engine::LinkState;
use crate::ui::keymap::Act;
use crate::ui::model::Model;
use crate::ui::pen::Pen;
use crate::ui::theme::Role;
use crate::ui::tour;

use super::is_up;

/// The worst backend notice the operator has not closed.
fn notice(model: &Model) -> Option<(Severity, &str)> {
    model
        .board
        .notices()
        .iter()
        .skip(model.notices_read)
        .filter_map(|(_, fact)| match fact {
            Fact::Notice { severity, text, .. } if *severity > Severity::Info => {
                Some((*severity, text.as_str()))
            }
            _ => None,
        })
        .max_by_key(|(severity, _)| *severity)
}

pub(crate) fn is_shown(model: &Model) -> bool {
    let link_lost = !is_up(&model.link) && model.hello.is_some();
    link_lost
        || matches!(model.link, LinkState::Refused(_))
        || notice(model).is_some()
        || tour::words(model).is_some()
}

pub(super) fn draw(pen: &mut Pen<'_>, model: &Model, area: Rect) {
    let age = model.data_age().as_secs();
    let (role, text) = match &model.link {
        LinkState::Down {
            reason,
            retry_in,
            attempt,
        } => {
            let due = model.link_since + *retry_in;
            let left = due
                .saturating_sub(model.now.mono)
                .as_millis()
                .div_ceil(1000);
            let next = if left == 0 {
                "trying now".to_owned()
            } else {
                format!("next try in {left} s")
            };
            (
                Role::BannerBad,
                format!(
                    "LINK LOST · {next} (try {attempt}) · data {age} s old · calls go on · {reason}"
                ),
            )
        }
        LinkState::Connecting { attempt } => (
            Role::BannerWarn,
            format!("CONNECTING · try {attempt} · data {age} s old · calls go on"),
        ),
        LinkState::Refused(refusal) => (
            Role::BannerBad,
            format!("REFUSED · {} · {}", refusal.message, refusal.hint),
        ),
        LinkState::Up | LinkState::Embedded => match notice(model) {
            Some((severity, text)) => {
                let role = if severity == Severity::Critical {
                    Role::BannerBad
                } else {
                    Role::BannerWarn
                };
                let close = model.key(Act::Back);
                (role, format!("{text} · {close} closes"))
            }
            None => match tour::words(model) {
                Some(words) => (Role::Accent, words),
                None => return,
            },
        },
    };
    let mut style = pen.style(role);
    // The tour is no warning.
    if role == Role::Accent {
        style = style.add_modifier(Modifier::REVERSED);
    }
    pen.tint(area, style);
    let text = crate::call::text::clean(&text).replace('\n', " ");
    pen.text(
        area.x + 1,
        area.y,
        area.width.saturating_sub(2),
        &text,
        style,
    );
}
