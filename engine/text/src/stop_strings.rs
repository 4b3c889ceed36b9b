//! Strings that end an answer, found in text that arrives in pieces.
//!
//! The stop string that is *complete first* ends the answer, as if the text came character by character: so the
//! division into pieces cannot change the result.

/// Text on its way out, held back while it could be the beginning of a stop string.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    /// Which of them has come.
    found: Option<usize>,
}

impl StopStrings {
    /// Empty stop strings are ignored: they would end every answer before its beginning.
    pub fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            held: String::new(),
            found: None,
        }
    }

    /// The text that can no longer be part of a stop string. After a stop string nothing comes any more.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped() {
            return String::new();
        }
        self.held.push_str(text);
        if let Some((start, which)) = self.first_match() {
            self.found = Some(which);
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let rest = self.held.split_off(self.held.len() - self.beginning());
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether a stop string has come.
    pub fn stopped(&self) -> bool {
        self.found.is_some()
    }

    /// The stop string that has come.
    pub fn found(&self) -> Option<&str> {
        self.found.map(|which| self.stops[which].as_str())
    }

    /// What is still held back, when no more text comes.
    pub fn finish(self) -> String {
        self.held
    }

    /// Where the stop string that is complete first begins, and which it is; of several that end together, the longest.
    fn first_match(&self) -> Option<(usize, usize)> {
        let stops = self.stops.iter().enumerate();
        let matches = stops.filter_map(|(which, stop)| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start, which))
        });
        matches.min().map(|(_, start, which)| (start, which))
    }

    /// Length of the longest end of the held text that a stop string begins with.
    fn beginning(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        (from..self.held.len())
            .filter(|&at| self.held.is_char_boundary(at))
            .find(|&at| {
                self.stops
                    .iter()
                    .any(|stop| stop.starts_with(&self.held[at..]))
            })
            .map_or(0, |at| self.held.len() - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut stream = StopStrings::new(stops.iter().map(ToString::to_string).collect());
        let mut out: Vec<String> = pieces.iter().map(|piece| stream.push(piece)).collect();
        let stopped = stream.stopped();
        out.push(stream.finish());
        (out, stopped)
    }

    #[test]
    fn holds_back_only_what_could_become_a_stop() {
        let (out, stopped) = run(&["END"], &["one E", "N", "X two EN"]);
        assert_eq!(out, ["one ", "", "ENX two ", "EN"]);
        assert!(!stopped);
    }

    #[test]
    fn cuts_before_the_stop_and_says_nothing_after() {
        let (out, stopped) = run(&["END"], &["one E", "ND two", " three"]);
        assert_eq!(out, ["one ", "", "", ""]);
        assert!(stopped);
    }

    #[test]
    fn the_stop_that_is_complete_first_wins() {
        assert_eq!(run(&["abcd", "c"], &["abcd"]).0.concat(), "ab");
        assert_eq!(run(&["abc", "bc"], &["xabc"]).0.concat(), "x");
    }

    #[test]
    fn no_stop_strings_hold_nothing_back() {
        assert_eq!(run(&["", ""], &["a", "b"]).0, ["a", "b", ""]);
    }

    proptest! {
        #[test]
        fn any_division_gives_the_same_text(
            text in "[abé]{0,24}",
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            cuts in prop::collection::vec(0usize..25, 0..6),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let one_by_one: Vec<&str> = characters.iter().map(String::as_str).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (characters.len() + 1)).collect();
            at.extend([0, characters.len()]);
            at.sort_unstable();
            let pieces: Vec<String> = at.windows(2).map(|range| characters[range[0]..range[1]].concat()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (expected, stopped) = run(&stops, &one_by_one);
            let (got, got_stopped) = run(&stops, &pieces);
            prop_assert_eq!(got.concat(), expected.concat());
            prop_assert_eq!(got_stopped, stopped);
            for stop in stops {
                prop_assert!(!got.concat().contains(stop));
            }
        }
    }
}
