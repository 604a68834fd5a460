//! A panic leaves a report in a file and says where it is. While a screen is up its own hook has
//! restored the terminal before this one runs.

use std::io::Write;
use std::path::PathBuf;

use color_eyre::config::HookBuilder;
use etcetera::BaseStrategy;

use super::local;

/// Installs the hooks. A second call changes nothing that matters.
pub fn install() {
    // No theme: the report is a file. No environment section: variables hold secrets.
    let (panic_hook, eyre_hook) = HookBuilder::blank()
        .display_env_section(false)
        .capture_span_trace_by_default(false)
        .into_hooks();
    // Installed already is as good.
    let _again = eyre_hook.install();
    std::panic::set_hook(Box::new(move |info| {
        let report = panic_hook.panic_report(info).to_string();
        let mut err = std::io::stderr().lock();
        // Nobody may be there to read it; there is nothing else to do then.
        let _gone = match write(&report) {
            Some(path) => writeln!(
                err,
                "wallboard: a mistake in the program; calls are not ended by it\n  → please send {}",
                path.display()
            ),
            None => writeln!(err, "wallboard: a mistake in the program\n{report}"),
        };
    }));
}

fn write(report: &str) -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    let folder = base
        .state_dir()
        .unwrap_or_else(|| base.data_dir())
        .join("wallboard");
    let name = format!("crash-{}.txt", std::process::id());
    let text = format!(
        "wallboard {} on {} {}\n\n{report}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    [folder, std::env::temp_dir()]
        .into_iter()
        .find_map(|folder| {
            local::make_private(&folder).ok()?;
            let path = folder.join(&name);
            local::write_private(&path, &text).ok()?;
            Some(path)
        })
}
