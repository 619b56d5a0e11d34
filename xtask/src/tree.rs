//! The repository on disk: its root, its files, what cargo knows of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};

/// A checkout of the repository.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// Where cargo builds, usually `target`.
    pub(crate) target: PathBuf,
}

impl Tree {
    /// The workspace around the current directory.
    pub(crate) fn find() -> Result<Self, String> {
        let metadata = MetadataCommand::new().no_deps().exec().map_err(|e| format!("cargo metadata: {e}"))?;
        Ok(Self { root: metadata.workspace_root.into(), target: metadata.target_directory.into() })
    }

    /// Everything cargo knows, with the resolved graph.
    pub(crate) fn metadata(&self) -> Result<Metadata, String> {
        MetadataCommand::new().current_dir(&self.root).exec().map_err(|e| format!("cargo metadata: {e}"))
    }

    /// The text of a file, named from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String, String> {
        fs::read_to_string(self.root.join(path)).map_err(|e| format!("{path}: {e}"))
    }

    /// Files that git tracks, or would if they were added, whose name ends so; sorted, from the root.
    pub(crate) fn files(&self, ending: &str) -> Result<Vec<String>, String> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .map_err(|e| format!("git ls-files: {e}"))?;
        if !listed.status.success() {
            return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr).trim()));
        }
        let names = String::from_utf8_lossy(&listed.stdout);
        let mut files: Vec<String> = names
            .split('\0')
            .filter(|name| name.ends_with(ending) && self.has(name))
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Whether the path exists below the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// A binary of the dev profile, built or not.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// A command that starts at the root.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        command
    }
}
