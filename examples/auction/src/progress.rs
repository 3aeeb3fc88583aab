//! Progress on standard error, with rate and time left; nothing where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts up to a total.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(doing: &'static str, total: u64, unit: &str) -> Self {
        let bar = ProgressBar::new(total).with_message(doing);
        let template = format!(
            "{{msg}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left"
        );
        let style = ProgressStyle::with_template(&template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub fn advance(&self) {
        self.0.inc(1);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
