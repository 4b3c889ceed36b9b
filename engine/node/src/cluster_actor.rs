//! The one owner of the cluster's state: takes facts in, carries decisions out, shows the result.
//!
//! Facts come from the network, the workers, the user and the clock; decisions come from [`cluster::State::advance`].
//! Never decides anything itself, and never waits for a peer, a worker or a disk.

mod memory_watch;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use base::{Failure, Fingerprint, InstanceActivity, InstanceId};
use cluster::{Action, ClusterView, Event, OpenInstance, State};
use net::{NetEvent, NetHandle, PeerFrame};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::membership::Keeper;
use crate::network::Joined;
use crate::supervisor::Supervisor;
use translate::{event_of, frame_of};

/// Wishes of users that wait for the actor.
const COMMANDS_MAX: usize = 64;
/// Turns of `apply` and `advance` after one fact. A decision that is carried out at once gives a new fact, such as the
/// port numbers of every new shard; more turns than instances times shards can need would be a defect.
const TURNS_MAX: usize = 1024;
/// How long the actor sleeps at most: no deadline of the state is missed if one was computed wrongly.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Asks the actor.
#[derive(Debug, Clone)]
pub(crate) struct ClusterHandle {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Arc<ClusterView>>,
}

enum Command {
    Open {
        open: Box<OpenInstance>,
        /// The instance is in the view when this is answered.
        done: oneshot::Sender<()>,
    },
    Close {
        instance: InstanceId,
        done: oneshot::Sender<()>,
    },
    Retire {
        instance: InstanceId,
    },
    Active(Vec<InstanceActivity>),
    Models(Vec<Fingerprint>),
    Snapshot {
        answer: oneshot::Sender<Box<State>>,
    },
    Joined(Joined),
    Parted {
        done: oneshot::Sender<()>,
    },
    Change {
        name: String,
        memory_lent_bytes_max: Option<u64>,
    },
    End {
        done: oneshot::Sender<()>,
    },
}

/// The node is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaving;

impl From<Leaving> for Failure {
    fn from(_: Leaving) -> Self {
        Failure::new(base::ErrorCode::WorkerLost, "this node is shutting down")
    }
}

impl ClusterHandle {
    /// The cluster now.
    pub(crate) fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&self.view.borrow())
    }

    /// Follows the cluster.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.clone()
    }

    /// Opens an instance; it is in the view when this returns.
    pub(crate) async fn open(&self, open: OpenInstance) -> Result<(), Leaving> {
        self.ask(|done| Command::Open {
            open: Box::new(open),
            done,
        })
        .await
    }

    /// Closes an instance.
    pub(crate) async fn close(&self, instance: InstanceId) -> Result<(), Leaving> {
        self.ask(|done| Command::Close { instance, done }).await
    }

    /// Asks the node that drives an instance to close it if nobody uses it. Whether it did, the view shows.
    pub(crate) async fn retire(&self, instance: InstanceId) -> Result<(), Leaving> {
        self.tell(Command::Retire { instance }).await
    }

    /// What the instances that this node drives are doing.
    pub(crate) async fn active(&self, activity: Vec<InstanceActivity>) -> Result<(), Leaving> {
        self.tell(Command::Active(activity)).await
    }

    /// The models that lie whole on this node's disks.
    pub(crate) async fn has_models(&self, models: Vec<Fingerprint>) -> Result<(), Leaving> {
        self.tell(Command::Models(models)).await
    }

    /// Everything the cluster decides by, as it is now, for questions that take long to answer.
    pub(crate) async fn snapshot(&self) -> Result<Box<State>, Leaving> {
        self.ask(|answer| Command::Snapshot { answer }).await
    }

    /// The network is there.
    pub(crate) async fn joined(&self, joined: Joined) -> Result<(), Leaving> {
        self.tell(Command::Joined(joined)).await
    }

    /// The network is gone; nobody else is in the view when this returns.
    pub(crate) async fn parted(&self) -> Result<(), Leaving> {
        self.ask(|done| Command::Parted { done }).await
    }

    /// What this node says of itself is different from now on.
    pub(crate) async fn change(
        &self,
        name: String,
        memory_lent_bytes_max: Option<u64>,
    ) -> Result<(), Leaving> {
        let change = Command::Change {
            name,
            memory_lent_bytes_max,
        };
        self.tell(change).await
    }

    /// Ends the workers. The actor is gone when this returns.
    pub(crate) async fn end(&self) {
        // An actor that is gone has ended.
        let _ = self.ask(|done| Command::End { done }).await;
    }

    async fn tell(&self, command: Command) -> Result<(), Leaving> {
        self.commands.send(command).await.map_err(|_| Leaving)
    }

    /// The actor never waits for anything slow, so neither does this.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Leaving> {
        let (sender, answer) = oneshot::channel();
        let sent = self.commands.send(command(sender)).await;
        sent.map_err(|_| Leaving)?;
        answer.await.map_err(|_| Leaving)
    }
}

/// What the actor works with.
pub(crate) struct ClusterActor {
    pub(crate) state: State,
    pub(crate) supervisor: Supervisor,
    pub(crate) membership: Keeper,
    pub(crate) worker_events: mpsc::Receiver<Event>,
}

impl ClusterActor {
    /// Starts the actor's task.
    pub(crate) fn start(self) -> ClusterHandle {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (publish, view) = watch::channel(Arc::new(self.state.view()));
        let running = Running {
            actor: self,
            joined: None,
            publish,
            start: Instant::now(),
        };
        tokio::spawn(running.run(inbox));
        ClusterHandle { commands, view }
    }
}

