//! A disk that runs full.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A small file system of its own, unmounted with the value.
///
/// Mounting it needs root on Linux: where that is not permitted its tests say so and prove nothing.
pub(crate) struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// A tmpfs of a size such as `8m`.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let disk = Self { dir };
        if disk.mount_with(&["-t", "tmpfs", "-o", &format!("size={size}"), "test"]) {
            return Some(disk);
        }
        eprintln!("SKIPPED: a tmpfs cannot be mounted here, so no disk fault was tested");
        None
    }

    /// Mounts it anew with an option such as `ro`; false where that is refused.
    pub(crate) fn remount(&self, option: &str) -> bool {
        self.mount_with(&["-o", &format!("remount,{option}")])
    }

    fn mount_with(&self, arguments: &[&str]) -> bool {
        let status = Command::new("mount")
            .args(arguments)
            .arg(self.path())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let filler = vec![0; 64 * 1024 * 1024];
        fs::write(self.path().join("filler"), filler).unwrap_err();
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process or thread may hold files for another moment.
        let _unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
