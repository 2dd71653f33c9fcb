//! The local terminal while a remote program owns it: raw, and restored whatever happens.

use std::io::stdin;

use nix::sys::termios::{self, SetArg, Termios};

use crate::exit::Failure;

/// Raw mode until dropped.
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    pub(super) fn enter() -> Result<Self, Failure> {
        let before = termios::tcgetattr(stdin())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _gone = termios::tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Rows and columns; 24×80 where the terminal does not say.
pub(super) fn size() -> (u16, u16) {
    terminal_size::terminal_size().map_or((24, 80), |(width, height)| (height.0, width.0))
}
