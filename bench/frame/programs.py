"""The benchmarks of a build: which there are, what they need, and one run of one."""

import pathlib
import shutil
import subprocess
import tempfile

from frame import result

# First what the rest is made of, last what takes a whole appliance and its time. A program that is
# not named here comes at the end.
ORDER = ["profile_read", "worker", "ring", "event_visible", "throughput", "write_behind", "memory",
         "come_back", "restart", "idle", "observation"]

# Programs that are run, and their Debian packages.
PEERS = {"redis-server": "redis-server", "memcached": "memcached", "nats-server": "nats-server"}

# Where Debian puts some daemons, and only root looks.
SBIN = "/usr/sbin:/usr/local/sbin:/sbin"

LIMIT_S = 3600


class Failed(Exception):
    """The sentence says of what."""


def in_order(names):
    return ([name for name in ORDER if name in names]
            + sorted(name for name in names if name not in ORDER))


def found(folder):
    """Names, in order."""
    return in_order([path.name[len("bench_"):] for path in (folder / "bin").glob("bench_*")])


def installed(program):
    return shutil.which(program) or shutil.which(program, path=SBIN)


def apt_line(packages):
    return "sudo apt-get install --no-install-recommends " + " ".join(packages)


def missing_peers():
    """A sentence, or None."""
    absent = [program for program in PEERS if not installed(program)]
    if not absent:
        return None
    packages = [PEERS[program] for program in absent]
    return f"not installed, so what needs them will fail: {', '.join(absent)}; {apt_line(packages)}"


def run(folder, name, options, quick, limit_s=LIMIT_S):
    """Runs bench_NAME, its output where ours goes; its result, or Failed."""
    with tempfile.TemporaryDirectory(prefix="deja-bench-run-") as scratch:
        path = pathlib.Path(scratch) / "result.json"
        command = [str(folder / "bin" / f"bench_{name}"), "--json", str(path), *options]
        if quick:
            command.insert(1, "--quick")
        try:
            status = subprocess.run(command, timeout=limit_s).returncode
        except OSError as error:
            raise Failed(f"can't be started: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise Failed(f"was ended after {limit_s} s") from None
        if status != 0:
            raise Failed(f"exit status {status}" if status > 0 else f"killed by signal {-status}")
        if not path.exists():
            raise Failed("wrote no JSON")
        try:
            return result.load(path.read_text())
        except result.BadResult as error:
            raise Failed(f"wrote a result that can't be used: {error}") from None
