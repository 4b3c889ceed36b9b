//! Secrets of generations, and the tag by which a plan is told from another of the same number.
//!
//! A new generation needs a new secret, and this crate has no randomness. Every member sees an instance's record and
//! so its secret; a successor derived by a hash from it, the generation and its writer is as unknown to outsiders
//! as a fresh one, and two writers on two sides of a partition get two different ones.

use base::{NodeId, Secret};
use sha2::{Digest, Sha256};

/// The secret of the next generation.
pub(crate) fn next(secret: &Secret, generation: u32, owner: NodeId) -> Secret {
    let mut hash = Sha256::new();
    hash.update(b"espalier next secret 1");
    hash.update(secret.0);
    hash.update(generation.to_le_bytes());
    hash.update(owner.0);
    Secret(hash.finalize().into())
}

/// The tag of the plan that has this secret. Public: it must not help to find the secret.
pub(crate) fn plan_tag(secret: &Secret) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"espalier plan tag 1");
    hash.update(secret.0);
    let digest: [u8; 32] = hash.finalize().into();
    digest[..8]
        .iter()
        .fold(0, |tag, byte| (tag << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_its_own_secret_and_tag() {
        let root = Secret([1; 32]);
        let (one, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let secrets = [
            root,
            next(&root, 1, one),
            next(&root, 1, other),
            next(&root, 2, one),
        ];
        for (index, secret) in secrets.iter().enumerate() {
            for later in &secrets[index + 1..] {
                assert!(secret != later);
                assert_ne!(plan_tag(secret), plan_tag(later));
            }
        }
    }
}
