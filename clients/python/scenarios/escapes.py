"""A handful of ways out of the jail, over the whole road; the sandbox's own tests hold the long list."""

from __future__ import annotations

from urllib.parse import urlsplit

from guest import Guest, bash, same, use, uses
from house import KEY, MODEL_KEY
from scenarios import scenario

SECRET = "the-secret-of-the-host"


@scenario
def the_network_is_not_there(guest: Guest) -> None:
    """Neither the server nor the model, nor anything else on loopback or beyond, can be reached."""
    session = guest.worker()
    ports = [urlsplit(url).port for url in (guest.house.server.url, guest.house.model.url)]
    tries = [bash(f"echo hello > /dev/tcp/127.0.0.1/{port} && echo reached") for port in ports]
    tries.append(bash("echo hello > /dev/tcp/192.0.2.1/80 && echo reached", timeout_ms=5_000))
    for _, failed, said in guest.runs(session, uses(*tries)):
        same((failed, "reached" in said), (True, False), said)


@scenario
def the_hosts_files_are_not_there(guest: Guest) -> None:
    """The data directory, other sessions' files and any other of the host: by no tool, not through links."""
    house, session, other = guest.house, guest.worker(), guest.worker()
    guest.shell(other, f"echo {SECRET} > theirs")
    outside = house.folder / "outside.txt"
    outside.write_text(SECRET)
    # Nothing but the jail itself stands between them.
    house.folder.chmod(0o755)
    outside.chmod(0o644)
    theirs = house.sandbox(other) / "workspace" / "theirs"
    same(theirs.read_text(), f"{SECRET}\n", "it is there for the host")
    places = [
        outside,
        theirs,
        house.folder / "data" / "heddle.db",
        f"../../{theirs}",
        f"/proc/1/root{outside}",
    ]
    tries = [bash(f"ls {house.folder}"), bash(f"ls /proc/1/root{house.folder}")]
    tries += [bash("ln -s / root; ln -s /proc/1/root one; false")]
    tries += [bash(f"ln {outside} hard"), use("read", file_path=f"root{outside}")]
    tries += [use("read", file_path=f"one{outside}"), use("glob", pattern="*", path=str(house.folder))]
    for place in places:
        tries += [use("read", file_path=str(place)), bash(f"cat {place}")]
        tries += [use("edit", file_path=str(place), old_string=SECRET, new_string="gone")]
        tries += [use("grep", pattern="secret", path=str(place))]
    done = guest.runs(session, uses(*tries))
    same(len(done), len(tries), "all were answered")
    for asked, (_, failed, said) in zip(tries, done, strict=True):
        same((failed, SECRET in said), (True, False), f"{asked}: {said}")
    guest.runs(session, uses(use("write", file_path=str(outside), content="gone")))
    same((outside.read_text(), theirs.read_text()), (SECRET, f"{SECRET}\n"), "they are as they were")


@scenario
def the_servers_environment_is_not_there(guest: Guest) -> None:
    """No key of the server's is in any environment that a tool can read, nor in any command line."""
    session = guest.worker()
    look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/self/environ | tr '\\0' '\\n'"
    done = guest.runs(
        session,
        uses(bash("env"), bash(f"export; set; {look}"), use("read", file_path="/proc/1/environ")),
        uses(
            bash("cat /proc/1/environ"), bash("head -c 1 /proc/1/mem"), use("read", file_path="/proc/1/mem")
        ),
    )
    same([failed for _, failed, _ in done[2:]], [True] * 4, "what belongs to the first process")
    said = "\n".join(said for _, _, said in done)
    names = ("HEDDLE_API_KEY", "ANTHROPIC_API_KEY", KEY, MODEL_KEY)
    same([name for name in names if name in said], [], "what was found")
    same("PATH=/usr/local/bin:/usr/bin:/bin\n" in said, True, "the path")
