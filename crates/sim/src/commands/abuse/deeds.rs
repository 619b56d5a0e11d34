//! What an agent may do to its machine.

/// One deed.
pub(super) struct Deed {
    pub(super) name: &'static str,
    pub(super) command: &'static str,
    pub(super) timeout_ms: u64,
    /// Its answer holds one of these.
    pub(super) answers: &'static [&'static str],
}

pub(super) const DEEDS: &[Deed] = &[
    Deed {
        name: "a fork bomb",
        command: "bomb() { bomb | bomb & }; bomb; sleep 60",
        timeout_ms: 3_000,
        answers: &["timed out", "Resource temporarily unavailable"],
    },
    Deed {
        name: "50 MB of output",
        command: "head -c 50000000 /dev/zero | tr '\\0' x",
        timeout_ms: 60_000,
        answers: &["/mnt/session/tool_results/"],
    },
    Deed { name: "output without an end", command: "yes", timeout_ms: 3_000, answers: &["timed out"] },
    Deed {
        name: "a file of 20 GB",
        command: "head -c 20000000000 /dev/zero > big; status=$?; ls -l big; rm big; exit $status",
        timeout_ms: 100_000,
        answers: &["2147483648"],
    },
    Deed {
        name: "millions of small files",
        command: "python3 -c '\nimport os\nfor d in range(10000):\n    os.mkdir(f\"d{d}\")\n    for f in range(1000): \
                  os.close(os.open(f\"d{d}/{f}\", os.O_CREAT))\n'",
        timeout_ms: 6_000,
        answers: &["timed out", "delete"],
    },
    Deed {
        name: "rm -rf /",
        command: "touch here; rm -rf --no-preserve-root / 2>&1 | tail -n 3; ls /usr/bin | wc -l; echo over",
        timeout_ms: 60_000,
        answers: &["over"],
    },
    Deed {
        name: "a process that ignores every signal it can",
        command: "trap '' INT TERM HUP; while :; do :; done",
        timeout_ms: 1_000,
        answers: &["timed out"],
    },
    Deed {
        name: "a daemon that ignores every signal it can",
        command: "setsid bash -c \"trap '' INT TERM HUP; while :; do :; done\" & sleep 60",
        timeout_ms: 1_000,
        answers: &["timed out"],
    },
    Deed {
        name: "a shell that kills itself",
        command: "kill -9 $$",
        timeout_ms: 10_000,
        answers: &["ended"],
    },
    Deed {
        name: "a shell that stops itself",
        command: "kill -STOP $$",
        timeout_ms: 1_000,
        answers: &["timed out"],
    },
    Deed {
        name: "kill -9 of everything",
        command: "kill -9 -1 1; echo odd",
        timeout_ms: 10_000,
        answers: &["ended", "odd"],
    },
    Deed {
        name: "memory without an end",
        command: "python3 -c 'x = bytearray(6 * 2**30)' 2>&1 | tail -n 1",
        timeout_ms: 60_000,
        answers: &["MemoryError"],
    },
    Deed {
        name: "a full /tmp",
        command: "head -c 2000000000 /dev/zero > /tmp/big; rm /tmp/big",
        timeout_ms: 60_000,
        answers: &["No space left on device"],
    },
];
