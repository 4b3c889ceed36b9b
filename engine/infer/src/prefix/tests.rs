use proptest::prelude::*;

use super::*;

fn tokens(blocks: &[TokenId]) -> Vec<TokenId> {
    blocks
        .iter()
        .flat_map(|&block| [block; BLOCK_TOKENS])
        .collect()
}

fn chain(blocks: &[TokenId]) -> Vec<BlockKey> {
    BlockKey::chain(b"model", &tokens(blocks))
}

fn keep(cache: &mut PrefixCache<Vec<TokenId>>, blocks: &[TokenId]) {
    let block = |depth| Ok::<_, ()>(blocks[..=depth].to_vec());
    cache.keep(&chain(blocks), block).unwrap();
}

#[test]
fn names_say_all_that_came_before() {
    let (one, other) = (chain(&[1, 2, 3]), chain(&[4, 2, 3]));
    assert_eq!(one[..2], chain(&[1, 2]));
    assert!(one.iter().all(|key| !other.contains(key)));
    let elsewhere = BlockKey::chain(b"other model", &tokens(&[1, 2, 3]));
    assert!(one.iter().all(|key| !elsewhere.contains(key)));
    assert_eq!(BlockKey::chain(b"", &tokens(&[1])[1..]), []);
}

#[test]
fn what_was_used_longest_ago_goes_first_and_ends_before_beginnings() {
    let mut cache = PrefixCache::default();
    keep(&mut cache, &[1, 2, 3]);
    keep(&mut cache, &[1, 4]);
    keep(&mut cache, &[5]);
    assert_eq!(cache.tokens(), 5 * BLOCK_TOKENS as u64);
    cache.recall(&chain(&[1, 4]));
    let gone = cache.shrink_to(3 * BLOCK_TOKENS as u64);
    let gone: Vec<_> = gone.into_iter().map(|(_, block)| block).collect();
    assert_eq!(gone, [vec![1, 2, 3], vec![1, 2]]);
    let gone = cache.shrink_to(2 * BLOCK_TOKENS as u64);
    assert_eq!(gone[0].1, [5]);
    assert_eq!(cache.recall(&chain(&[1, 4, 9])), [&vec![1], &vec![1, 4]]);
    assert_eq!(cache.shrink_to(0).len(), 2);
    assert_eq!(cache.recall(&chain(&[1, 4])).len(), 0);
}

#[test]
fn what_cannot_be_made_leaves_what_was_made_before() {
    let mut cache = PrefixCache::default();
    let block = |depth| if depth < 2 { Ok(depth) } else { Err("no") };
    assert_eq!(cache.keep(&chain(&[1, 2, 3]), block), Err("no"));
    assert_eq!(cache.recall(&chain(&[1, 2, 3])), [&0, &1]);
}

proptest! {
    /// Whatever happens, a block is found with the tokens it was kept for, and none without its beginning.
    #[test]
    fn blocks_are_what_they_were(
        actions in prop::collection::vec((prop::collection::vec(0_u32..3, 1..5), 0_usize..9), 1..40)
    ) {
        let mut cache = PrefixCache::default();
        for (blocks, left) in actions {
            keep(&mut cache, &blocks);
            cache.shrink_to((left * BLOCK_TOKENS) as u64);
            prop_assert!(cache.tokens() <= (left * BLOCK_TOKENS) as u64);
            let found = cache.recall(&chain(&blocks));
            for (depth, block) in found.into_iter().enumerate() {
                prop_assert_eq!(block, &blocks[..=depth]);
            }
            for (.., key) in &cache.order {
                prop_assert!(cache.blocks.contains_key(key));
            }
            prop_assert_eq!(cache.order.len(), cache.blocks.len());
        }
    }
}
