//! Decode steps of a model, one by one: the host's time to build each one's graph, and the time to evaluate it.
//!
//! `decode_steps FOLDER CONTEXT STEPS BATCH [kernels]` prints one line of JSON: times in microseconds of so many steps one after
//! the other, and of as many whole ones of which each is built while the one before is computed; and the first logit of each
//! sequence after the last of them. `kernels`: the operations of a GPU are issued on a processor too. `measure decode` runs it
//! beside mlx-lm.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base::{ShardSpec, Sharding, TensorSlice};
use infer::{Backend, Outputs, Row, SlotId, StepPlan};
use models::{Group, inspect, load};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, context, steps, batch, more @ ..] = arguments.as_slice() else {
        return Err("decode_steps FOLDER CONTEXT STEPS BATCH [kernels]".into());
    };
    let (context, steps, batch): (u32, u32, u32) =
        (context.parse()?, steps.parse()?, batch.parse()?);
    if more.iter().any(|word| word == "kernels") {
        models::pretend_kernels();
    }
    let folder = PathBuf::from(folder);
    let spec = ShardSpec {
        rank: 0,
        world: 1,
        sharding: Sharding::Pipeline,
        layers: 0..inspect(&folder, None, None)?.layers.len() as u32,
        tensor: TensorSlice::WHOLE,
        quantize: None,
        kv_bits: None,
    };
    let mut backend = load(&folder, &spec, Group::single(), |_, _| ())?;
    let building = Rc::new(Cell::new(Duration::ZERO));
    let told = Rc::clone(&building);
    backend.when_built(move |took| told.set(took));

    let began = Instant::now();
    backend.step(&plan(batch, 0, context))?;
    let prefill = began.elapsed().as_micros();
    let mut steps_from = |first: u32, looks_ahead: bool| {
        backend.look_ahead(looks_ahead);
        let (mut build, mut whole, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        for step in first..first + steps {
            let began = Instant::now();
            let output = backend.step(&plan(batch, context + step, 1))?;
            whole.push(began.elapsed().as_micros());
            build.push(building.get().as_micros());
            logits = output.logits;
        }
        Ok::<_, Error>((build, whole, logits))
    };
    let (build, whole, _) = steps_from(0, false)?;
    let evaluate: Vec<u128> = (whole.iter().zip(&build))
        .map(|(whole, build)| whole - build)
        .collect();
    let (_, step, logits) = steps_from(steps, true)?;
    let logits: Vec<f32> = logits.iter().map(|logits| logits.values[0]).collect();
    println!(
        "{{\"prefill\": {prefill}, \"build\": {build:?}, \"evaluate\": {evaluate:?}, \"step\": {step:?}, \"logits\": {logits:?}}}"
    );
    Ok(())
}

/// The same number of tokens of each sequence.
fn plan(batch: u32, start: u32, count: u32) -> StepPlan {
    let row = |row: u32| Row {
        slot: SlotId(row),
        start,
        tokens: (start..start + count)
            .map(|at| 1 + (row + at) % 255)
            .collect(),
        layers: None,
        outputs: Outputs::Last,
    };
    StepPlan {
        rows: (0..batch).map(row).collect(),
        ..StepPlan::default()
    }
}
