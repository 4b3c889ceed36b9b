//! Caches of fewer bits: what comes of them is near to what comes of whole ones, and the same however the work is cut.

use base::{CacheBits, ShardSpec, Sharding};
use infer::Backend;
use models::{Group, MlxBackend, PrefixFolder};

use crate::checkpoint::Shape;
use crate::ranks::{alone, spec};
use crate::script::{
    Script, Step, Wanted, assert_close, flat, in_chunks, piece, run, step, tokens,
};
use crate::sequences::busy_script;

/// Of logits of about 5: what 8 bits of keys and values, or 4, change.
const TOLERANCES: [(u8, f32); 2] = [(8, 0.3), (4, 3.0)];
/// The same numbers, in another order: where one lies between two that can be kept, it may be the other of them.
const TOLERANCE_SAME: f32 = 2e-2;

fn with_bits(bits: u8) -> ShardSpec {
    ShardSpec {
        kv_bits: CacheBits::new(bits),
        ..spec(0, 1, 3, Sharding::Pipeline)
    }
}

/// The model with a cache of so many bits.
fn packed(folder: &std::path::Path, bits: u8) -> MlxBackend {
    let backend = models::load(folder, &with_bits(bits), Group::single(), |_, _| ()).unwrap();
    backend.with_cache_tokens(1000)
}

fn grouped(model_type: &'static str) -> Shape {
    Shape {
        kv_heads: 2,
        ..Shape::tiny(model_type)
    }
}

#[test]
fn few_bits_change_little() {
    // Its windows stay whole, and its last layer attends to what the one before keeps.
    for shape in [
        grouped("llama"),
        Shape::tiny("gemma4_text"),
        Shape::tiny("nemotron_h"),
    ] {
        let folder = shape.write();
        let script = busy_script();
        let whole = flat(&run(&mut alone(folder.path(), 3), &script));
        for (bits, tolerance) in TOLERANCES {
            let ours = flat(&run(&mut packed(folder.path(), bits), &script));
            assert_close(&ours, &whole, tolerance);
            assert_ne!(ours, whole, "{bits} bits are not all");
        }
    }
}

#[test]
fn however_the_work_is_cut() {
    let text = tokens(300);
    for shape in [grouped("llama"), Shape::tiny("gemma4_text")] {
        let folder = shape.write();
        for (bits, _) in TOLERANCES {
            let mut backend = packed(folder.path(), bits);
            let whole = flat(&run(&mut backend, &in_chunks(0, &text, 300)));
            for (slot, chunk) in [(1, 70), (2, 1)] {
                let cut = flat(&run(&mut backend, &in_chunks(slot, &text, chunk)));
                assert_close(&cut, &whole, TOLERANCE_SAME);
            }
            let beside: Script = (0..20)
                .map(|at| {
                    let row = |slot, start| piece(slot, start, &[at as u32], Wanted::Last);
                    step(vec![row(0, 300 + at), row(2, 300 + at)])
                })
                .collect();
            for logits in run(&mut backend, &beside) {
                assert_close(&logits[0], &logits[1], TOLERANCE_SAME);
            }
        }
    }
}

#[test]
fn beginnings_are_kept_as_they_are_packed() {
    let text = tokens(100);
    let folder = Shape::tiny("gemma4_text").write();
    let kept = tempfile::tempdir().unwrap();
    let place = || PrefixFolder {
        root: kept.path().to_path_buf(),
        model: base::Fingerprint([7; 32]),
        bytes_max: 1 << 30,
    };
    let keeping = |bits| {
        let mut backend = packed(folder.path(), bits);
        backend.keep_in(place(), &with_bits(bits)).unwrap();
        backend
    };
    let recall = Step {
        recalls: vec![(1, text[..96].to_vec())],
        ..Step::default()
    };
    let found = |backend: &mut MlxBackend| loop {
        if let Some(found) = backend.step(&recall.plan()).unwrap().recalled[0] {
            return found;
        }
    };
    let rest = [step(vec![piece(1, 96, &text[96..], Wanted::All)])];
    let mut first = keeping(4);
    let expected = flat(&run(&mut first, &in_chunks(0, &text, 100)));
    let expected = &expected[96 * 96..];
    assert_eq!(found(&mut first), 96);
    assert_close(&flat(&run(&mut first, &rest)), expected, TOLERANCE_SAME);
    drop(first);
    // From the disk, as soon as the thread that writes is done.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut second = loop {
        let mut again = keeping(4);
        if found(&mut again) == 96 {
            break again;
        }
        assert!(std::time::Instant::now() < deadline, "nothing was written");
    };
    assert_close(&flat(&run(&mut second, &rest)), expected, TOLERANCE_SAME);
    assert_eq!(
        found(&mut keeping(8)),
        0,
        "of others bits it is another cache"
    );
}

#[test]
fn memory_is_what_the_card_says() {
    let text: Vec<u32> = (0..4096).map(|at| at * 31 % 96).collect();
    let folder = grouped("llama").write();
    for bits in [None, CacheBits::new(8), CacheBits::new(4)] {
        let card = models::inspect(folder.path(), None, bits).unwrap();
        let held = card.layers.iter().map(|layer| layer.cache_bytes(1, 4096));
        let held = held.sum::<u64>() as usize;
        let spec = ShardSpec {
            kv_bits: bits,
            ..spec(0, 1, 3, Sharding::Pipeline)
        };
        let mut backend = models::load(folder.path(), &spec, Group::single(), |_, _| ()).unwrap();
        let before = mlx_rs::memory::active_memory().unwrap();
        let read = in_chunks(0, &text, 500).into_iter().map(|mut step| {
            step.rows[0].wanted = Wanted::None;
            step
        });
        run(&mut backend, &read.collect::<Script>());
        let grown = mlx_rs::memory::active_memory().unwrap() - before;
        assert!(
            (held..held + held / 20 + 50_000).contains(&grown),
            "{bits:?}: {grown} bytes, {held} planned"
        );
    }
}

#[test]
fn caches_that_have_no_use_for_bits_are_refused() {
    let narrow = Shape {
        head_dim: 24,
        ..Shape::tiny("llama")
    };
    for shape in [Shape::tiny("deepseek_v32"), narrow] {
        let folder = shape.write();
        let refused = models::inspect(folder.path(), None, CacheBits::new(8)).unwrap_err();
        assert!(refused.to_string().contains("kv_bits"), "{refused}");
        let loaded = models::load(folder.path(), &with_bits(8), Group::single(), |_, _| ());
        assert!(loaded.is_err());
    }
}
