//! What MLX reads from its environment, set here and nowhere else.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster::StartShard;

/// Path of a JSON file with the address of every rank.
const HOSTFILE: &str = "MLX_HOSTFILE";
/// This process's rank.
const RANK: &str = "MLX_RANK";

/// Variables for a worker's process, and the file that they name. The file goes with this value.
#[derive(Debug, Default)]
pub(crate) struct MlxVariables {
    hostfile: Option<PathBuf>,
    rank: u32,
}

impl MlxVariables {
    /// For a shard: nothing for a single rank, else a host file in `run_folder`. Writes one small file.
    pub(crate) fn prepare(start: &StartShard, run_folder: &Path) -> io::Result<Self> {
        if start.ring.is_empty() {
            return Ok(Self::default());
        }
        std::fs::create_dir_all(run_folder)?;
        let name = format!(
            "ring-{}-{}-{:016x}-{}.json",
            start.shard.instance, start.shard.generation, start.shard.plan_tag, start.rank
        );
        let path = run_folder.join(name);
        std::fs::write(&path, hostfile(&start.ring))?;
        Ok(Self {
            hostfile: Some(path),
            rank: start.rank,
        })
    }

    /// Names and values.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        match &self.hostfile {
            Some(path) => vec![
                (HOSTFILE, path.to_string_lossy().into_owned()),
                (RANK, self.rank.to_string()),
            ],
            None => Vec::new(),
        }
    }
}

impl Drop for MlxVariables {
    fn drop(&mut self) {
        if let Some(path) = &self.hostfile {
            // A file that stays behind is overwritten or swept with the run folder at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// One list of addresses for each rank: MLX can use several connections between two ranks, we name one.
fn hostfile(ring: &[SocketAddr]) -> String {
    let ranks: Vec<[String; 1]> = ring.iter().map(|address| [address.to_string()]).collect();
    serde_json::json!(ranks).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlx_gets_a_list_of_lists() {
        let ring = ["127.0.0.1:4001", "10.0.0.2:4002"].map(|address| address.parse().unwrap());
        assert_eq!(hostfile(&ring), r#"[["127.0.0.1:4001"],["10.0.0.2:4002"]]"#);
    }
}
