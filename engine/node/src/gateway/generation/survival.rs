//! Whether a request whose worker died is computed again: it may be what killed it.
//!
//! A worker takes all of its requests with it, and nothing says whose fault it was. A request that got on well before is
//! most likely not the one; one that was just submitted may be. The latter waits a moment, so that the others have got on
//! if the worker dies again, and what was there at two deaths in a row without getting on is given up. So a request that
//! kills workers ends after the second, and only what came at the same moment goes with it.

use base::{ErrorCode, Failure, NodeId};

/// Deaths in a row after which a request is not tried again.
const DEATHS_MAX: u32 = 2;
/// So many tokens from one worker are proof that it can compute this.
const TOKENS_OF_PROOF: usize = 16;

/// What is known of a request's part in the ends of its workers.
#[derive(Debug, Default)]
pub(super) struct Survival {
    /// The nodes that compute it now, or did.
    nodes: Vec<NodeId>,
    /// Tokens that it got from them.
    tokens: usize,
    /// Workers that died with it and without proof, one after the other.
    deaths: u32,
    /// What was lost was not judged yet.
    lost: bool,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoesOn,
    /// It may go on a moment later.
    Waits,
    Ends(Failure),
}

impl Survival {
    /// These nodes compute it now.
    pub(super) fn begins(&mut self, nodes: Vec<NodeId>) {
        self.nodes = nodes;
        self.tokens = 0;
    }

    pub(super) fn got_token(&mut self) {
        self.tokens += 1;
        if self.tokens == TOKENS_OF_PROOF {
            self.deaths = 0;
        }
    }

    /// Whoever computed it is gone.
    pub(super) fn lost(&mut self) {
        self.lost = true;
    }

    /// To be asked before it is submitted again. The loss of a node, its power or its cable, is no death of a worker.
    pub(super) fn judge(&mut self, is_online: impl Fn(NodeId) -> bool) -> Verdict {
        let lost = std::mem::take(&mut self.lost);
        if !lost || !self.nodes.iter().all(|node| is_online(*node)) {
            return Verdict::GoesOn;
        }
        if self.tokens >= TOKENS_OF_PROOF {
            return Verdict::GoesOn;
        }
        self.deaths += 1;
        if self.deaths < DEATHS_MAX {
            return Verdict::Waits;
        }
        let message =
            format!("the model's worker ended {DEATHS_MAX} times while it computed this request");
        Verdict::Ends(
            Failure::new(ErrorCode::WorkerLost, message).hint(
                "try once more if it was in company; the node's log says how the worker ended",
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    fn dies(survival: &mut Survival, tokens: usize) -> Verdict {
        survival.begins(vec![NODE]);
        (0..tokens).for_each(|_| survival.got_token());
        survival.lost();
        let verdict = survival.judge(|_| true);
        if verdict == Verdict::Waits {
            assert_eq!(survival.judge(|_| true), Verdict::GoesOn);
        }
        verdict
    }

    #[test]
    fn what_dies_twice_without_getting_on_ends() {
        let mut survival = Survival::default();
        assert_eq!(dies(&mut survival, 3), Verdict::Waits);
        assert!(matches!(dies(&mut survival, 3), Verdict::Ends(_)));
    }

    #[test]
    fn what_gets_on_between_goes_on() {
        let mut survival = Survival::default();
        for _ in 0..5 {
            assert_eq!(dies(&mut survival, 0), Verdict::Waits);
            assert_eq!(dies(&mut survival, TOKENS_OF_PROOF), Verdict::GoesOn);
        }
    }

    #[test]
    fn a_lost_node_is_no_death() {
        let mut survival = Survival::default();
        for _ in 0..5 {
            survival.begins(vec![NODE]);
            survival.lost();
            assert_eq!(survival.judge(|_| false), Verdict::GoesOn);
        }
    }
}
