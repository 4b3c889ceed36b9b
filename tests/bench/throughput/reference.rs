//! mlx-lm's server, on the MLX that a worker of ours has loaded.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tests::api::Api;
use tests::checkpoints::test_python;

/// Python starts, imports and loads within this, on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(100);

/// The running server, ended when dropped.
#[derive(Debug)]
pub struct Reference {
    child: Child,
    api: Api,
    libraries: BTreeSet<PathBuf>,
}

impl Reference {
    /// Starts it with the model in `folder`. Python's package of MLX comes with a slow BLAS; with it a comparison would be
    /// one of BLAS libraries, so it gets the files that the process `worker` has loaded.
    pub fn start(folder: &Path, worker: i32) -> Result<Self> {
        let libraries = math_libraries(worker)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(test_python()?);
        command
            .args(["-m", "mlx_lm", "server", "--host", "127.0.0.1"])
            .args(["--log-level", "ERROR", "--port", &port.to_string()])
            .arg("--model")
            .arg(folder)
            .env("HF_HUB_OFFLINE", "1");
        if let Some(mlx) = libraries.iter().find(|path| is_mlx(path)) {
            command.env("LD_PRELOAD", mlx);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("mlx-lm's server")?;
        let mut started = Self {
            child,
            api: Api::new(port),
            libraries,
        };
        started.wait_until_ready()?;
        Ok(started)
    }

    /// Its API.
    pub fn api(&self) -> Api {
        self.api.clone()
    }

    /// What both run on.
    pub fn describe(&self) -> String {
        let shown = self.libraries.iter().map(|path| path.display().to_string());
        let shown: Vec<String> = shown.collect();
        if shown.is_empty() {
            return "each on the MLX that it brings".to_string();
        }
        format!("both on {}", shown.join(" and "))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !matches!(self.api.get("/health"), Ok((200, _))) {
            if let Some(status) = self.child.try_wait()? {
                bail!("mlx-lm's server ended: {status}");
            }
            ensure!(
                start.elapsed() < READY_LIMIT,
                "mlx-lm's server did not start"
            );
            std::thread::sleep(POLL);
        }
        // numpy brings a BLAS too, for itself.
        let loaded = math_libraries(self.child.id() as i32)?;
        ensure!(
            loaded.is_superset(&self.libraries)
                && loaded.iter().filter(|path| is_mlx(path)).count() <= 1,
            "mlx-lm's server runs on {loaded:?}, not on {:?}",
            self.libraries
        );
        Ok(())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_mlx(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "libmlx.so")
}

/// The files of MLX and BLAS that a process has loaded. None where MLX is part of the program, as on a Mac, whose BLAS is
/// the system's.
fn math_libraries(process: i32) -> Result<BTreeSet<PathBuf>> {
    if cfg!(not(target_os = "linux")) {
        return Ok(BTreeSet::new());
    }
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let wanted = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        is_mlx(path) || name.contains("blas") && name.contains(".so")
    };
    Ok(paths.filter(wanted).map(Path::to_path_buf).collect())
}
