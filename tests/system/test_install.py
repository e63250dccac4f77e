"""The Debian packages on a bare Debian 12 with its own systemd (tests/support/machine.py): installed,
served under the hardened unit, read by who may, killed and hung, purged without a trace."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import appliance
import peers
from machine import Cannot, Machine, root
from traffic import eventually, track

BUILD = appliance.BIN.parent
PACKAGES = ("deja", "libdeja0", "libdeja-dev")
PURGE = ["apt-get", "-qq", "-y", "purge", *PACKAGES]
SEGMENT = "/dev/shm/deja-shop"
# systemd-analyze security: 10 is a unit that restricts nothing; below 2 it calls one "OK".
EXPOSURE_MAX = 1.6


def cpack(into, *options):
    """The packages of this build, made by whoever runs this."""
    into.mkdir(exist_ok=True)
    done = subprocess.run(["cpack", "--config", BUILD / "CPackConfig.cmake", "-G", "DEB",
                           "-D", f"CPACK_OUTPUT_FILE_PREFIX={into}", *options],
                          cwd=into, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the packages, and a renderer as a user would build one with them."""
    folder = tmp_path_factory.mktemp("packages")
    cpack(folder)
    cpack(folder / "newer", "-D", "CPACK_PACKAGE_VERSION=0.1.1")
    dev = folder / "dev"
    for package in folder.glob("libdeja*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, dev], check=True, timeout=60)
    pkgconfig = next(dev.rglob("deja.pc")).parent
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "deja"], check=True, text=True,
                           capture_output=True, timeout=60,
                           env={**os.environ, "PKG_CONFIG_PATH": str(pkgconfig)}).stdout.split()
    subprocess.run(["cc", next(dev.rglob("renderer_example.c")), *flags, "-o", folder / "renderer"],
                   check=True, timeout=60)
    shutil.rmtree(dev)
    for made in (folder, folder / "newer"):
        shutil.rmtree(made / "_CPack_Packages")
    yield folder


@pytest.fixture(scope="module")
def machine(packages):
    try:
        with Machine(root(BUILD.parent, packages), packages) as booted:
            yield booted
    except Cannot as reason:
        peers.cannot(str(reason))


@pytest.fixture(scope="module")
def installed(machine):
    """The packages installed as a user would, beside users who are and are not readers."""
    before = traces(machine)
    machine.sh("apt-get -qq -y --no-install-recommends install /packages/*.deb redis-server")
    machine.sh("useradd reader && usermod -aG deja-readers reader && useradd stranger")
    # Nobody is to wait for half a minute.
    machine.sh("mkdir -p /run/systemd/system/deja@.service.d && "
               "printf '[Service]\\nWatchdogSec=2\\n' >/run/systemd/system/deja@.service.d/test.conf && "
               "systemctl daemon-reload")
    machine.before = before
    return machine


@pytest.fixture
def served(installed):
    installed.run("systemctl", "start", "deja@shop")
    return installed


def traces(machine):
    """Everything of a system that a package may leave something in."""
    return {
        "files": machine.sh("find / -xdev -path /proc -prune -o -name '*deja*' -print; "
                            "find /dev/shm /run -name '*deja*' -not -path '/run/systemd/*'"),
        "users": machine.sh("cut -d: -f1 /etc/passwd | grep deja || true"),
        "groups": machine.sh("cut -d: -f1 /etc/group | grep deja || true"),
    }


def processes(machine):
    """{name: pid} as `deja stat` names them; as the service's user, who may look at all of it."""
    found = json.loads(machine.run("deja", "stat", "--json", user="deja").stdout)
    return {process["name"]: process["pid"] for process in found["processes"]}


def send(machine, number, user="ada"):
    answer = machine.curl("http://127.0.0.1:8080/v1/track", "--retry", "5", "--retry-connrefused",
                          "--data", json.dumps(track(user, "Product Viewed", f"m{number}",
                                                     product_id=f"p{number}")))
    assert json.loads(answer)["success"], answer


def views(machine, user="ada"):
    done = machine.run("deja", "get", user, "--json", user="reader", check=False)
    return json.loads(done.stdout)["features"]["views_1h"] if done.returncode == 0 else done.stderr


def main_pid(machine):
    return int(machine.run("systemctl", "show", "deja@shop", "--property=MainPID", "--value").stdout)


