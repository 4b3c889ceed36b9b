//! Which beginnings of sequences are kept, so that another sequence with the same beginning need not compute it again.
//!
//! A beginning is kept in blocks of [`BLOCK_TOKENS`]. A block is named by a hash over itself and everything before it, so
//! that the names alone form a radix tree, and whoever has the same tokens finds the same blocks. What a block holds is the
//! backend's business. The idea: automatic prefix caching in vLLM and `RadixAttention` (Zheng and others, 2023).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use base::TokenId;
use sha2::{Digest, Sha256};

/// Tokens of a block. A beginning is kept up to its last whole block, so with fewer less is computed twice, and with more
/// there is less to look after.
pub const BLOCK_TOKENS: usize = 32;

/// Names a block by all tokens up to its end, and by what computed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey(pub [u8; 32]);

impl BlockKey {
    /// The names of the whole blocks of `tokens`. Those of two `scope`s have nothing in common.
    pub fn chain(scope: &[u8], tokens: &[TokenId]) -> Vec<Self> {
        let mut last = Self(Sha256::digest(scope).into());
        let blocks = tokens.chunks_exact(BLOCK_TOKENS);
        blocks
            .map(|block| {
                last = last.then(block);
                last
            })
            .collect()
    }

    fn then(self, block: &[TokenId]) -> Self {
        let mut hash = Sha256::new_with_prefix(self.0);
        for token in block {
            hash.update(token.to_le_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// Blocks in memory, those used last. `B` is what a block holds.
#[derive(Debug)]
pub struct PrefixCache<B> {
    blocks: HashMap<BlockKey, Kept<B>>,
    /// First those to be given up: the one used longest ago, and of a beginning its end. So no block stays whose
    /// beginning has gone.
    order: BTreeSet<Rank>,
    uses: u64,
}

/// When a block was used, how many are before it in its beginning, and its name.
type Rank = (u64, Reverse<usize>, BlockKey);

#[derive(Debug)]
struct Kept<B> {
    rank: Rank,
    block: B,
}

impl<B> Default for PrefixCache<B> {
    fn default() -> Self {
        Self {
            blocks: HashMap::new(),
            order: BTreeSet::new(),
            uses: 0,
        }
    }
}

impl<B> PrefixCache<B> {
    /// The blocks kept of a beginning, up to the first that is not.
    pub fn recall(&mut self, chain: &[BlockKey]) -> Vec<&B> {
        let known = chain.iter().take_while(|key| self.blocks.contains_key(key));
        let known = known.count();
        self.uses += 1;
        for (depth, key) in chain[..known].iter().enumerate() {
            self.touch(*key, depth);
        }
        let blocks = chain[..known].iter();
        blocks.map(|key| &self.blocks[key].block).collect()
    }

    /// Keeps all blocks of a beginning; `block` makes those that are not there, by their place in it.
    pub fn keep<E>(
        &mut self,
        chain: &[BlockKey],
        mut block: impl FnMut(usize) -> Result<B, E>,
    ) -> Result<(), E> {
        self.uses += 1;
        for (depth, &key) in chain.iter().enumerate() {
            if self.blocks.contains_key(&key) {
                self.touch(key, depth);
                continue;
            }
            let rank = (self.uses, Reverse(depth), key);
            let block = block(depth)?;
            self.blocks.insert(key, Kept { rank, block });
            self.order.insert(rank);
        }
        Ok(())
    }

    /// Gives up blocks until those that stay have at most `tokens`. Returns them.
    pub fn shrink_to(&mut self, tokens: u64) -> Vec<(BlockKey, B)> {
        let mut gone = Vec::new();
        while self.tokens() > tokens {
            let Some((.., key)) = self.order.pop_first() else {
                break;
            };
            gone.extend(self.blocks.remove(&key).map(|kept| (key, kept.block)));
        }
        gone
    }

    /// Tokens of all blocks.
    pub fn tokens(&self) -> u64 {
        (self.blocks.len() * BLOCK_TOKENS) as u64
    }

    fn touch(&mut self, key: BlockKey, depth: usize) {
        if let Some(kept) = self.blocks.get_mut(&key) {
            self.order.remove(&kept.rank);
            kept.rank = (self.uses, Reverse(depth), key);
            self.order.insert(kept.rank);
        }
    }
}

#[cfg(test)]
mod tests;
