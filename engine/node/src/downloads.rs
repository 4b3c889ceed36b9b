//! The one owner of the node's downloads: takes wishes, runs a few at a time, keeps the list for the next start, shows how
//! they go. What a download is and how it resumes is [`store::download`]'s; this never touches a model's files itself.

mod file;
mod queue;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{ErrorCode, Failure};
use serve::downloads::{Ask, Download, State};
use store::download::{Doing, Pace, Wanted};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::control::Switches;
use crate::disk::Disks;
use crate::source::Source;
use queue::{Entry, Queue, Stage};
use run::{Watched, Works};

/// Wishes that wait; people make them one after the other.
const COMMANDS_MAX: usize = 16;
/// How often it is looked how far downloads are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What downloads need.
pub(crate) struct Downloads {
    pub(crate) source: Source,
    pub(crate) disks: Disks,
    /// Where the list is kept.
    pub(crate) file: PathBuf,
    pub(crate) switches: watch::Receiver<Arc<Switches>>,
}

/// Asks the owner.
#[derive(Debug, Clone)]
pub(crate) struct DownloadsHandle {
    commands: mpsc::Sender<Command>,
    list: watch::Receiver<Arc<Vec<Download>>>,
}

#[derive(Debug)]
struct Command {
    ask: Ask,
    done: oneshot::Sender<Result<(), Failure>>,
}

impl DownloadsHandle {
    /// Follows the list.
    pub(crate) fn list(&self) -> watch::Receiver<Arc<Vec<Download>>> {
        self.list.clone()
    }

    /// The models that are not here yet and that this node goes on with.
    pub(crate) fn going_on(&self) -> BTreeSet<String> {
        let list = self.list.borrow();
        let going_on = list.iter().filter(|download| download.state != State::Done);
        going_on.map(|download| download.model.clone()).collect()
    }

    /// Does what somebody wants; returns when it is decided and kept, and what was cancelled is deleted.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<(), Failure> {
        let ending = || Failure::new(ErrorCode::WorkerLost, "this node is shutting down");
        let (done, answered) = oneshot::channel();
        let sent = self.commands.send(Command { ask, done }).await;
        sent.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?
    }
}

impl Downloads {
    /// Goes on with what earlier runs have left, until aborted.
    pub(crate) fn start(self) -> (DownloadsHandle, JoinHandle<()>) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (publish, list) = watch::channel(Arc::default());
        let actor = Actor {
            queue: Queue::of(file::read(&self.file)),
            works: Arc::new(Works {
                source: self.source,
                disks: self.disks,
            }),
            file: self.file,
            switches: self.switches,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            deleting: BTreeSet::new(),
            deletions: JoinSet::new(),
            began: Instant::now(),
            publish,
        };
        // Before anybody can look: what is listed is not left over.
        actor.show();
        let running = tokio::spawn(actor.run(inbox));
        (DownloadsHandle { commands, list }, running)
    }
}

struct Actor {
    queue: Queue,
    works: Arc<Works>,
    file: PathBuf,
    switches: watch::Receiver<Arc<Switches>>,
    /// By the name of the model.
    running: BTreeMap<String, Running>,
    /// Each ends with its commit.
    tasks: JoinSet<Result<String, Failure>>,
    /// Models of which what was fetched is being deleted.
    deleting: BTreeSet<String>,
    deletions: JoinSet<String>,
    began: Instant,
    publish: watch::Sender<Arc<Vec<Download>>>,
}

struct Running {
    task: AbortHandle,
    watched: Arc<Watched>,
    pace: Pace,
}

