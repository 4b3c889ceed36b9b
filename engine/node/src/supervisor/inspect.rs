//! Asks a worker what a model is: only `models` can read it, and this process never links MLX.

use std::path::Path;
use std::time::Duration;

use base::{CacheBits, ErrorCode, Failure, ModelCard, QuantizedBits};
use tokio::time::timeout;
use wire::worker::{FromWorker, Start, ToWorker};

use super::process::Process;

/// Reading a configuration and the headers of weight files: milliseconds, seconds for hundreds of files on a slow
/// disk. The rest is a busy machine.
const INSPECT_LIMIT: Duration = Duration::from_secs(20);

/// The card of the model in a folder, quantized to so many bits, with a cache of so many.
pub(crate) async fn inspect(
    program: &Path,
    folder: &Path,
    quantize: Option<QuantizedBits>,
    kv_bits: Option<CacheBits>,
) -> Result<ModelCard, Failure> {
    let mut process = Process::spawn(program, &[], "inspection".to_string())?;
    let start = Start::Inspect {
        folder: folder.to_path_buf(),
        quantize,
        kv_bits,
    };
    process
        .write(&ToWorker::Start(start))
        .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
    match timeout(INSPECT_LIMIT, card(&mut process)).await {
        Ok(Ok(Some(card))) => Ok(card),
        Ok(Ok(None)) => Err(process.death().await),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::new(
            ErrorCode::TimedOut,
            format!(
                "{} could not be read within {INSPECT_LIMIT:?}",
                folder.display()
            ),
        )
        .hint("check the disk that it is on")),
    }
}

/// The first card a worker sends; `None` if it ends without one.
async fn card(process: &mut Process) -> Result<Option<ModelCard>, Failure> {
    loop {
        match process.next().await {
            Ok(Some(FromWorker::Card(card))) => return Ok(Some(card)),
            Ok(Some(FromWorker::Fatal(failure))) => return Err(failure),
            Ok(Some(
                FromWorker::Progress { .. }
                | FromWorker::Ready { .. }
                | FromWorker::Events(_)
                | FromWorker::Stats(_),
            )) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(Failure::new(ErrorCode::WorkerLost, error.to_string())),
        }
    }
}
