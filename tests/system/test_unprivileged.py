"""Everything as an ordinary user who may neither lock the table nor have the cores asked for; and who
may look at its files."""

import fnmatch
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import urllib.request

import pytest

import appliance
from appliance import Appliance
from traffic import Client, eventually, track

CONFIG = """
[appliance]
name = "ordinary"
directory = "@DIRECTORY@"
profiles = 50_000
shards = 8
huge_pages = "@HUGE@"

[cpu]
ingest = [0, 1023]
workers = [0, 1023]
wait = "adaptive"

[listen]
http = "127.0.0.1:0"
stream = ["unix:@DIRECTORY@/ordinary.sock"]
console = "127.0.0.1:0"

[durability]
directory = "@DIRECTORY@/durable"

[events]
view = { track = "Product Viewed", item = "properties.item" }

[features]
views  = { type = "count", event = "view" }
recent = { type = "recent", event = "view", of = "item", keep = 4 }
"""

ORDINARY = 65_534  # nobody; nothing of it is on this host
STRANGER = 65_533
AS_ROOT = os.geteuid() == 0
# Less than a worker's part of the table; but newer kernels count io_uring's rings here too.
MEMLOCK_BYTES = 4 << 20


def as_user(user, *groups):
    """What to put before a command so that it runs as that user."""
    in_groups = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    return ["setpriv", f"--reuid={user}", f"--regid={user}", in_groups, "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs"]


@pytest.fixture(scope="module")
def programs():
    """The programs where any user may run them: a clone can lie in a home directory."""
    with tempfile.TemporaryDirectory(prefix="deja-programs-", dir="/dev/shm") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        (directory / "bin").mkdir()
        (directory / "as-ordinary").mkdir()
        for name in ("deja", "deja-ingest", "deja-worker", "deja-keeper", "deja-console"):
            shutil.copy(appliance.BIN / name, directory / "bin")
        shutil.copy(appliance.BIN.parent / "lib/libdeja.so", directory / "bin")
        before = ["prlimit", f"--memlock={MEMLOCK_BYTES}:{MEMLOCK_BYTES}"] + (as_user(ORDINARY) if AS_ROOT else [])
        wrapper = directory / "as-ordinary/deja"
        wrapper.write_text(f"#!/bin/sh\nexec {' '.join(before)} {directory}/bin/deja \"$@\"\n")
        wrapper.chmod(0o755)
        yield directory


@pytest.fixture
def shop(programs, monkeypatch):
    monkeypatch.setattr(appliance, "BIN", programs / "as-ordinary")
    with start("try") as running:
        yield running


def start(huge_pages):
    made = Appliance(CONFIG, huge=huge_pages)
    if AS_ROOT:
        os.chown(made.directory, ORDINARY, ORDINARY)
    made.directory.chmod(0o755)  # as /dev/shm is: what is inside has to guard itself
    return made


