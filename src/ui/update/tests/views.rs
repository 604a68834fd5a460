//! Columns of the table and kept views.

use crate::ui::Effect;
use crate::ui::columns::Column;
use crate::ui::model::{Page, Settings, View};
use crate::ui::order::Sort;
use crate::ui::picture::{Still, text};
use crate::ui::sample;
use crate::ui::theme::Depth;

use super::still;

fn command(still: &mut Still, words: &str) {
    still.keys(":");
    still.type_text(words);
    still.keys("enter");
}

fn kept(still: &Still) -> Option<&str> {
    still.effects.iter().rev().find_map(|effect| match effect {
        Effect::KeepViews(text) => Some(text.as_str()),
        _ => None,
    })
}

#[test]
fn columns_are_chosen_beside_the_table_and_kept() {
    let mut still = still();
    still.draw(200, 60);
    still.keys("t");
    let before = text(&still.draw(200, 60));
    assert!(before.contains("Columns · space turns"), "{before}");
    assert!(before.contains("BRIDGE") && !before.contains("JITTER"));
    // To jitter; on; to the name; off.
    still.keys("j j j j j j j j space g space");
    let after = text(&still.draw(200, 60));
    assert!(
        after.contains("JITTER") && !after.contains(" NAME  "),
        "{after}"
    );
    assert!(kept(&still).is_none(), "only when one is through");
    still.keys("enter");
    let file = kept(&still).unwrap();
    assert!(
        file.contains("\"jitter\"") && !file.contains("\"name\""),
        "{file}"
    );
    command(&mut still, "columns cost");
    assert!(still.model.views.columns.has(Column::Cost));
}

#[test]
fn a_view_is_kept_and_brought_back_whole() {
    let mut still = still();
    still.draw(200, 60);
    still.keys("v w h /");
    still.type_text("agent:ava");
    still.keys("enter");
    command(&mut still, "sort turn");
    command(&mut still, "save-view night");
    assert!(kept(&still).unwrap().contains("[view.night]"));
    still.keys("v w h esc");
    command(&mut still, "sort newest");
    assert!(still.model.filter.is_empty());
    command(&mut still, "view night");
    let model = &still.model;
    assert_eq!(model.filter.text(), "agent:ava");
    assert_eq!((model.sort, model.view), (Sort::Turn, View::Dense));
    assert!(model.is_wide && model.keep_ended);
    command(&mut still, "forget-view night");
    command(&mut still, "view night");
    let screen = text(&still.draw(200, 60));
    assert!(
        screen.contains("views are: cards, table, mosaic"),
        "{screen}"
    );
}

#[test]
fn a_view_kept_on_the_quality_page_opens_it_by_its_group() {
    let mut still = still();
    still.draw(120, 40);
    still.keys("b b");
    let by = still.model.groups.by;
    command(&mut still, "save-view agents");
    still.keys("1 b b");
    assert_ne!(still.model.groups.by, by);
    still.keys("1");
    command(&mut still, "view agents");
    assert_eq!(
        (still.model.page, still.model.groups.by),
        (Page::Quality, by)
    );
}

#[test]
fn what_was_kept_is_there_at_the_start_and_a_broken_file_is_left_alone() {
    let settings = |views: &str| Settings {
        theme: "dark".into(),
        views: views.into(),
        ..Settings::default()
    };
    let file = "columns = [\"p95\"]\n[view.slow]\nfilter = \"turn>2\"\n";
    let still = Still::new(settings(file), Depth::True, sample::now()).unwrap();
    assert!(still.model.views.columns.has(Column::P95));
    assert_eq!(still.model.views.get("slow").unwrap().filter, "turn>2");
    let mut still = Still::new(settings("columns = 3"), Depth::True, sample::now()).unwrap();
    still.draw(120, 40);
    command(&mut still, "save-view x");
    assert!(kept(&still).is_none());
    assert!(text(&still.draw(120, 40)).contains("was not read"));
}
