//! Which models are wanted from a hub, in the order in which they were asked for, and which of them are fetched now. Pure.

use std::path::PathBuf;

use base::{ErrorCode, Failure};
use store::download::Wanted;

/// Downloads that run at once. Each fills a fast line by itself; a second one goes on while the first waits or verifies.
pub(super) const RUNNING_MAX: usize = 2;
/// Longer than anybody's list of models.
const ENTRIES_MAX: usize = 256;
/// Models that have come are listed for a while, the newest of them.
const DONE_MAX: usize = 20;

/// A model that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) wanted: Wanted,
    pub(super) stage: Stage,
    /// The folder of models in which it has begun, if it has.
    pub(super) folder: Option<PathBuf>,
    /// On the disk and in all, as far as that was known when it was last looked at.
    pub(super) bytes: (u64, u64),
    /// Bytes that members of the cluster lent since it last began.
    pub(super) member_bytes: u64,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Others are before it.
    Waiting,
    Running,
    Paused,
    /// It is here: the commit.
    Done(String),
    Failed(Failure),
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Queue {
    entries: Vec<Entry>,
}

impl Queue {
    /// What earlier runs have left.
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Wants a model; one that is paused, failed or here is looked at again.
    pub(super) fn start(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let same = |entry: &Entry| entry.wanted.repository == wanted.repository;
        if let Some(entry) = self.entries.iter().find(|entry| same(entry)) {
            let is_going = matches!(entry.stage, Stage::Waiting | Stage::Running);
            let is_same = entry.wanted.revision == wanted.revision;
            if !is_same && (is_going || entry.stage == Stage::Paused) {
                return Err(other_revision(entry));
            }
            if is_going {
                return Ok(());
            }
        }
        // What gave up goes on where it was.
        let before = self.entries.iter().find(|entry| same(entry));
        let before = before.filter(|entry| !matches!(entry.stage, Stage::Done(_)));
        let (folder, bytes) =
            before.map_or((None, (0, 0)), |entry| (entry.folder.clone(), entry.bytes));
        self.entries.retain(|entry| !same(entry));
        if self.entries.len() >= ENTRIES_MAX {
            let message = format!("{ENTRIES_MAX} downloads are listed already");
            let failure = Failure::new(ErrorCode::Overloaded, message);
            return Err(failure.hint("cancel some of them"));
        }
        self.entries.push(Entry {
            wanted,
            stage: Stage::Waiting,
            folder,
            bytes,
            member_bytes: 0,
        });
        Ok(())
    }

    /// Stops a download, whether it runs or waits.
    pub(super) fn pause(&mut self, model: &str) -> Result<(), Failure> {
        let entry = self.find(model)?;
        if matches!(entry.stage, Stage::Waiting | Stage::Running) {
            entry.stage = Stage::Paused;
        }
        Ok(())
    }

    /// Goes on with a download that was stopped or gave up.
    pub(super) fn resume(&mut self, model: &str) -> Result<(), Failure> {
        let entry = self.find(model)?;
        if matches!(entry.stage, Stage::Paused | Stage::Failed(_)) {
            entry.stage = Stage::Waiting;
        }
        Ok(())
    }

    /// Forgets a download; what it was.
    pub(super) fn cancel(&mut self, model: &str) -> Result<Entry, Failure> {
        let found = self.find(model)?.clone();
        self.entries.retain(|entry| *entry != found);
        Ok(found)
    }

