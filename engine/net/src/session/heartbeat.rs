//! When a quiet link counts as lost. Pure.

use crate::limits::PINGS_LOST_MAX;

/// Counts turns of half a second in which nothing was heard.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    quiet_turns: u32,
}

impl Heartbeat {
    /// The other end was heard.
    pub(crate) fn heard(&mut self) {
        self.quiet_turns = 0;
    }

    /// Another turn has passed; whether the link is lost.
    pub(crate) fn turn(&mut self) -> bool {
        self.quiet_turns += 1;
        self.quiet_turns > PINGS_LOST_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_quiet_turns_are_borne_and_a_word_starts_the_count_anew() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..PINGS_LOST_MAX {
            assert!(!heartbeat.turn());
        }
        heartbeat.heard();
        for _ in 0..PINGS_LOST_MAX {
            assert!(!heartbeat.turn());
        }
        assert!(heartbeat.turn());
    }
}
