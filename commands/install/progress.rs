//! Progress on stderr: spinners on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use colored::Colorize;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output;

/// All steps of one run.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
}

/// One step.
pub(crate) struct Step {
    title: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Spinners only where somebody watches.
    pub(crate) fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Starts a step.
    pub(crate) fn step(&self, title: &'static str) -> Step {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.set_message(title);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step { title, bar }
    }

    /// A line about the whole run.
    pub(crate) fn done(&self, text: &str) {
        self.say(&format!("{} {text}", "✔".green()));
    }

    /// A line that is no step.
    pub(crate) fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| output::progress(text)),
            None => output::progress(text),
        }
    }
}

impl Step {
    /// What is being waited for, shown beside the spinner.
    pub(crate) fn waiting(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: waiting for {what}", self.title));
        }
    }

    /// Something the user should see even without a terminal.
    pub(crate) fn notice(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::progress(text)),
            None => output::progress(text),
        }
    }

    /// `✔ Istiod installed 🧠`.
    pub(crate) fn installed(&self) {
        let sign = match self.title {
            "Istio core" => " ⛵️",
            "Istiod" => " 🧠",
            "Ingress gateways" => " 🛬",
            "Egress gateways" => " 🛫",
            _ => "",
        };
        self.finished(&format!("{} installed{sign}", self.title));
    }

    /// Ends the step well.
    pub(crate) fn finished(&self, text: &str) {
        self.end(&format!("{} {text}", "✔".green()));
    }

    /// Ends the step badly.
    pub(crate) fn failed(&self, reason: &str) {
        self.end(&format!("{} {} encountered an error: {reason}", "✘".red(), self.title));
    }

    fn end(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        output::progress(line);
    }
}
