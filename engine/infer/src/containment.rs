//! Work for one request that may meet a defect without taking the others with it: a panic ends the request, not the process.
//!
//! Only for work whose half-done results are thrown away with the request.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base::{ErrorCode, Failure};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread ends a request alone. For panic hooks.
pub fn is_contained() -> bool {
    CONTAINED.get()
}

/// Does a request's own work. A panic is the request's failure; what it left half done must not be used.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    CONTAINED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(false);
    done.map_err(|_| {
        Failure::new(
            ErrorCode::Internal,
            "the worker met a defect in this request",
        )
        .hint("please report it with the node's log")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_is_a_failure() {
        assert_eq!(contain(|| 7), Ok(7));
        let failure = contain(|| {
            assert!(!is_contained(), "as it is to be");
        });
        assert_eq!(failure.unwrap_err().code, ErrorCode::Internal);
        assert!(!is_contained());
    }
}
