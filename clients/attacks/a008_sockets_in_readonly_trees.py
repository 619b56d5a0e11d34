"""Trees of `[sandbox] readonly`: a socket in one cannot be spoken to, and one that is removed stops nobody."""

from __future__ import annotations

import socket

from attack import Server, attack


@attack("a socket in a readonly tree", beside="many", start=False)
def sockets(server: Server) -> None:
    tree = server.folder / "tree"
    tree.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        listener.listen()
        (tree / "socket").chmod(0o777)
        (tree / "file").write_text("shown", encoding="utf-8")
        with open(server.settings, "a", encoding="utf-8") as settings:
            settings.write(f'[sandbox]\nreadonly = ["{tree}"]\n')
        server.start()
        connect = f"import socket; print(socket.socket(socket.AF_UNIX).connect_ex('{tree}/socket'))"
        said = server.bash(server.session(), f'cat {tree}/file; python3 -c "{connect}"')
        server.say(f"the agent was told {said.strip()!r}")
        assert "shown" in said and "111" in said, said
        listener.settimeout(0.2)
        try:
            listener.accept()
        except TimeoutError:
            return
        raise AssertionError("somebody came through the socket")


@attack("a readonly tree is removed and put back", start=False)
def removed(server: Server) -> None:
    tree = server.folder / "tree"
    tree.mkdir(mode=0o755)
    with open(server.settings, "a", encoding="utf-8") as settings:
        settings.write(f'[sandbox]\nreadonly = ["{tree}"]\n')
    server.start()
    look = f"[ -e {tree} ] && echo shown || echo left out"
    said = [server.bash(server.session(), look)]
    tree.rmdir()
    said += [server.bash(server.session(), look) for _ in range(2)]
    tree.mkdir(mode=0o755)
    said.append(server.bash(server.session(), look))
    assert [one.strip() for one in said] == ["shown", "left out", "left out", "shown"], said
    told = [line for line in server.log().splitlines() if str(tree) in line]
    server.say(f"the log says {told}")
    assert len(told) == 2 and "is gone" in told[0] and "is back" in told[1], told


if __name__ == "__main__":
    from run import alone

    alone()
