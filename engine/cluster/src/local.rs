//! The shards on this node: which there should be, and what became of them.

use base::InstancePhase;

use crate::state::{Instance, Ports, Stage, State, Worker};
use crate::{Event, ShardKey};

impl State {
    /// A worker, or what stands for it, said something. About a shard that is not here any more it is ignored.
    pub(crate) fn worker_event(&mut self, event: Event) {
        match event {
            Event::Fetching {
                shard,
                bytes_done,
                bytes_total,
            } => self.advance_worker(
                shard,
                Stage::Preparing {
                    bytes_done,
                    bytes_total,
                },
            ),
            Event::Prepared { shard } => self.advance_worker(shard, Stage::Prepared),
            Event::Reserved {
                shard,
                ring_port,
                plan_port,
            } => {
                let ports = Ports {
                    ring: ring_port,
                    plan: plan_port,
                };
                self.advance_worker(shard, Stage::Reserved(ports));
            }
            Event::WorkerStarted { shard } => self.advance_worker(
                shard,
                Stage::Loading {
                    bytes_done: 0,
                    bytes_total: 0,
                },
            ),
            Event::Progress {
                shard,
                bytes_done,
                bytes_total,
            } => self.advance_worker(
                shard,
                Stage::Loading {
                    bytes_done,
                    bytes_total,
                },
            ),
            Event::WorkerReady { shard } => self.advance_worker(shard, Stage::Ready),
            Event::WorkerFailed { shard, failure } => {
                self.is_measure_old = true;
                self.advance_worker(shard, Stage::Failed(failure));
            }
            Event::Stopped { shard } => {
                self.is_measure_old = true;
                self.workers.remove(&shard);
            }
            Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::Parted
            | Event::Changed { .. }
            | Event::LinkMeasured { .. }
            | Event::LinkBandwidth { .. }
            | Event::Pressure(_)
            | Event::Activity(_)
            | Event::Models(_)
            | Event::Seen(_)
            | Event::Unseen { .. }
            | Event::Node { .. }
            | Event::Instance { .. }
            | Event::Memory { .. }
            | Event::Open(_)
            | Event::Close { .. } => {}
        }
    }

    /// A shard only goes forwards; one that is being stopped only becomes `Stopped`.
    fn advance_worker(&mut self, key: ShardKey, stage: Stage) {
        if let Some(worker) = self.workers.get_mut(&key)
            && order(&stage) >= order(&worker.stage)
        {
            worker.stage = stage;
        }
    }

    /// The shard of an instance that should be on this node.
    pub(crate) fn wanted_here(&self, instance: &Instance) -> Option<(ShardKey, u32)> {
        if instance.record.phase != InstancePhase::Placed {
            return None;
        }
        let rank = instance.record.plan.as_ref()?.rank_of(self.me.id)?;
        Some((instance.shard_key(), rank))
    }

    pub(crate) fn is_wanted(&self, key: ShardKey) -> bool {
        let instance = self.instances.get(&key.instance);
        instance
            .and_then(|instance| self.wanted_here(instance))
            .is_some_and(|(wanted, _)| wanted == key)
    }

    /// A failed worker has ended already: once its plan is replaced nothing is left to stop.
    pub(crate) fn drop_ended_workers(&mut self) {
        let ended = |worker: &Worker| matches!(worker.stage, Stage::Failed(_));
        let unwanted: Vec<ShardKey> = self
            .workers
            .iter()
            .filter(|(key, worker)| ended(worker) && !self.is_wanted(**key))
            .map(|(key, _)| *key)
            .collect();
        for key in unwanted {
            self.workers.remove(&key);
        }
    }
}

fn order(stage: &Stage) -> u8 {
    match stage {
        Stage::Preparing { .. } => 0,
        Stage::Prepared => 1,
        Stage::Reserving => 2,
        Stage::Reserved(_) => 3,
        Stage::Starting(_) => 4,
        Stage::Loading { .. } => 5,
        Stage::Ready => 6,
        Stage::Failed(_) | Stage::Refused(_) => 7,
        Stage::Stopping => 8,
    }
}