impl Actor {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let switches = Arc::clone(&self.switches.borrow_and_update());
            let throttle = &self.works.source.limits.throttle;
            throttle.set(switches.settings.download_bytes_per_s_max);
            self.start_next();
            self.show();
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.carry_out(command).await,
                    None => return,
                },
                Some(ended) = self.tasks.join_next_with_id() => {
                    let (task, outcome) = match ended {
                        Ok((task, outcome)) => (task, outcome),
                        Err(broken) => (broken.id(), Err(broke_off())),
                    };
                    self.ended(task, outcome).await;
                }
                Some(deleted) = self.deletions.join_next() => match deleted {
                    Ok(model) => drop(self.deleting.remove(&model)),
                    // Which one broke off is not known, and none may wait for ever.
                    Err(_) => self.deleting.clear(),
                },
                changed = self.switches.changed() => if changed.is_err() {
                    return;
                },
                _ = looks.tick(), if !self.running.is_empty() => self.look().await,
            }
        }
    }

    async fn carry_out(&mut self, Command { ask, done }: Command) {
        let outcome = self.decide(ask);
        self.keep().await;
        // Whoever asked sees what came of it, if they have not gone.
        self.start_next();
        self.show();
        match outcome {
            Ok(Some(cancelled)) => self.forget(cancelled, done),
            Ok(None) => drop(done.send(Ok(()))),
            Err(failure) => drop(done.send(Err(failure))),
        }
    }

    /// Changes the queue, and stops what is to run no more; what is to be deleted.
    fn decide(&mut self, ask: Ask) -> Result<Option<Entry>, Failure> {
        match ask {
            Ask::Start(model) => {
                self.queue.start(Wanted::parse(&model)?)?;
            }
            Ask::Pause(model) => {
                self.stop(&model);
                self.queue.pause(&model)?;
            }
            Ask::Resume(model) => self.queue.resume(&model)?,
            Ask::Cancel(model) => {
                self.stop(&model);
                return self.queue.cancel(&model).map(Some);
            }
        }
        Ok(None)
    }

    /// Stops a download if it runs.
    fn stop(&mut self, model: &str) {
        if let Some(running) = self.running.remove(model) {
            note(&mut self.queue, model, &running.watched);
            running.task.abort();
        }
    }

    /// Deletes what was fetched for a download that is not in the list any more.
    fn forget(&mut self, entry: Entry, done: oneshot::Sender<Result<(), Failure>>) {
        if matches!(entry.stage, Stage::Done(_)) {
            let _ = done.send(Ok(()));
            return;
        }
        let works = Arc::clone(&self.works);
        let model = entry.wanted.repository.to_string();
        self.deleting.insert(model.clone());
        self.deletions.spawn(async move {
            let deleted = works.delete(&entry).await;
            let _ = done.send(deleted);
            model
        });
    }

    async fn ended(&mut self, task: tokio::task::Id, outcome: Result<String, Failure>) {
        let mut running = self.running.iter();
        // One that was stopped is none of these.
        let Some((model, _)) = running.find(|(_, running)| running.task.id() == task) else {
            return;
        };
        let model = model.clone();
        match &outcome {
            Ok(commit) => tracing::info!(%model, %commit, "downloaded"),
            Err(failure) => tracing::warn!(%model, %failure, "a download gave up"),
        }
        self.stop(&model);
        self.queue.ended(&model, outcome);
        self.keep().await;
    }

    fn start_next(&mut self) {
        let waits = |running: &&Running| running.watched.waits().is_some();
        let waiting = self.running.values().filter(waits).count();
        let deleting = &self.deleting;
        for entry in self.queue.next(waiting, |model| !deleting.contains(model)) {
            let (works, watched) = (Arc::clone(&self.works), Arc::new(Watched::of(&entry)));
            let seen = Arc::clone(&watched);
            let model = entry.wanted.repository.to_string();
            let task = self
                .tasks
                .spawn(async move { works.bring(&entry.wanted, &seen).await });
            let pace = Pace::default();
            let running = Running {
                task,
                watched,
                pace,
            };
            self.running.insert(model, running);
        }
    }

    /// Looks how far downloads are; keeps where those lie that have begun.
    async fn look(&mut self) {
        let now = self.began.elapsed();
        let mut is_news = false;
        for (model, running) in &mut self.running {
            is_news |= note(&mut self.queue, model, &running.watched);
            let progress = &running.watched.progress;
            if progress.total_bytes() > 0 {
                running.pace.note(now, progress.done_bytes());
            }
        }
        if is_news {
            self.keep().await;
        }
    }

    async fn keep(&self) {
        file::write(self.file.clone(), self.queue.entries()).await;
    }

    fn show(&self) {
        let entries = self.queue.entries().iter();
        let list: Vec<Download> = entries.map(|entry| self.shown(entry)).collect();
        self.publish.send_if_modified(|shown| {
            let differs = **shown != list;
            if differs {
                *shown = Arc::new(list);
            }
            differs
        });
    }

    fn shown(&self, entry: &Entry) -> Download {
        let model = entry.wanted.repository.to_string();
        let running = self.running.get(&model);
        let (bytes_done, bytes_total) = entry.bytes;
        let mut commit = running.and_then(|running| running.watched.progress.commit());
        let state = match &entry.stage {
            Stage::Waiting => State::Waiting(None),
            Stage::Running => running.map_or(State::Running, |running| state_of(&running.watched)),
            Stage::Paused => State::Paused,
            Stage::Done(done) => {
                commit = Some(done.clone());
                State::Done
            }
            Stage::Failed(failure) => State::Failed(failure.clone()),
        };
        let pace = running.filter(|_| state == State::Running);
        let left =
            pace.and_then(|running| running.pace.left(bytes_total.saturating_sub(bytes_done)));
        Download {
            model,
            revision: entry.wanted.revision.clone(),
            commit,
            bytes_done,
            bytes_total,
            bytes_from_members: entry.member_bytes,
            bytes_per_s: pace
                .and_then(|running| running.pace.bytes_per_s())
                .map(|speed| speed as u64),
            seconds_left: left.map(|left| left.as_secs_f64().ceil() as u64),
            state,
        }
    }
}

/// Keeps in the list how far a download is, and where it has begun; whether that is new.
fn note(queue: &mut Queue, model: &str, watched: &Watched) -> bool {
    let progress = &watched.progress;
    let bytes = (progress.done_bytes(), progress.total_bytes());
    queue.note(model, bytes, progress.member_bytes());
    queue.begun_in(model, watched.begun_in())
}

fn state_of(watched: &Watched) -> State {
    if let Some(what) = watched.waits() {
        return State::Waiting(Some(what));
    }
    match watched.progress.doing() {
        Doing::Asking | Doing::Fetching => State::Running,
        Doing::Retrying(reason) => State::Retrying(reason),
        Doing::Verifying => State::Verifying,
    }
}

fn broke_off() -> Failure {
    let failure = Failure::new(ErrorCode::Internal, "the download broke off");
    failure.hint("see the node's log, and start it again; it goes on where it stopped")
}
