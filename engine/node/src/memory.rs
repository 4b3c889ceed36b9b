//! What this machine is: its memory, its chip, its name. Reads the system; decides only how much of it to lend.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Memory of this machine (or of its container), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Installed, or the container's limit if that is lower.
    pub total_bytes: u64,
    /// Free for new programs.
    pub available_bytes: u64,
}

impl Memory {
    /// Measures now: a few small reads from the system. `None` where the system does not say.
    pub fn measure() -> Option<Self> {
        let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kind).ok()?;
        let machine = Self {
            total_bytes: system.total_memory(),
            available_bytes: system.available_memory(),
        };
        Some(match system.cgroup_limits() {
            Some(limits) if limits.total_memory > 0 => Self {
                total_bytes: machine.total_bytes.min(limits.total_memory),
                available_bytes: machine.available_bytes.min(limits.free_memory),
            },
            _ => machine,
        })
    }

    /// What could be lent to shards: what is free, less a reserve for everything else on the machine.
    pub fn lendable_bytes(&self) -> u64 {
        let free = self
            .available_bytes
            .saturating_sub(reserve_bytes(self.total_bytes));
        free.min(addressable_bytes(self.total_bytes))
    }
}

/// Kept free for the user's other programs: a sixteenth, but no less than a small program needs and no more than a
/// large one.
fn reserve_bytes(total_bytes: u64) -> u64 {
    const LEAST: u64 = 256 << 20;
    const MOST: u64 = 4 << 30;
    (total_bytes / 16).clamp(LEAST, MOST)
}

/// What a model may occupy at all: macOS lets the GPU wire about three quarters of the memory.
fn addressable_bytes(total_bytes: u64) -> u64 {
    if cfg!(target_os = "macos") {
        total_bytes / 4 * 3
    } else {
        total_bytes
    }
}

/// The chip in words, for example `Apple M3 Ultra`.
pub fn chip() -> String {
    let kind = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let brand = System::new_with_specifics(kind)
        .ok()
        .and_then(|system| Some(system.cpus().first()?.brand().trim().to_string()));
    let brand = brand.filter(|brand| !brand.is_empty());
    brand.unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

/// The machine's own name without its domain.
pub fn host_name() -> String {
    let full = System::host_name().unwrap_or_default();
    match full.split('.').next() {
        Some(name) if !name.is_empty() => name.to_string(),
        _ => "node".to_string(),
    }
}

/// How fast a chip reads its memory, in bytes per second, where its maker says so. Of chips sold with two figures
/// the lower one counts.
pub fn bandwidth_bytes_per_s(chip: &str) -> Option<u64> {
    /// Apple's published figures in GB/s.
    const GIGABYTES: &[(&str, u64)] = &[
        ("M1", 68),
        ("M1 Pro", 200),
        ("M1 Max", 400),
        ("M1 Ultra", 800),
        ("M2", 100),
        ("M2 Pro", 200),
        ("M2 Max", 400),
        ("M2 Ultra", 800),
        ("M3", 100),
        ("M3 Pro", 150),
        ("M3 Max", 300),
        ("M3 Ultra", 819),
        ("M4", 120),
        ("M4 Pro", 273),
        ("M4 Max", 410),
        ("M5", 153),
    ];
    let name = chip.strip_prefix("Apple ")?;
    let (_, gigabytes) = GIGABYTES.iter().find(|(known, _)| *known == name)?;
    Some(gigabytes * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn some_memory_stays_with_the_user() {
        let memory = Memory {
            total_bytes: 16 * GIB,
            available_bytes: 10 * GIB,
        };
        assert_eq!(memory.lendable_bytes(), 9 * GIB);
        let full = Memory {
            available_bytes: 100,
            ..memory
        };
        assert_eq!(full.lendable_bytes(), 0);
    }

    #[test]
    fn this_machine_has_memory_and_a_chip() {
        let memory = Memory::measure().unwrap();
        assert!(memory.total_bytes >= memory.available_bytes);
        assert!(memory.available_bytes > 0);
        assert!(!chip().is_empty());
        assert!(!host_name().is_empty());
    }

    #[test]
    fn a_chip_that_nobody_knows_has_no_bandwidth() {
        assert_eq!(bandwidth_bytes_per_s("Apple M2 Max"), Some(400_000_000_000));
        assert_eq!(bandwidth_bytes_per_s("Apple M99"), None);
        assert_eq!(bandwidth_bytes_per_s("x86_64"), None);
    }
}