    /// A download that ran is over. Whoever has paused or forgotten it meanwhile wanted that more.
    pub(super) fn ended(&mut self, model: &str, outcome: Result<String, Failure>) {
        let Ok(entry) = self.find(model) else {
            return;
        };
        if entry.stage != Stage::Running {
            return;
        }
        entry.stage = match outcome {
            Ok(commit) => Stage::Done(commit),
            Err(failure) => Stage::Failed(failure),
        };
        let is_done = |entry: &Entry| matches!(entry.stage, Stage::Done(_));
        let done = self.entries.iter().filter(|entry| is_done(entry)).count();
        let mut surplus = done.saturating_sub(DONE_MAX);
        self.entries.retain(|entry| {
            let goes = is_done(entry) && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// Takes those whose turn it is. `resting` of those that run only wait for something, and take nobody's place;
    /// `is_free` says whether nothing is being done with a model's files.
    pub(super) fn next(&mut self, resting: usize, is_free: impl Fn(&str) -> bool) -> Vec<Entry> {
        let running = |entry: &&Entry| entry.stage == Stage::Running;
        let running = self.entries.iter().filter(running).count();
        let places = (RUNNING_MAX + resting).saturating_sub(running);
        let waiting = self.entries.iter_mut().filter(|entry| {
            entry.stage == Stage::Waiting && is_free(&entry.wanted.repository.to_string())
        });
        let starting = waiting.take(places).map(|entry| {
            entry.stage = Stage::Running;
            entry.clone()
        });
        starting.collect()
    }

    /// Notes how far a download is, and how many bytes of it members lent.
    pub(super) fn note(&mut self, model: &str, bytes: (u64, u64), member_bytes: u64) {
        if let Ok(entry) = self.find(model)
            && bytes.1 > 0
        {
            entry.bytes = bytes;
            entry.member_bytes = member_bytes;
        }
    }

    /// Notes where a download has begun; whether that is new.
    pub(super) fn begun_in(&mut self, model: &str, folder: Option<PathBuf>) -> bool {
        match self.find(model) {
            Ok(entry) if folder.is_some() && entry.folder != folder => {
                entry.folder = folder;
                true
            }
            _ => false,
        }
    }

    fn find(&mut self, model: &str) -> Result<&mut Entry, Failure> {
        let mut entries = self.entries.iter_mut();
        let found = entries.find(|entry| entry.wanted.repository.to_string() == model);
        found.ok_or_else(|| {
            let shown: String = model.chars().take(200).collect();
            let failure = Failure::new(ErrorCode::NotFound, format!("{shown} is not downloaded"));
            failure.hint("GET /admin/downloads lists the downloads there are")
        })
    }
}

fn other_revision(entry: &Entry) -> Failure {
    let Wanted {
        repository,
        revision,
    } = &entry.wanted;
    let message = format!("{repository} is already being downloaded at {revision}");
    let failure = Failure::new(ErrorCode::InvalidRequest, message);
    failure.hint("wait for that, or cancel it first")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        Wanted::parse(text).unwrap()
    }

    fn queue(models: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for model in models {
            queue.start(wanted(model)).unwrap();
        }
        queue
    }

    fn next(queue: &mut Queue) -> Vec<String> {
        names(&queue.next(0, |_| true))
    }

    fn names(entries: &[Entry]) -> Vec<String> {
        let names = entries
            .iter()
            .map(|entry| entry.wanted.repository.to_string());
        names.collect()
    }

    #[test]
    fn a_few_run_and_the_others_wait_for_their_turn() {
        let mut queue = queue(&["a/1", "a/2", "a/3", "a/4"]);
        assert_eq!(next(&mut queue), ["a/1", "a/2"]);
        assert!(next(&mut queue).is_empty());
        queue.pause("a/1").unwrap();
        queue.pause("a/3").unwrap();
        assert_eq!(next(&mut queue), ["a/4"]);
        queue.ended("a/2", Ok("c".to_owned()));
        assert!(next(&mut queue).is_empty(), "paused ones do not start");
        queue.resume("a/1").unwrap();
        assert_eq!(next(&mut queue), ["a/1"]);
    }

    #[test]
    fn one_that_only_waits_holds_up_nobody() {
        let mut queue = queue(&["a/1", "a/2", "a/3"]);
        next(&mut queue);
        assert_eq!(names(&queue.next(1, |_| true)), ["a/3"]);
        assert!(queue.next(1, |_| true).is_empty());
    }

    #[test]
    fn what_somebody_did_meanwhile_counts_more_than_the_end() {
        let mut queue = queue(&["a/1", "a/2"]);
        next(&mut queue);
        queue.pause("a/1").unwrap();
        queue.ended("a/1", Ok("c".to_owned()));
        queue.cancel("a/2").unwrap();
        queue.ended("a/2", Ok("c".to_owned()));
        assert_eq!(queue.entries().len(), 1);
        assert_eq!(queue.entries()[0].stage, Stage::Paused);
    }

    #[test]
    fn a_model_is_wanted_once_and_at_one_revision() {
        let mut queue = queue(&["a/1", "a/1"]);
        assert_eq!(queue.entries().len(), 1);
        let error = queue.start(wanted("a/1@v2")).unwrap_err();
        assert!(error.to_string().contains("at main"), "{error}");
        next(&mut queue);
        let failure = Failure::new(ErrorCode::TimedOut, "no");
        queue.ended("a/1", Err(failure));
        queue.start(wanted("a/1@v2")).unwrap();
        assert_eq!(queue.entries()[0].stage, Stage::Waiting);
        assert!(queue.pause("a/2").is_err());
    }

    #[test]
    fn a_model_whose_files_are_being_deleted_waits() {
        let mut queue = queue(&["a/1", "a/2"]);
        let started = queue.next(0, |model| model != "a/1");
        assert_eq!(names(&started), ["a/2"]);
    }

    #[test]
    fn what_gave_up_goes_on_in_the_folder_where_it_was() {
        let mut queue = queue(&["a/1"]);
        next(&mut queue);
        let folder = Some(PathBuf::from("/disk"));
        assert!(queue.begun_in("a/1", folder.clone()));
        assert!(!queue.begun_in("a/1", folder.clone()) && !queue.begun_in("a/1", None));
        queue.ended("a/1", Err(Failure::new(ErrorCode::TimedOut, "no")));
        queue.start(wanted("a/1")).unwrap();
        assert_eq!(queue.entries()[0].folder, folder);
        next(&mut queue);
        queue.ended("a/1", Ok("c".to_owned()));
        queue.start(wanted("a/1")).unwrap();
        assert_eq!(queue.entries()[0].folder, None);
    }

    #[test]
    fn of_those_that_have_come_the_newest_are_listed() {
        let mut queue = Queue::default();
        for number in 0..DONE_MAX + 5 {
            let name = format!("a/{number}");
            queue.start(wanted(&name)).unwrap();
            next(&mut queue);
            queue.ended(&name, Ok("c".to_owned()));
        }
        assert_eq!(queue.entries().len(), DONE_MAX);
        let first = &queue.entries()[0].wanted.repository;
        assert_eq!(first.to_string(), "a/5");
    }
}
