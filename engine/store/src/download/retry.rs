//! Whether something that went wrong is tried again, and when. Pure.

use std::time::Duration;

use super::error::DownloadError;

/// What went wrong with one request.
#[derive(Debug)]
pub(super) enum Problem {
    /// The server is busy or broken, and may have said for how long.
    Unwell {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// The connection did not come about, broke, stood still, or brought something else than was asked for.
    Broken(String),
    /// Trying again cannot help.
    Final(DownloadError),
}

impl Problem {
    /// What happened, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unwell { status, .. } => format!("it answers {status}"),
            Self::Broken(reason) => reason.clone(),
            Self::Final(error) => error.to_string(),
        }
    }
}

/// How often and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Tries in a row that bring not one byte, before giving up.
    pub tries_max: u32,
    /// Wait after the first failure; twice as long after each further one.
    pub wait_first: Duration,
    /// No wait of our own is longer.
    pub wait_max: Duration,
    /// A server that wants a longer wait than this is not waited for.
    pub retry_after_max: Duration,
}

impl Patience {
    /// For a real hub: half a minute of trouble is ridden out, and the minutes for which huggingface.co turns away who asks too often.
    pub const HUB: Self = Self {
        tries_max: 8,
        wait_first: Duration::from_millis(500),
        wait_max: Duration::from_secs(30),
        retry_after_max: Duration::from_mins(6),
    };

    /// How long to wait after `tries` failures in a row (from 1 on), or why no longer: what was tried is `what`. `chance` spreads
    /// the waits of many over half their length.
    pub(super) fn after(
        &self,
        problem: Problem,
        tries: u32,
        chance: u64,
        what: &str,
    ) -> Result<Duration, DownloadError> {
        let reason = problem.words();
        let asked = match problem {
            Problem::Final(error) => return Err(error),
            Problem::Broken(_) => None,
            Problem::Unwell { retry_after, .. } => retry_after,
        };
        let too_long = asked.filter(|wait| *wait > self.retry_after_max);
        let reason = match too_long {
            Some(wait) => format!("{reason} and wants {} s of rest", wait.as_secs()),
            None if tries >= self.tries_max => format!("{reason}, {tries} times in a row"),
            None => return Ok(asked.unwrap_or_else(|| self.own_wait(tries, chance))),
        };
        Err(DownloadError::Unreachable {
            what: what.to_owned(),
            reason,
        })
    }

    fn own_wait(&self, tries: u32, chance: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
        let longest = self.wait_first.saturating_mul(doubled).min(self.wait_max);
        longest / 2 + (longest / 2).mul_f64((chance >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Which kind of problem a status is; a status that is none is not asked about.
pub(super) fn of_status(status: u16, retry_after: Option<&str>, url: &str) -> Problem {
    let url = || url.to_owned();
    match status {
        401 | 403 => Problem::Final(DownloadError::Forbidden { url: url() }),
        404 | 410 => Problem::Final(DownloadError::NotFound { url: url() }),
        408 | 416 | 425 | 429 | 500..=599 => Problem::Unwell {
            status,
            retry_after: retry_after
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs),
        },
        _ => Problem::Final(DownloadError::strange(format!("{} for {}", status, url()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        tries_max: 4,
        wait_first: Duration::from_secs(1),
        wait_max: Duration::from_secs(3),
        retry_after_max: Duration::from_mins(1),
    };

    fn broken() -> Problem {
        Problem::Broken("it broke".to_owned())
    }

    #[test]
    fn waits_double_up_to_a_limit_and_end() {
        let wait = |tries, chance| PATIENCE.after(broken(), tries, chance, "x").unwrap();
        assert_eq!(wait(1, 0), Duration::from_millis(500));
        assert_eq!(wait(2, 0), Duration::from_secs(1));
        assert_eq!(wait(3, 0), Duration::from_millis(1500));
        assert!(wait(1, u64::MAX) <= Duration::from_secs(1));
        let error = PATIENCE.after(broken(), 4, 0, "x").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot fetch x: it broke, 4 times in a row"),
            "{error}"
        );
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for_within_reason() {
        let after = |seconds: &str| PATIENCE.after(of_status(429, Some(seconds), "u"), 1, 0, "x");
        assert_eq!(after("60").unwrap(), Duration::from_mins(1));
        assert!(after("61").unwrap_err().to_string().contains("wants 61 s"));
        assert_eq!(
            after("Wed, 21 Oct 2026 07:28:00 GMT").unwrap(),
            Duration::from_millis(500)
        );
    }

    #[test]
    fn what_cannot_get_better_is_not_tried_again() {
        for (status, word) in [
            (401, "HF_TOKEN"),
            (403, "terms"),
            (404, "not there"),
            (418, "418"),
        ] {
            let error = PATIENCE
                .after(of_status(status, None, "u"), 1, 0, "x")
                .unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
