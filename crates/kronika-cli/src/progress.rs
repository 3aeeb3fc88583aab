//! Progress on standard error, with rate and time left; nothing where that is no terminal.

use crate::arguments::Quiet;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kronika_log::Progress;

/// A bar that counts bytes.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn new(doing: &'static str, quiet: &Quiet) -> Self {
        // A terminal alone is drawn on.
        let bar = ProgressBar::new(0).with_message(doing);
        if quiet.quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub fn at(&self, progress: Progress) {
        self.set(progress.done_bytes, progress.total_bytes);
    }

    pub fn set(&self, done_bytes: u64, total_bytes: u64) {
        self.0.set_length(total_bytes);
        self.0.set_position(done_bytes);
    }
}

/// A bar that counts events.
pub struct EventBar(ProgressBar);

impl EventBar {
    pub fn new(doing: String, quiet: &Quiet) -> Self {
        let bar = ProgressBar::new(0).with_prefix(doing);
        if quiet.quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "{prefix} {wide_bar} {human_pos}/{human_len} events, {msg}";
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub fn set(&self, done: u64, total: u64, text: String) {
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.set_message(text);
    }
}

impl Drop for EventBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
