//! How much of prompts a step may read while others wait for their next token: learned from how long steps took.
//!
//! A step that also reads takes about twice as long as one that does not. What a token of a prompt costs depends on the
//! device, the model and how far the prompt has come, so it is taken from the step before; what a step of answers alone
//! costs depends on how many there are and how long, so such a step is made when it is not known for about as many, and
//! now and then.

mod drafts;
mod guesses;

use std::time::Duration;

use drafts::DraftCosts;
pub use drafts::Draftable;
pub use guesses::GUESSES_MAX;
use guesses::{GuessCosts, Plain};

/// No less is read at once, in tokens, however slow that is: a prompt has to come to its end. Where attention over a long
/// prompt is what takes the time, that may be one token in one of many layers.
const TOKENS_MIN: f64 = 1e-3;

/// After so many steps in a row that read or guess, one is of answers alone: a hundredth of the time, and what is known of
/// the answers' own pace stays fresh.
const READING_RUN_MAX: u32 = 64;

/// Kinds of steps by the number of their answers, doubling: more than 2^11 are of the last one.
const KINDS: usize = 12;

/// What the scheduler knows of its own speed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// Seconds of steps of answers alone: of 1, of 2 to 3, of 4 to 7 and so on.
    answers_s: [Recent; KINDS],
    /// Seconds that a token of a prompt adds to a step.
    prompt_token_s: Recent,
    /// What guesses add.
    guesses: GuessCosts,
    /// What drafts take before a step.
    drafts: DraftCosts,
    /// Steps since the last one of answers alone.
    reading_run: u32,
    /// Seconds from the end of one request to that of the next, while there are any.
    between_ends_s: Recent,
    /// Seconds since the last end.
    since_end_s: f64,
}

/// The last three of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Recent {
    /// The newest first.
    values: [f64; 3],
    count: usize,
}

/// What a step did, as far as its time tells something.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// Answers that got a token.
    pub answers: u32,
    /// Guesses at what further tokens they get.
    pub guesses: u32,
    /// Prompt tokens that were read; of one that went through some of the layers, that part.
    pub prompt_tokens: f64,
    /// It looked for beginnings, too.
    pub recalls: bool,
}

impl Pace {
    /// How many prompt tokens a step with so many `answers` may read, or how much of one: a part of its layers. At most
    /// `most`, which is right where nobody waits for a token.
    pub fn prompt_tokens(&self, answers: u32, most: u32) -> f64 {
        let most = f64::from(most);
        if answers == 0 {
            return most;
        }
        let Some(answers_s) = self.answers_s[kind(answers)].middle() else {
            return 0.0;
        };
        if self.reading_run >= READING_RUN_MAX {
            return 0.0;
        }
        let tokens = match self.prompt_token_s.middle() {
            Some(each_s) if each_s > 0.0 => answers_s / each_s,
            // Reading is free as far as the clock can tell.
            Some(_) => most,
            None => 1.0,
        };
        tokens.clamp(TOKENS_MIN, most)
    }

    /// How many guesses a step with so many `answers` computes, the likeliest first: `chances` are how likely each is not
    /// computed in vain, descending.
    pub fn guesses(&self, answers: u32, chances: &[f64]) -> usize {
        match self.plain(answers) {
            Some(plain) if self.reading_run < READING_RUN_MAX => {
                self.guesses.worthwhile(plain, chances)
            }
            _ => 0,
        }
    }

    /// How many tokens a draft model should draft of each sequence before the next step, which has all of these; 0 if what it
    /// would take is worth more.
    pub fn draft_depth(&self, sequences: &[Draftable]) -> usize {
        match self.plain(sequences.len() as u32) {
            Some(plain) if self.reading_run < READING_RUN_MAX => {
                self.drafts.depth(&self.guesses, plain, sequences)
            }
            _ => 0,
        }
    }

    /// Takes in what a draft of so many sequences took, in so many steps of the draft model.
    pub fn drafted(&mut self, sequences: u32, steps: u32, took: Duration) {
        self.drafts.step(sequences, steps, took.as_secs_f64());
    }

    /// A step of answers alone, if it is known.
    fn plain(&self, answers: u32) -> Option<Plain> {
        let took_s = self.answers_s[kind(answers)].middle()?;
        // None takes no time at all, whatever the clock says.
        let took_s = took_s.max(f64::EPSILON);
        Some(Plain { answers, took_s })
    }

    /// Takes in what a step did, how long it took, and how many requests ended with it.
    pub fn step(&mut self, work: Work, took: Duration, ended: u32) {
        let took_s = took.as_secs_f64();
        self.note_ends(ended, took_s);
        if work.answers > 0 {
            self.drafts.passed();
        }
        let plain = self.plain(work.answers);
        if work.prompt_tokens > 0.0 {
            self.reading_run += u32::from(work.answers > 0);
            let others_s = if work.answers > 0 {
                plain.map(|plain| plain.took_s)
            } else {
                Some(0.0)
            };
            if let Some(others_s) = others_s {
                let added_s = (took_s - others_s).max(0.0);
                self.prompt_token_s.push(added_s / work.prompt_tokens);
            }
        } else if let Some(plain) = plain.filter(|_| work.guesses > 0) {
            self.reading_run += 1;
            if !work.recalls {
                self.guesses.step(work.guesses, took_s - plain.took_s);
            }
        } else if work.answers > 0 {
            self.reading_run = 0;
            self.guesses.step(0, 0.0);
            // A rough idea is better than none.
            if !work.recalls || plain.is_none() {
                self.answers_s[kind(work.answers)].push(took_s);
            }
        }
    }

