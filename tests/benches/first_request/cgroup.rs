//! A control group of the kernel, in which a sandbox gets the processor share of a small Lambda.
//!
//! Version 1: <https://docs.kernel.org/scheduler/sched-bwc.html>; version 2: <https://docs.kernel.org/admin-guide/cgroup-v2.html>, `cpu.max`.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// How a quota is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// So much processor time in each period, for all processes of the group together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) quota_us: u32,
    pub(crate) period_us: u32,
}

/// A group of this process's own, removed at its end.
pub(crate) struct Cgroup {
    directory: PathBuf,
    version: Version,
}

impl Cgroup {
    /// Makes a group without a quota.
    ///
    /// # Errors
    /// The machine has no controller for processor time, or this process may not use it.
    pub(crate) fn create() -> Result<Self> {
        let (root, version) = controller()?;
        let refused = || format!("cannot make a control group in {}: run the benchmark as root, outside of a container", root.display());
        if version == Version::Two {
            write(&root.join("cgroup.subtree_control"), "+cpu").with_context(refused)?;
        }
        let directory = root.join(format!("thaw-bench-{}", std::process::id()));
        std::fs::create_dir(&directory).with_context(refused)?;
        Ok(Self { directory, version })
    }

    /// Moves a process into the group, with all its threads.
    pub(crate) fn add(&self, pid: i32) -> Result<()> {
        write(&self.directory.join("cgroup.procs"), pid)
    }

    /// Sets the group's quota; without one it has the whole machine.
    pub(crate) fn limit(&self, quota: Option<Quota>) -> Result<()> {
        match (self.version, quota) {
            (Version::One, None) => write(&self.directory.join("cpu.cfs_quota_us"), -1),
            (Version::One, Some(Quota { quota_us, period_us })) => {
                write(&self.directory.join("cpu.cfs_period_us"), period_us)?;
                write(&self.directory.join("cpu.cfs_quota_us"), quota_us)
            }
            (Version::Two, None) => write(&self.directory.join("cpu.max"), "max"),
            (Version::Two, Some(Quota { quota_us, period_us })) => write(&self.directory.join("cpu.max"), format!("{quota_us} {period_us}")),
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is empty: every sandbox has ended before.
        let _ = std::fs::remove_dir(&self.directory);
    }
}

/// Where the controller for processor time is mounted. A machine may have both versions; the controller is in one of them only.
fn controller() -> Result<(PathBuf, Version)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("this machine does not say what is mounted; control groups need Linux")?;
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(1);
        let (Some(path), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let path = Path::new(path);
        if kind == "cgroup" && options.split(',').any(|option| option == "cpu") {
            return Ok((path.to_owned(), Version::One));
        }
        let controllers = std::fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
        if kind == "cgroup2" && controllers.split_whitespace().any(|controller| controller == "cpu") {
            return Ok((path.to_owned(), Version::Two));
        }
    }
    bail!("no control group here has the controller \"cpu\", with which a process gets the processor share of a small Lambda")
}

fn write(file: &Path, value: impl Display) -> Result<()> {
    std::fs::write(file, value.to_string()).with_context(|| format!("cannot write {value} into {}", file.display()))
}
