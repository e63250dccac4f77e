"""On what was measured: the host's fingerprint, the code, the build, and what speaks against the
figures."""

import datetime
import os
import pathlib
import platform
import re
import subprocess

from frame import pages

ROOT = pathlib.Path(__file__).resolve().parents[2]

TRANSPARENT = "/sys/kernel/mm/transparent_hugepage/"

# Above this share of the cores in use before the first benchmark, others are at work.
LOAD_PER_CORE = 0.25
# How many cores the benchmarks keep busy at once: client, ingest, worker, and who looks.
PARTIES = 4


def read(path):
    """A file's text without its end of line, or None."""
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return None


def field(text, name):
    """The first `name : value` of a file of the kernel's."""
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.+)$", text or "", re.MULTILINE)
    return found.group(1).strip() if found else None


def chosen(text):
    """The word in brackets of "always [madvise] never"."""
    found = re.search(r"\[(\S+)\]", text or "")
    return found.group(1) if found else text


def shared_memory_pages():
    """What decides on the pages of files in shared memory: the mount, or the kernel's setting."""
    if pages.mounted_huge(read("/proc/mounts") or ""):
        return "always, by its mount"
    return chosen(read(TRANSPARENT + "shmem_enabled"))


def fingerprint():
    cpu = read("/proc/cpuinfo")
    memory = read("/proc/meminfo")
    flags = (field(cpu, "flags") or "").split()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": field(cpu, "model name") or platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "memory_bytes": int((field(memory, "MemTotal") or "0 kB").split()[0]) * 1024,
        "virtualised": "hypervisor" in flags if flags else None,
        "huge_pages": {"transparent": chosen(read(TRANSPARENT + "enabled")),
                       "shared_memory": shared_memory_pages(),
                       "reserved": int(field(memory, "HugePages_Total") or 0)},
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def same_host(one, other):
    """Whether figures of both may stand in one table."""
    return all(one.get(key) == other.get(key)
               for key in ("cores", "cpu", "memory_bytes", "huge_pages"))


def git(*arguments):
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def code():
    """The results themselves are not the code."""
    changed = git("status", "--porcelain", "--", ".", ":!bench/results")
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed) if changed is not None else None}


def build(folder):
    """What CMake's cache says of it."""
    cache = read(folder / "CMakeCache.txt")

    def entry(name):
        found = re.search(rf"^{name}:[A-Z]+=(.*)$", cache or "", re.MULTILINE)
        return found.group(1) if found else None

    compiler = entry("CMAKE_CXX_COMPILER")
    version = None
    if compiler:
        try:
            said = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
            version = said.splitlines()[0] if said else None
        except OSError:
            version = None
    return {"type": entry("CMAKE_BUILD_TYPE"), "compiler": version or compiler,
            "flags": entry("CMAKE_CXX_FLAGS") or ""}


def may_pin():
    """Whether a process of ours may be bound to each of the cores."""
    cores = os.sched_getaffinity(0)
    try:
        for core in cores:
            os.sched_setaffinity(0, {core})
        return True
    except OSError:
        return False
    finally:
        os.sched_setaffinity(0, cores)


def warnings(host, built):
    """Sentences: what a reader of the figures must know first."""
    if built["type"] != "Release":
        yield f"the build is {built['type'] or 'of no known type'}, not Release: its times mean nothing"
    if host["cores"] == 1:
        yield "there is one core: whatever goes from core to core stays on it"
    elif host["cores"] < PARTIES:
        yield (f"there are {host['cores']} cores for up to {PARTIES} parties (client, ingest, worker, "
               "renderer): they take turns")
    if not may_pin():
        yield "nothing can be pinned to a core: near and far, one core and two, get mixed"
    load = os.getloadavg()[0]
    if load > LOAD_PER_CORE * host["cores"]:
        yield f"the load average is {load:.2f} before anything was started: others are at work"
    if (host["huge_pages"]["shared_memory"] or "never") == "never":
        yield "shared memory has pages of 4 KiB only: reads and workers pay for their page walks"
    if host["governor"] not in (None, "performance"):
        yield f"the cores' governor is {host['governor']}: their clock changes with the load"


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