def user_of(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {int(number) for number in fields["Uid"].split()}, int(fields["CapEff"], 16)


def test_an_ordinary_user_serves_applies_and_reads(shop, tmp_path):
    ordinary = ORDINARY if AS_ROOT else os.geteuid()
    for process in shop.stat()["processes"]:
        assert user_of(process["pid"]) == ({ordinary}, 0), process["name"]
    with Client(shop.http) as client:
        for number in range(200):
            status, answer, _ = client.post("/v1/track", track(
                f"u{number % 20}", "Product Viewed", f"m{number}", item=f"p{number}"))
            assert status == 200, answer
    profiles = shop.export()
    assert len(profiles) == 20
    assert {profile["features"]["views"] for profile in profiles.values()} == {10}
    with urllib.request.urlopen(f"http://{shop.console}/v1/profiles/u7", timeout=10) as answer:
        assert json.loads(answer.read())["features"]["views"] == 10
    totals = shop.stat()["totals"]
    assert totals["applied"] == totals["received"] == 200
    # Stopped and started, also without any privilege.
    assert shop.stop() == 0
    assert not shop.segment.exists()
    shop.start()
    assert len(shop.export()) == 20


def test_what_was_not_given_is_said(shop):
    def notes():
        return shop.stat()["start"]["notes"]

    parts = ["huge pages: * given*", "ingest thread 1 could not be pinned*",
             "worker-1 could not be pinned*"]
    if not os.environ.get("DEJA_SANITIZE"):  # whose runtime turns mlock into a success
        parts.append("locked memory: 0 B of * given (RLIMIT_MEMLOCK is 4.00 MiB)")
    for part in parts:
        found = eventually(lambda: fnmatch.filter(notes(), part))
        assert found[0] in shop.deja("stat").stdout
    assert not [note for note in notes() if "worker-0 could not" in note or "thread 0 could" in note]
    counters = {process["name"]: process["counters"] for process in shop.stat()["processes"]}
    if not os.environ.get("DEJA_SANITIZE"):
        assert counters["supervisor"]["deja_table_locked_bytes"] == 0
    assert counters["worker-1"]["deja_thread_not_pinned"] == 1
    with urllib.request.urlopen(f"http://{shop.console}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert "deja_table_locked_bytes" in metrics and "deja_thread_not_pinned" in metrics


def test_huge_pages_that_are_required_and_not_given_are_a_sentence(programs, monkeypatch):
    allowed = pathlib.Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled").read_text()
    if "[never]" not in allowed and "[deny]" not in allowed:
        pytest.skip(f"skipped: this kernel gives huge pages ({allowed.strip()})")
    monkeypatch.setattr(appliance, "BIN", programs / "as-ordinary")
    made = start("require")
    try:
        done = appliance.run("deja", "serve", "-c", made.config, check=False, timeout=30)
        assert done.returncode == 1
        assert 'huge_pages = "require"' in done.stderr and '"try"' in done.stderr, done.stderr
        assert not (made.directory / "deja-ordinary").exists()
    finally:
        made.clean_up()


def test_where_rings_may_not_have_their_memory_it_serves_without_them(programs, monkeypatch):
    wrapper = programs / "as-ordinary/deja"
    (programs / "as-poor").mkdir()
    poor = programs / "as-poor/deja"
    poor.write_text(wrapper.read_text().replace(f"{MEMLOCK_BYTES}:{MEMLOCK_BYTES}", "0:0"))
    poor.chmod(0o755)
    monkeypatch.setattr(appliance, "BIN", programs / "as-poor")
    with start("off") as shop, Client(shop.http) as client:
        assert client.post("/v1/track", track("u1", "Product Viewed", "m1", item="p1"))[0] == 200
        # This kernel may not count rings as locked memory.
        counters = next(process["counters"] for process in shop.stat()["processes"]
                        if process["name"] == "ingest")
        if counters['deja_io_backend{kind="epoll"}'] and "DEJA_IO" not in os.environ:
            assert "raise RLIMIT_MEMLOCK to 8 MiB" in shop.log_text()


# shm/segment_names.h: who maps each of them.
FOR_READERS = ("superblock", "catalog.*", "profiles-*", "consumed-*", "report.*")
FOR_SERVICE = ("settings.*", "process-*", "worker-*", "ids-*", "log-*", "verdict-*", "ring-*",
               "ingest-*", "keeper.*", "durable.*", "return-*", "bell-*", "trace.*", "trace-*", "*.lock")
FOR_ASKERS = ("asked.*",)  # a socket that renderers may write to


def test_the_files_rights_are_as_their_names_say(shop):
    assert stat.filemode(shop.segment.stat().st_mode) == "drwxr-x---"
    seen = set()
    for path in shop.segment.iterdir():
        for patterns, rights in ((FOR_READERS, "rw-r-----"), (FOR_SERVICE, "rw-------"),
                                 (FOR_ASKERS, "rw-rw----")):
            matching = [pattern for pattern in patterns if fnmatch.fnmatch(path.name, pattern)]
            if matching:
                assert stat.filemode(path.stat().st_mode)[1:] == rights, path.name
                seen.update(matching)
                break
        else:
            pytest.fail(f"{path.name} is not in the list of shm/segment_names.h")
    assert seen == set(FOR_READERS) | set(FOR_SERVICE) | set(FOR_ASKERS)
    assert stat.filemode((shop.directory / "durable").stat().st_mode) == "drwx------"
    assert stat.filemode((shop.directory / "ordinary.sock").stat().st_mode) == "srw-rw----"


LOOK = """
import ctypes, os, socket, stat, sys
library, segment = sys.argv[1:]
lib = ctypes.CDLL(library)
shop = ctypes.c_void_p()
status = lib.deja_open(b"ordinary", os.path.dirname(segment).encode(), ctypes.byref(shop))
opened = []
for name in os.listdir(segment) if os.access(segment, os.R_OK) else []:
    path = os.path.join(segment, name)
    if name.endswith(".fifo"):
        continue
    if stat.S_ISSOCK(os.stat(path).st_mode):
        try:
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"hello", path)
            opened.append("a " + name)
        except PermissionError:
            pass
        continue
    for flags, letter in ((os.O_RDONLY, "r"), (os.O_RDWR, "w")):
        try:
            os.close(os.open(path, flags))
            opened.append(letter + " " + name)
        except PermissionError:
            pass
print(status, *opened, sep="\\n")
"""
DEJA_OK, DEJA_DENIED = 0, 7


def look(shop, programs, user, *groups):
    """deja_open()'s status, and what that user could open by hand."""
    done = subprocess.run(as_user(user, *groups) + ["/usr/bin/python3", "-c", LOOK,
                                                    str(programs / "bin/libdeja.so"),
                                                    str(shop.segment)],
                          check=True, capture_output=True, text=True, timeout=30, cwd="/")
    status, *opened = done.stdout.split("\n")[:-1]
    return int(status), opened


@pytest.mark.skipif(not AS_ROOT, reason="skipped: only root can be other users")
def test_only_the_readers_group_sees_profiles_and_nobody_else_anything(shop, programs):
    assert look(shop, programs, STRANGER) == (DEJA_DENIED, [])

    # A renderer: another user, but of the group. It reads what is meant for it and writes nothing.
    status, opened = look(shop, programs, STRANGER, ORDINARY)
    assert status == DEJA_OK
    assert {line[0] for line in opened} == {"a", "r"}
    for line in opened:
        patterns = FOR_ASKERS if line[0] == "a" else FOR_READERS
        assert any(fnmatch.fnmatch(line[2:], pattern) for pattern in patterns), line
    assert any(line.startswith("r profiles-") for line in opened)

    # The command line says it as well.
    done = subprocess.run(as_user(STRANGER) + [str(programs / "bin/deja"), "get", "u1", "--name",
                                               "ordinary", "--directory", str(shop.directory)],
                          capture_output=True, text=True, timeout=30, cwd="/")
    assert done.returncode == 1 and "readers" in done.stderr, done.stderr


# Tries to write what it may only read, in every way that there is, and to disturb the service.
DISTURB = """
import ctypes, errno, fcntl, mmap, os, sys
segment, *pids = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def attempt(what, where, call):
    try:
        call()
        print("done", what, where)
    except OSError as failure:
        print(errno.errorcode[failure.errno], what, where)

def make_writable(fd):
    address = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    if libc.mprotect(address, 4096, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")

def write_memory(pid):
    with open(f"/proc/{pid}/mem", "r+b", buffering=0):
        pass

for name in sorted(os.listdir(segment)):
    path = os.path.join(segment, name)
    if name.endswith(".fifo") or name.startswith("asked.") or not os.access(path, os.R_OK):
        continue
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    if size >= 4096:
        attempt("map", name, lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED))
        attempt("mprotect", name, lambda: make_writable(fd))
    attempt("reopen", name, lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDWR))
    attempt("reopen-append", name, lambda: os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND))
    attempt("truncate", name, lambda: os.truncate(path, size))
    attempt("truncate-fd", name, lambda: os.ftruncate(fd, size))
    attempt("allocate", name, lambda: os.posix_fallocate(fd, 0, size))
    attempt("lock", name, lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB))
    attempt("chmod", name, lambda: os.chmod(path, os.stat(path).st_mode & 0o777))
    os.close(fd)
attempt("create", ".", lambda: os.unlink(os.open(os.path.join(segment, "x"), os.O_CREAT) and
                                          os.path.join(segment, "x")))
attempt("rename", ".", lambda: os.rename(os.path.join(segment, "superblock"),
                                          os.path.join(segment, "superblock.0")) or
        os.rename(os.path.join(segment, "superblock.0"), os.path.join(segment, "superblock")))
for pid in map(int, pids):
    attempt("signal", pid, lambda: os.kill(pid, 0))
    attempt("memory", pid, lambda: write_memory(pid))
"""


def disturb(shop, pids, user, *groups):
    """{(attempt, where): "done" or the error's name}"""
    done = subprocess.run(as_user(user, *groups) + ["/usr/bin/python3", "-c", DISTURB,
                                                    str(shop.segment), *map(str, pids)],
                          check=True, capture_output=True, text=True, timeout=30, cwd="/")
    return {tuple(line.split()[1:]): line.split()[0] for line in done.stdout.splitlines()}


@pytest.mark.skipif(not AS_ROOT, reason="skipped: only root can be other users")
def test_a_hostile_renderer_writes_nothing_and_signals_nobody(shop):
    pids = sorted(process["pid"] for process in shop.stat()["processes"])
    found = disturb(shop, pids, STRANGER, ORDINARY)
    assert "done" not in found.values(), [what for what, how in found.items() if how == "done"]
    assert set(found.values()) <= {"EACCES", "EPERM", "EINVAL", "EBADF"}, set(found.values())
    tried = {what for what, _ in found}
    readable = {where for what, where in found if what == "reopen"}
    for pattern in FOR_READERS:
        assert fnmatch.filter(readable, pattern), pattern
    assert {what for what, how in found.items() if what[0] == "signal"} == {
        ("signal", str(pid)) for pid in pids}

    # The same tries by the service's own user succeed, so that they are tries at all.
    allowed = {what for what, how in disturb(shop, pids, ORDINARY, ORDINARY).items()
               if how == "done"}
    assert {what for what, _ in allowed} >= {"reopen", "reopen-append", "truncate", "chmod", "create",
                                             "rename", "signal"}
    assert tried >= {"map", "mprotect", "truncate-fd", "allocate", "lock", "memory"}
    assert ("truncate", "superblock") in allowed
    # And nothing was disturbed.
    with Client(shop.http) as client:
        assert client.post("/v1/track", track("u1", "Product Viewed", "after", item="p"))[0] == 200
