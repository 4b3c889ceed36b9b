//! Whole clusters in virtual time: seeded random faults, then peace, then everybody must agree.

mod simulation {
    pub mod check;
    pub mod faults;
    pub mod random;
    pub mod worker;
    pub mod world;
}

use simulation::faults::{self, Faults};
use simulation::world::World;

/// Every seed is another history. A failure names its seed; run it alone with `replay`.
fn run(seed: u64, faults: Faults) {
    let _seed = Seed(seed);
    let mut world = World::new(seed, faults.nodes);
    faults::unleash(&mut world, faults);
    world.make_peace();
    world.run_for(150_000);
    simulation::check::agreement(&mut world);
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
    for seed in 0..1_000 {
        run(seed, Faults::EVERYTHING);
    }
}

#[test]
fn crashing_workers_never_lose_an_instance() {
    for seed in 0..500 {
        run(seed, Faults::WORKERS);
    }
}

#[test]
fn partitions_heal() {
    for seed in 0..500 {
        run(seed, Faults::PARTITIONS);
    }
}

/// For a person with a failing seed: `SEED` below, then `cargo nextest run -p cluster --run-ignored all replay`.
#[test]
#[ignore = "for replaying one seed by hand"]
fn replay() {
    const SEED: u64 = 0;
    run(SEED, Faults::EVERYTHING);
}