    /// How long until a place in a full queue is free, as far as the past tells.
    pub fn next_place_in(&self) -> Duration {
        Duration::from_secs_f64(
            self.between_ends_s
                .middle()
                .unwrap_or(0.0)
                .max(self.since_end_s),
        )
    }

    fn note_ends(&mut self, ended: u32, took_s: f64) {
        self.since_end_s += took_s;
        if ended > 0 {
            self.between_ends_s
                .push(self.since_end_s / f64::from(ended));
            self.since_end_s = 0.0;
        }
    }
}

fn kind(answers: u32) -> usize {
    (answers.max(1).ilog2() as usize).min(KINDS - 1)
}

impl Recent {
    fn push(&mut self, value: f64) {
        self.values = [value, self.values[0], self.values[1]];
        self.count = (self.count + 1).min(self.values.len());
    }

    fn halve(&mut self) {
        self.values = self.values.map(|value| value / 2.0);
    }

    /// The middle one, or the lower of two, so that one hiccup of the machine changes nothing.
    fn middle(&self) -> Option<f64> {
        let mut known = self.values;
        let known = &mut known[..self.count];
        known.sort_by(f64::total_cmp);
        known.get(self.count.saturating_sub(1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 512;

    /// A machine where answers take 10 ms, a token of a prompt what is given, and beginning to read something too.
    fn settle(pace: &mut Pace, each_s: f64, begin_s: f64, steps: usize) -> f64 {
        let mut worst: f64 = 0.0;
        for step in 0..steps {
            let tokens = pace.prompt_tokens(4, MOST);
            let reads = tokens * each_s + if tokens > 0.0 { begin_s } else { 0.0 };
            let took_s = 0.010 + reads;
            if step >= steps / 2 {
                worst = worst.max(took_s / 0.010);
            }
            let work = Work {
                answers: 4,
                prompt_tokens: tokens,
                ..Work::default()
            };
            pace.step(work, Duration::from_secs_f64(took_s), 0);
        }
        worst
    }

    #[test]
    fn reading_doubles_a_step_on_any_machine() {
        for each_s in [1e-3, 2e-4, 3e-5] {
            for begin_s in [0.0, 0.001, 0.004] {
                let mut pace = Pace::default();
                let worst = settle(&mut pace, each_s, begin_s, 200);
                assert!((1.5..2.5).contains(&worst), "{each_s} {begin_s}: {worst}");
            }
        }
    }

    #[test]
    fn it_follows_a_prompt_that_costs_more_the_longer_it_is() {
        let mut pace = Pace::default();
        for position in 0..2000 {
            let each_s = 1e-4 * (1.0 + f64::from(position) / 200.0);
            let worst = settle(&mut pace, each_s, 0.0, 1);
            assert!(position < 20 || worst < 2.2, "{position}: {worst}");
        }
    }

    #[test]
    fn nobody_who_waits_is_a_reason_to_read_on_at_once() {
        let pace = Pace::default();
        assert!(pace.prompt_tokens(0, MOST) >= f64::from(MOST));
        assert!(
            pace.prompt_tokens(4, MOST) <= 0.0,
            "first the pace is taken"
        );
    }

    #[test]
    fn a_prompt_always_goes_on_and_the_pace_is_taken_again() {
        let mut pace = Pace::default();
        // Reading is hopelessly slow.
        settle(&mut pace, 1e3, 0.0, 10);
        assert!(pace.prompt_tokens(4, MOST) <= TOKENS_MIN);
        let reads = |pace: &mut Pace| {
            let tokens = pace.prompt_tokens(4, MOST);
            settle(pace, 1.0, 0.0, 1);
            tokens > 0.0
        };
        let read = (0..1000).filter(|_| reads(&mut pace)).count();
        assert!((980..1000).contains(&read), "{read}");
    }

    /// More answers take longer; what fewer took says too little about them.
    #[test]
    fn test_reproduce_a_pace_of_fewer_answers() {
        let mut pace = Pace::default();
        let mut answers_s = [0.010, 0.020];
        for (answers, answers_s) in [2, 8].into_iter().zip(&mut answers_s) {
            for step in 0..200 {
                let tokens = pace.prompt_tokens(answers, MOST);
                let took_s = *answers_s + if tokens > 0.0 { 0.005 } else { 0.0 } + tokens * 5e-4;
                let work = Work {
                    answers,
                    prompt_tokens: tokens,
                    ..Work::default()
                };
                pace.step(work, Duration::from_secs_f64(took_s), 0);
                if step == 100 {
                    *answers_s = took_s / *answers_s;
                    break;
                }
            }
        }
        assert!(
            answers_s.iter().all(|steps| (1.9..2.1).contains(steps)),
            "{answers_s:?}"
        );
    }

    #[test]
    fn a_hiccup_changes_little() {
        let mut pace = Pace::default();
        settle(&mut pace, 1e-4, 0.0, 50);
        let before = pace.prompt_tokens(4, MOST);
        let alone = Work {
            answers: 4,
            ..Work::default()
        };
        pace.step(alone, Duration::from_secs(3), 0);
        let after = pace.prompt_tokens(4, MOST);
        assert!(
            (after - before).abs() <= before / 10.0,
            "{before} became {after}"
        );
    }

    #[test]
    fn a_place_is_free_when_the_next_request_ends() {
        let mut pace = Pace::default();
        assert_eq!(pace.next_place_in(), Duration::ZERO);
        let step = Duration::from_secs(1);
        for ended in [0, 0, 1, 0, 0, 1] {
            pace.step(Work::default(), step, ended);
        }
        assert_eq!(pace.next_place_in(), Duration::from_secs(3));
        // Then they become longer.
        for _ in 0..10 {
            pace.step(Work::default(), step, 0);
        }
        assert_eq!(pace.next_place_in(), Duration::from_secs(10));
    }
}
