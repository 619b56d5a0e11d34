//! Where the tools of a session work, as far as a model must know.

use sandbox::{HostHolds, JailLayout, JailLimits};

use crate::amount::size;

/// See the file.
#[derive(Debug, Clone)]
pub(crate) struct Workplace {
    /// The directory in which they begin.
    pub(crate) workspace: String,
    /// The directory for finished files.
    pub(crate) outputs: String,
    /// What bounds it, if it is a jail: no network, a read-only system.
    pub(crate) jail: Option<CommandBounds>,
}

/// What bounds the commands of one session in its jail, on this server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandBounds {
    /// Processes and threads.
    pub(crate) processes: u64,
    /// Open files of one process.
    pub(crate) files: u64,
    pub(crate) memory_bytes: u64,
    /// Whether that is for all processes together, and not for each.
    pub(crate) memory_whole: bool,
    /// Of one file.
    pub(crate) file_bytes: u64,
    /// Of all files.
    pub(crate) disk_bytes: u64,
}

impl Workplace {
    /// What is where `layout` says, with `jail` around it.
    pub(crate) fn new(layout: &JailLayout, jail: Option<CommandBounds>) -> Self {
        let (workspace, outputs) = (layout.workspace.display(), layout.outputs.display());
        Self { workspace: workspace.to_string(), outputs: outputs.to_string(), jail }
    }

    /// What a tool says of a file's path in its input.
    pub(crate) fn file(&self) -> String {
        format!("The file: absolute, relative to {}, or below your home as `~/…`.", self.workspace)
    }

    /// What holds for all that runs in it.
    pub(crate) fn rules(&self) -> String {
        self.jail.map_or_else(
            || "It runs on the user's own machine without a sandbox: be careful.".to_owned(),
            CommandBounds::rules,
        )
    }
}

impl CommandBounds {
    /// What holds in a jail with these limits. Asks the system.
    pub(crate) fn of(limits: &JailLimits) -> Self {
        let HostHolds { files, memory_whole } = sandbox::holds(limits);
        Self {
            processes: limits.processes,
            files,
            memory_bytes: limits.data_bytes,
            memory_whole,
            file_bytes: limits.file_bytes,
            disk_bytes: limits.disk_bytes,
        }
    }

    fn rules(self) -> String {
        let Self { processes, files, memory_bytes, memory_whole, file_bytes, disk_bytes } = self;
        let (memory, file, disk) = (size(memory_bytes), size(file_bytes), size(disk_bytes));
        let whose = if memory_whole { "for all of them together" } else { "a process" };
        format!(
            "The machine has no network and its system is read-only; you may write below the working directory, your \
             home and /tmp. Limits: {processes} processes, {files} open files a process, {memory} of memory {whose}, \
             {file} a file, {disk} of files."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_the_limits_that_hold() {
        let bounds = CommandBounds {
            processes: 512,
            files: 4_096,
            memory_bytes: 4 << 30,
            memory_whole: false,
            file_bytes: 2 << 30,
            disk_bytes: 10 << 30,
        };
        let own = bounds.rules();
        let told = "Limits: 512 processes, 4096 open files a process, 4 GiB of memory a process, 2 GiB a file, 10 GiB \
                    of files.";
        assert!(own.ends_with(told), "{own}");
        let bounds = CommandBounds {
            processes: 100,
            files: 1_024,
            memory_bytes: 1_536 << 20,
            memory_whole: true,
            file_bytes: 1 << 30,
            disk_bytes: 100 << 20,
        };
        let set = bounds.rules();
        let told = "Limits: 100 processes, 1024 open files a process, 1536 MiB of memory for all of them together, 1 GiB \
                    a file, 100 MiB of files.";
        assert!(set.ends_with(told), "{set}");
    }
}
