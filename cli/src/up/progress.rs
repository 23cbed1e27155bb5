//! Preparation as it goes on: bars on a terminal, a line now and then elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;
use super::ready::{Content, Seen};

#[derive(Default)]
pub(crate) struct Progress {
    shown: BTreeMap<(String, String), Shown>,
}

#[derive(Default)]
struct Shown {
    bar: Option<ProgressBar>,
    tenths: Option<u32>,
    state: String,
}

impl Progress {
    /// Shows what changed.
    pub(crate) fn show(&mut self, output: &Output, seen: &Seen) {
        for (key, content) in &seen.contents {
            let shown = self.shown.entry(key.clone()).or_default();
            let name = format!("{} of {}", key.1, key.0);
            match output.bars() {
                Some(bars) if content.state == "preparing" => {
                    let bar = shown.bar.get_or_insert_with(|| {
                        let bar = bars.add(ProgressBar::new(1000).with_style(style()));
                        bar.with_prefix(name.clone())
                    });
                    bar.set_position(content.permille.into());
                    bar.set_message(remaining(content));
                }
                Some(_) => {
                    if let Some(bar) = shown.bar.take() {
                        bar.finish_and_clear();
                    }
                }
                None => shown.line(output, &name, content),
            }
            shown.state.clone_from(&content.state);
        }
    }

    pub(crate) fn finish(&mut self) {
        for shown in self.shown.values_mut() {
            if let Some(bar) = shown.bar.take() {
                bar.finish_and_clear();
            }
        }
    }
}

impl Shown {
    fn line(&mut self, output: &Output, name: &str, content: &Content) {
        let tenths = content.permille / 100;
        if content.state == "preparing" && self.tenths != Some(tenths) {
            self.tenths = Some(tenths);
            let line = format!(
                "preparing {name}: {} % {}",
                content.permille / 10,
                remaining(content)
            );
            output.mention(line.trim_end());
        } else if content.state == "offered" && self.state != "offered" {
            output.mention(&format!("{name} is ready"));
        }
    }
}

fn remaining(content: &Content) -> String {
    match content.remaining_ms {
        Some(ms) if ms > 0 => {
            let seconds = Duration::from_millis(ms).as_secs() + 1;
            format!("(about {seconds} s left)")
        }
        _ => String::new(),
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("preparing {prefix:24} {bar:30} {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
