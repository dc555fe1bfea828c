//! A bar on the terminal for replays that take a while.

use std::cell::Cell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Events from which a replay may take long enough for a bar. By taste: about a second on a software driver.
const LONG: usize = 1000;
/// Events between two updates of the bar, so that it costs nothing next to a replayed event. By taste.
const STEP: u64 = 64;

/// Whether bars are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    is_visible: bool,
}

impl Progress {
    /// Draws on the standard error stream if that is a terminal.
    pub(crate) fn on_terminal() -> Self {
        Self { is_visible: true }
    }

    /// Draws nothing.
    pub(crate) fn hidden() -> Self {
        Self { is_visible: false }
    }

    /// Begins the bar of one replay.
    pub(crate) fn begin(self, name: &str, events: usize) -> Bar {
        let is_drawn = self.is_visible && events >= LONG;
        let target = if is_drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar =
            ProgressBar::with_draw_target(Some(events as u64), target).with_style(style()).with_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar { bar, events: Cell::new(0) }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} events, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// One replay's bar; it goes away when dropped.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    events: Cell<u64>,
}

impl Bar {
    /// Counts one more event.
    pub(crate) fn advance(&self) {
        self.events.set(self.events.get() + 1);
        if self.events.get().is_multiple_of(STEP) {
            self.bar.set_position(self.events.get());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, ProgressStyle, style};

    #[test]
    fn the_template_is_one_that_indicatif_reads() {
        let _: ProgressStyle = style();
        assert!(ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} events, {eta} left").is_ok());
    }

    #[test]
    fn a_hidden_bar_counts_and_draws_nothing() {
        let bar = Progress::hidden().begin("x", 5000);
        (0..5000).for_each(|_| bar.advance());
        assert!(bar.bar.is_hidden());
        assert_eq!(bar.bar.position(), 4992);
    }
}
