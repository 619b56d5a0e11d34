"""Deleted files that no descriptor shows count against what a session may have on the disk."""

from __future__ import annotations

import time

from attack import Server, attack

# Four of 30 MiB, kept until the sandbox looks and ends it.
MAPPED = """python3 -c '
import mmap, os, time
kept = []
for n in range(4):
    file = os.open(f"f{n}", os.O_CREAT | os.O_RDWR)
    for _ in range(30): os.write(file, bytes(1 << 20))
    kept.append(mmap.mmap(file, 4096))
    os.unlink(f"f{n}")
# The library keeps descriptors of its own.
os.closerange(3, 99)
time.sleep(50)
'"""
# One file of 20 MiB that was there before, deleted while it is mapped: as large as it was, and no more. It stays
# for as long as a sandbox takes to look, which nobody tells.
KNOWN = """python3 -c '
import mmap, os, time
file = os.open("old", os.O_RDWR)
kept = mmap.mmap(file, 4096)
os.unlink("old"); os.closerange(3, 99)
time.sleep(14); print("lives")
'"""


@attack("mapped, deleted and closed", beside="many", toml="[sandbox]\ndisk_mib = 64\n")
def mapped(server: Server) -> None:
    """Too much of it ends the session's processes."""
    began = time.monotonic()
    said = server.bash(server.session(), MAPPED, timeout_ms=60_000)
    server.say(f"after {time.monotonic() - began:.1f} s: {said[-200:]!r}")
    assert "the files of this session may take 64 MiB" in said and "deleted but still open" in said, said


@attack(
    "a deleted file that was known is not taken for a larger one",
    beside="many",
    toml="[sandbox]\ndisk_mib = 64\n",
)
def known(server: Server) -> None:
    """A program whose own library was replaced lives on."""
    session = server.session()
    # So long that the sandbox has seen it.
    server.bash(session, "head -c 20M /dev/zero > old; sleep 8")
    assert server.bash(session, KNOWN).endswith("lives\n")


if __name__ == "__main__":
    from run import alone

    alone()