/// The actor at work.
struct Running {
    actor: ClusterActor,
    /// The network, while this node takes part.
    joined: Option<Joined>,
    publish: watch::Sender<Arc<ClusterView>>,
    start: Instant,
}

impl Running {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let (memory, _watch) = memory_watch::start();
        let mut memory = memory;
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::End { done }) => {
                        self.actor.supervisor.shut_down().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => self.obey(command),
                    // Every handle is dropped: nobody wants this node any more.
                    None => return self.actor.supervisor.shut_down().await,
                },
                Some(event) = self.actor.worker_events.recv() => {
                    let event = self.actor.supervisor.heard(event);
                    if matches!(event, Event::WorkerFailed { .. } | Event::Stopped { .. }) {
                        memory.measure_soon();
                    }
                    self.take(event);
                }
                Some(event) = heard(&mut self.joined) => {
                    self.actor.membership.hear(&event);
                    if let NetEvent::Frame { frame: PeerFrame::Retire(instance), .. } = event {
                        self.retire_here(instance);
                    } else if let Some(event) = event_of(event) {
                        self.take(event);
                    }
                }
                Some(event) = memory.next() => self.take(event),
                () = sleep_until(deadline) => self.take_time(),
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let latest = now + SLEEP_MAX;
        let due = self.actor.state.next_deadline(self.now_ms());
        // One millisecond more than whole ones say, so that the deadline has really passed.
        due.map_or(latest, |at_ms| {
            let due = self.start + Duration::from_millis(at_ms + 1);
            due.clamp(now, latest)
        })
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { open, done } => {
                self.take(Event::Open(open));
                let _ = done.send(());
            }
            Command::Close { instance, done } => {
                self.take(Event::Close { instance });
                let _ = done.send(());
            }
            Command::Retire { instance } => self.retire(instance),
            Command::Active(activity) => self.take(Event::Activity(activity)),
            Command::Models(models) => self.take(Event::Models(models)),
            Command::Snapshot { answer } => {
                let _ = answer.send(Box::new(self.actor.state.clone()));
            }
            Command::Joined(joined) => self.joined = Some(joined),
            Command::Parted { done } => {
                self.joined = None;
                self.actor.membership.parted();
                self.take(Event::Parted);
                let _ = done.send(());
            }
            Command::Change {
                name,
                memory_lent_bytes_max,
            } => self.take(Event::Changed {
                name,
                memory_lent_bytes_max,
            }),
            Command::End { .. } => {}
        }
    }

    fn retire(&mut self, instance: InstanceId) {
        let view = self.actor.state.view();
        let found = view.instances.iter().find(|found| found.id == instance);
        match found.and_then(cluster::InstanceView::driver) {
            Some(driver) if driver == view.node_id => self.retire_here(instance),
            Some(driver) => {
                if let Some(joined) = &self.joined {
                    send(&joined.net, driver, &PeerFrame::Retire(instance));
                }
            }
            None => {}
        }
    }

    fn retire_here(&mut self, instance: InstanceId) {
        if self.actor.supervisor.running().retire(instance) {
            self.take(Event::Close { instance });
        }
    }

    /// Takes a fact in and does what follows from it.
    fn take(&mut self, event: Event) {
        let now_ms = self.now_ms();
        self.actor.state.apply(event, now_ms);
        self.take_time();
    }

    /// Does what is due, until nothing is. Ends because every turn takes actions out of the state, and `TURNS_MAX`.
    fn take_time(&mut self) {
        let now_ms = self.now_ms();
        for turn in 0.. {
            let facts = self.act(now_ms);
            if facts.is_empty() {
                break;
            }
            if turn >= TURNS_MAX {
                tracing::error!("the cluster's state does not come to rest");
                break;
            }
            for fact in facts {
                self.actor.state.apply(fact, now_ms);
            }
        }
        let view = self.actor.state.view();
        self.publish.send_if_modified(|old| {
            let changed = **old != view;
            if changed {
                *old = Arc::new(view);
            }
            changed
        });
    }

    /// Carries out what is due now; what is known at once of how it went.
    fn act(&mut self, now_ms: u64) -> Vec<Event> {
        let actions = self.actor.state.advance(now_ms);
        let supervisor = &mut self.actor.supervisor;
        let mut facts = Vec::new();
        for action in actions {
            match action {
                Action::Send { to, record } => {
                    if let Some(joined) = &self.joined {
                        send(&joined.net, to, &frame_of(record));
                    }
                }
                Action::Prepare(prepare) => supervisor.prepare(*prepare),
                Action::Reserve {
                    shard,
                    rank: _,
                    ring_ip,
                    plan_ip,
                } => facts.push(supervisor.reserve(shard, ring_ip, plan_ip)),
                Action::Start(start) => supervisor.start(*start),
                Action::Stop { shard } => facts.extend(supervisor.stop(shard)),
            }
        }
        facts
    }
}

/// What the network has to say, if there is one.
async fn heard(joined: &mut Option<Joined>) -> Option<NetEvent> {
    match joined {
        Some(joined) => joined.events.recv().await,
        None => None,
    }
}

fn send(net: &NetHandle, to: base::NodeId, frame: &PeerFrame) {
    if let Err(error) = net.send(to, frame) {
        // A link that is gone brings everything again when it is back.
        tracing::debug!(%error, to = %to.short(), "a frame was not sent");
    }
}
