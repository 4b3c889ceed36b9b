//! Whole clusters in virtual time: seeded random faults, then peace, then everybody must agree.

mod check;
mod faults;
mod random;
mod worker;
mod world;

use faults::Faults;
use world::World;

/// Every seed is another history. A failure names its seed; run it alone with `replay`.
fn run(seed: u64, faults: Faults) {
    let _seed = Seed(seed);
    let mut world = World::new(seed, faults.nodes);
    faults::unleash(&mut world, faults);
    world.make_peace();
    world.run_for(400_000);
    let instances = check::agreement(&mut world);
    if faults.kill_node + faults.partition + faults.close == 0 {
        assert_eq!(instances, faults::INSTANCES, "an instance was lost");
    }
}

/// Says on a panic which seed it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with seed {}", self.0);
        }
    }
}

#[test]
fn clusters_agree_after_any_faults() {
    for seed in 0..300 {
        run(seed, Faults::EVERYTHING);
    }
}

#[test]
fn crashing_workers_never_lose_an_instance() {
    for seed in 0..150 {
        run(seed, Faults::WORKERS);
    }
}

#[test]
fn fetching_ends_in_an_instance_or_a_reason() {
    for seed in 0..150 {
        run(seed, Faults::FETCHES);
    }
}

#[test]
fn partitions_heal() {
    for seed in 0..150 {
        run(seed, Faults::PARTITIONS);
    }
}

#[test]
#[ignore = "takes minutes"]
fn clusters_agree_after_any_faults_at_length() {
    for seed in 1_000..6_000 {
        run(seed, Faults::EVERYTHING);
    }
}

/// For a person with a failing seed: `SEED` below, then `cargo nextest run -p cluster --run-ignored all replay`.
#[test]
#[ignore = "for replaying one seed by hand"]
fn replay() {
    const SEED: u64 = 0;
    run(SEED, Faults::EVERYTHING);
}
