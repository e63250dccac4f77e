"""A bare Debian 12 of its own, booted with its own systemd in a container (systemd-nspawn), for what
only a whole system can show: packages, units, users. Its root is made once by debootstrap, from the
mirror that apt on this host is configured for, and kept in the build folder; every machine writes
over it in memory, so that each begins bare. It has no network but a loopback of its own."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

SUITE = "bookworm"
BOOT_SECONDS = 60
NSPAWN = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"]


class Cannot(Exception):
    """Why there can be no machine on this host."""


def mirror():
    """The address that apt on this host takes the suite from."""
    asked = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", f"Release: {SUITE}",
                            "Created-By: Packages", "Component: main"],
                           capture_output=True, text=True, timeout=60, check=True)
    addresses = asked.stdout.split()
    if not addresses:
        raise Cannot(f"apt on this host knows no mirror of {SUITE}")
    return addresses[0]


def quietly(command, seconds, why):
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise Cannot(f"{why}: {(done.stderr or done.stdout)[-500:].strip()}")


def root(build, packages):
    """The folder of a bare root that has the .debs of all that `packages` depend on in apt's cache."""
    if os.geteuid() != 0:
        raise Cannot("only root can boot one")
    for program in ("debootstrap", "systemd-nspawn", "nsenter"):
        if not shutil.which(program):
            raise Cannot(f"no {program}; apt-get install debootstrap systemd-container")
    kept = build / "machine" / SUITE
    if not (kept / "ready").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        quietly(["debootstrap", "--variant=minbase", "--include=dbus,systemd,systemd-sysv", SUITE,
                 kept / "root", mirror()], 600, "debootstrap failed")
        (kept / "root/etc/apt/apt.conf.d/keep").write_text('Binary::apt::APT::Keep-Downloaded-Packages "1";\n')
        quietly(NSPAWN + ["--pipe", f"--directory={kept / 'root'}", f"--bind-ro={packages}:/packages",
                          "sh", "-c", "apt-get -qq update && apt-get clean && apt-get -qq -y "
                          "--no-install-recommends --download-only install /packages/*.deb "
                          "redis-server"], 300, "apt in the new root failed")
        (kept / "ready").touch()
    return kept / "root"


def first_process(nspawn):
    """The child that is process 1 of a namespace of its own. The one that makes it is our child before."""
    try:
        for child in pathlib.Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
            numbers = [line.split()[1:] for line in pathlib.Path(f"/proc/{child}/status").read_text().splitlines()
                       if line.startswith("NSpid:")]
            if numbers and len(numbers[0]) > 1 and numbers[0][-1] == "1":
                return int(child)
    except FileNotFoundError:
        pass  # it ended just now
    return None


class Machine:
    """`with Machine(root, packages) as machine:`; `packages` is seen in it as /packages."""

    def __init__(self, root_folder, packages):
        self.log = tempfile.NamedTemporaryFile(prefix="machine-", suffix=".log")
        self.nspawn = subprocess.Popen(
            NSPAWN + ["--boot", f"--directory={root_folder}", "--volatile=overlay",
                      "--private-network", "--rlimit=MEMLOCK=infinity", f"--bind-ro={packages}:/packages",
                      f"--machine=deja-test-{os.getpid()}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.leader = None

    def __enter__(self):
        deadline = time.monotonic() + BOOT_SECONDS
        try:
            while not self.is_up():
                if self.nspawn.poll() is not None or time.monotonic() > deadline:
                    said = pathlib.Path(self.log.name).read_text(errors="replace")
                    raise Cannot(f"systemd-nspawn can't boot here: {said[-500:].strip()}")
                time.sleep(0.1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_up(self):
        if self.leader is None:
            self.leader = first_process(self.nspawn.pid)
        return self.leader is not None and self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
            "running", "degraded")

    def __exit__(self, *_):
        if self.leader:
            # What systemd as the first process of a container understands as "power off".
            try:
                os.kill(self.leader, signal.SIGRTMIN + 4)
            except ProcessLookupError:
                pass
        else:
            self.nspawn.terminate()
        try:
            self.nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.log.close()

    def enter(self, *namespaces):
        return ["nsenter", f"--target={self.leader}", *(f"--{name}" for name in namespaces)]

    def run(self, *command, user=None, check=True, timeout=120, **options):
        """Runs a command in it, as root or as a user with that user's groups."""
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        done = subprocess.run(
            self.enter("mount", "uts", "ipc", "net", "pid", "root")
            + ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
               "DEBIAN_FRONTEND=noninteractive", *as_user, *map(str, command)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))} exited {done.returncode}\n"
                                 f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done

    def sh(self, script, **options):
        return self.run("sh", "-ec", script, **options).stdout

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-u", unit, check=False).stdout[-8000:]

    def curl(self, *arguments, check=True):
        """This host's curl on that machine's loopback."""
        done = subprocess.run(self.enter("net") + ["curl", "--silent", "--show-error", "--max-time",
                                                   "10", *arguments],
                              capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"curl {arguments} exited {done.returncode}: {done.stderr}")
        return done.stdout
