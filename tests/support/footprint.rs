//! What a process holds of this machine.

use std::fs;

use anyhow::{Context, Result};

/// Memory, files and threads of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Memory that is its own and its part of what it shares, in kilobytes.
    pub memory_kb: u64,
    /// Open files, sockets included.
    pub files: usize,
    /// Threads.
    pub threads: usize,
}

impl Footprint {
    /// Of a process as it is now.
    pub fn of(process: u32) -> Result<Self> {
        let folder = format!("/proc/{process}");
        let count =
            |what: &str| Ok::<_, anyhow::Error>(fs::read_dir(format!("{folder}/{what}"))?.count());
        let rollup = fs::read_to_string(format!("{folder}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let memory = line.and_then(|rest| rest.split_whitespace().next());
        Ok(Self {
            memory_kb: memory.context("smaps_rollup")?.parse()?,
            files: count("fd")?,
            threads: count("task")?,
        })
    }

    /// The most memory that was resident of a process at a time, in kilobytes.
    pub fn peak_kb(process: u32) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|rest| rest.split_whitespace().next());
        Ok(peak.context("VmHWM")?.parse()?)
    }

    /// Of several together.
    pub fn of_all(processes: impl IntoIterator<Item = u32>) -> Result<Self> {
        let mut sum = Self {
            memory_kb: 0,
            files: 0,
            threads: 0,
        };
        for process in processes {
            let one = Self::of(process)?;
            sum.memory_kb += one.memory_kb;
            sum.files += one.files;
            sum.threads += one.threads;
        }
        Ok(sum)
    }
}