def test_the_scripts_of_the_packages_are_clean():
    peers.need("shellcheck", package="shellcheck")
    scripts = [path for path in (appliance.ROOT / "tools/package/debian").iterdir()
               if path.read_text().startswith("#!/bin/sh")]
    assert len(scripts) >= 3
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_an_ordinary_user_installs_into_a_prefix_of_their_own(tmp_path):
    prefix = tmp_path / "own"
    command = ["cmake", "--install", str(BUILD), "--prefix", str(prefix)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    made = {str(path.relative_to(prefix)) for path in prefix.rglob("*")}
    assert {"bin/deja", "libexec/deja/deja-worker", "share/deja/monitoring/deja.rules.yml",
            "share/deja/monitoring/deja.grafana.json"} <= made
    # What makes a service of it has no place there.
    assert not [path for path in made if re.match(r"etc|.*\.service|.*sysusers", path)], made
    said = subprocess.run([prefix / "bin/deja", "--version"], capture_output=True, text=True, timeout=60)
    assert said.stdout.startswith("deja ")


def test_nothing_is_started_by_an_installation_and_the_unit_is_sound(installed):
    assert installed.run("systemctl", "list-units", "--no-legend", "deja@*").stdout == ""
    verified = installed.run("systemd-analyze", "verify", "--man=no", "deja@shop.service")
    assert verified.stdout + verified.stderr == ""
    analyzed = installed.run("systemd-analyze", "security", "--no-pager", "deja@shop.service").stdout
    exposure = float(re.search(r"Overall exposure level.*: ([0-9.]+)", analyzed).group(1))
    assert exposure <= EXPOSURE_MAX, analyzed
    assert installed.run("deja", "validate", "-c", "/etc/deja/shop.toml").returncode == 0
    # Again, as dpkg may: nothing is different for it.
    installed.run("dpkg-reconfigure", "deja")


def test_what_the_unit_takes_away_is_nothing_that_it_needs(served):
    journal = served.journal("deja@shop")
    # It says so where it has to do without one.
    for kept in ("deja-ingest: using io_uring", "the journal is written with io_uring"):
        assert kept in journal
    assert "not permitted" not in journal and "ignoring" not in journal, journal
    limit = served.sh("awk '/Max locked memory/ { print $4 }' /proc/1/limits").strip()
    if limit == "unlimited":  # else this host gives no container more
        assert "locked memory" not in journal
    status = served.sh(f"cat /proc/{processes(served)['ingest']}/status")
    assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s*0+$", status, re.MULTILINE)


def test_events_come_in_and_only_readers_see_profiles(served):
    send(served, 1, "ada")
    assert eventually(lambda: views(served) == 1)
    assert "views_1h" in served.run("/packages/renderer", "shop", "/dev/shm", "ada", user="reader").stdout
    for command in (["deja", "get", "ada"], ["/packages/renderer", "shop", "/dev/shm", "ada"]):
        done = served.run(*command, user="stranger", check=False)
        assert done.returncode == 1 and "ada" not in done.stdout, done
    assert served.sh(f"stat -c '%a %U %G' {SEGMENT}").strip() == "750 deja deja-readers"
    assert served.run("cat", f"{SEGMENT}/superblock", user="stranger", check=False).returncode != 0


def test_a_killed_worker_comes_back_and_loses_nothing(served):
    pid = processes(served)["worker-0"]
    served.sh(f"kill -STOP {pid}")
    send_in_vain = served.curl("http://127.0.0.1:8080/v1/track", "--max-time", "1", "--data",
                               json.dumps(track("bob", "Product Viewed", "kill-1")), check=False)
    assert send_in_vain == "", "a stopped worker can't have made that durable"
    served.sh(f"kill -KILL {pid}")
    assert eventually(lambda: views(served, "bob") == 1)
    assert processes(served)["worker-0"] != pid


def test_a_supervisor_that_hangs_is_replaced_and_nobody_else_notices(served):
    send(served, "hang-1", "eve")
    before = processes(served)
    supervisor = main_pid(served)
    served.sh(f"kill -STOP {supervisor}")
    assert eventually(lambda: main_pid(served) not in (0, supervisor), seconds=30)
    assert eventually(lambda: served.run("systemctl", "is-active", "deja@shop",
                                         check=False).stdout.strip() == "active", seconds=30)
    assert "watchdog" in served.journal("deja@shop").lower()
    after = processes(served)
    assert after.pop("supervisor") != before.pop("supervisor")
    assert after == before
    send(served, "hang-2", "eve")
    assert eventually(lambda: views(served, "eve") == 2)


def test_a_reload_that_is_refused_changes_nothing_and_is_said(served):
    send(served, "reload-1", "kim")
    before = processes(served)
    served.sh("cp -a /etc/deja/shop.toml /root/ && sed -i 's/^shards = /shard = /' /etc/deja/shop.toml")
    try:
        assert served.run("systemctl", "reload", "deja@shop", check=False).returncode != 0
        assert "unknown" in served.journal("deja@shop")
        assert processes(served) == before
    finally:
        served.sh("mv /root/shop.toml /etc/deja/")
    served.sh("echo '# one more line' >>/etc/deja/shop.toml")
    served.run("systemctl", "reload", "deja@shop")
    assert served.run("systemctl", "is-active", "deja@shop").stdout.strip() == "active"
    assert eventually(lambda: views(served, "kim") == 1)


def test_an_upgrade_goes_on_with_the_living_segment(served):
    send(served, "upgrade-1", "joe")
    before, supervisor = processes(served), main_pid(served)
    superblock = served.sh(f"stat -c %i {SEGMENT}/superblock")
    served.sh("apt-get -qq -y --no-install-recommends install /packages/newer/deja_*.deb")
    assert "has taken over" in served.journal("deja@shop")
    after = processes(served)
    assert main_pid(served) == supervisor and served.sh(f"stat -c %i {SEGMENT}/superblock") == superblock
    assert all((before[name] == after[name]) == (name == "supervisor") for name in before), (before, after)
    send(served, "upgrade-2", "joe")
    assert eventually(lambda: views(served, "joe") == 2)


def test_cores_that_the_unit_withholds_are_said(served):
    config = served.sh("cat /etc/deja/shop.toml")
    drop_in = "/run/systemd/system/deja@shop.service.d/cores.conf"
    try:
        served.sh(f"mkdir -p $(dirname {drop_in}) && printf '[Service]\\nCPUAffinity=0\\n' >{drop_in} && "
                  "sed -i 's/^workers = \"auto\"/workers = [1]/' /etc/deja/shop.toml && "
                  "systemctl daemon-reload && systemctl restart deja@shop")
        assert "core 1 for us" in served.run("deja", "stat", user="reader", check=False).stdout + \
            served.run("deja", "stat", user="deja").stdout
    finally:
        served.run("rm", "-r", str(pathlib.Path(drop_in).parent))
        served.run("sh", "-c", "cat >/etc/deja/shop.toml <<'END'\n" + config + "END")
        served.run("systemctl", "daemon-reload")
        served.run("systemctl", "restart", "deja@shop")


def test_removal_gives_back_what_tune_applied(served):
    cores = pathlib.Path("/sys/devices/system/cpu")
    if (cores / "cpu0/topology/thread_siblings_list").read_text() == (cores / "online").read_text():
        pytest.skip("core 0 pinned, none would be left")
    # The one place of the host that a container may write; a balancer must run for it to matter.
    served.sh("cp /bin/sleep /root/irqbalance && "
              "systemd-run -q --unit=balancer --property=Type=exec /root/irqbalance 600 && "
              "printf '# ours\\n' >/etc/default/irqbalance && "
              "sed 's/^workers = \"auto\"/workers = [0]/' /etc/deja/shop.toml >/root/pinned.toml")
    try:
        served.run("deja", "tune", "apply", "--yes", "--only", "irqbalance", "-c", "/root/pinned.toml")
        assert "BANNED" in served.sh("cat /etc/default/irqbalance")
        assert served.sh("stat -c '%U %a' /var/lib/deja-tune").strip() == "root 755"
        served.run("apt-get", "-qq", "-y", "remove", "deja")
        assert served.sh("cat /etc/default/irqbalance") == "# ours\n"
        assert served.run("ls", "/var/lib/deja-tune/saved", check=False).returncode != 0
        served.sh("apt-get -qq -y --no-install-recommends install /packages/deja_*.deb")
    finally:
        served.run("systemctl", "stop", "balancer")
        served.run("rm", "-f", "/etc/default/irqbalance", "/root/irqbalance", "/root/pinned.toml")


def test_purge_leaves_nothing(served):
    send(served, "last", "ada")
    served.run("systemctl", "enable", "deja@shop")
    served.run("apt-get", "-qq", "-y", "remove", "deja")
    assert served.run("ls", SEGMENT, check=False).returncode != 0
    assert served.sh("ls /var/lib/deja").strip() == "shop"
    service = served.run("id", "-u", "deja").stdout.strip()
    assert served.sh(f"grep -ls '^Uid:.{service}' /proc/[0-9]*/status || true") == ""
    # Removed, installed again: what was stored is there.
    served.sh("apt-get -qq -y --no-install-recommends install /packages/deja_*.deb")
    served.run("systemctl", "start", "deja@shop")
    assert eventually(lambda: isinstance(views(served), int) and views(served) >= 1)

    served.run("rm", "-r", "/run/systemd/system/deja@.service.d")
    served.run(*PURGE)
    assert traces(served) == served.before
    # Purging twice is harmless.
    served.sh("dpkg --purge " + " ".join(PACKAGES) + " 2>&1")
