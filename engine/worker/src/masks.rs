//! Threads that work out what grammars allow next while the device computes. They start with the first answer that has a
//! grammar; without one there are none.

use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use infer::{MaskDone, MaskJob, Scheduler};

/// A mask takes a fraction of a millisecond and a step of a batch some ten, so a few threads serve any batch; MLX and the
/// links between ranks want processors too.
const THREADS_MAX: usize = 4;

/// Jobs that are out at once. A batch has fewer sequences; more wait in the scheduler.
const JOBS_OUT_MAX: usize = 256;

/// Hands a scheduler's jobs out and takes them back.
#[derive(Default)]
pub struct Masks {
    threads: Option<Threads>,
    out: usize,
    time: MaskTime,
}

/// What masks took since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct MaskTime {
    /// On their threads, grammars' compiling included.
    pub worked: Duration,
    /// While a step that was computed waited for them; the rest was hidden behind the device.
    pub waited: Duration,
}

/// They end when this is dropped.
struct Threads {
    jobs: SyncSender<MaskJob>,
    done: Receiver<(MaskDone, Duration)>,
}

impl Masks {
    /// Hands out what there is, and takes back what is done.
    pub fn exchange(&mut self, scheduler: &mut Scheduler) {
        self.take_back(scheduler);
        for job in scheduler.mask_jobs() {
            while self.out >= JOBS_OUT_MAX {
                self.wait(scheduler, None);
            }
            let threads = self.threads.get_or_insert_with(Threads::start);
            threads.jobs.send(job).expect("the threads are there");
            self.out += 1;
        }
    }

    /// Waits until the step that was computed can be completed. What a grammar's first job takes is not waited for.
    pub fn finish_step(&mut self, scheduler: &mut Scheduler) {
        let began = Instant::now();
        while scheduler.awaits_masks() {
            self.wait(scheduler, None);
        }
        self.time.waited += began.elapsed();
    }

    /// What masks took so far.
    pub fn time(&self) -> MaskTime {
        self.time
    }

    /// Waits for one job, at most for `timeout`.
    pub fn wait(&mut self, scheduler: &mut Scheduler, timeout: Option<Duration>) {
        let Some(threads) = self.threads.as_ref().filter(|_| self.out > 0) else {
            return;
        };
        let done = match timeout {
            Some(timeout) => threads.done.recv_timeout(timeout),
            None => threads.done.recv().map_err(RecvTimeoutError::from),
        };
        match done {
            Ok(done) => self.taken_back(scheduler, done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("a panic ends the process"),
        }
    }

    fn take_back(&mut self, scheduler: &mut Scheduler) {
        while let Some(done) = self.threads.as_ref().and_then(|t| t.done.try_recv().ok()) {
            self.taken_back(scheduler, done);
        }
    }

    fn taken_back(&mut self, scheduler: &mut Scheduler, (done, took): (MaskDone, Duration)) {
        self.out -= 1;
        self.time.worked += took;
        scheduler.take_back(done);
    }
}

impl Threads {
    fn start() -> Self {
        // Neither channel ever holds more than what is out, so nobody waits to send.
        let (jobs, taken) = mpsc::sync_channel(JOBS_OUT_MAX);
        let (finished, done) = mpsc::sync_channel(JOBS_OUT_MAX);
        let taken = Arc::new(Mutex::new(taken));
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        for number in 0..processors.div_ceil(2).min(THREADS_MAX) {
            let (taken, finished) = (Arc::clone(&taken), finished.clone());
            thread::Builder::new()
                .name(format!("masks {number}"))
                .spawn(move || serve(&taken, &finished))
                .expect("a process that computes can start a thread");
        }
        Self { jobs, done }
    }
}

fn serve(jobs: &Mutex<Receiver<MaskJob>>, done: &SyncSender<(MaskDone, Duration)>) {
    loop {
        // The lock is held while this thread waits, and given back before it works.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let began = Instant::now();
        let finished = job.run();
        if done.send((finished, began.elapsed())).is_err() {
            return;
        }
    }
}
