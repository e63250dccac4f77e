"""Huge pages for a run: a /dev/shm of its own, seen by nobody else, whose files are made of them.

A host that was tuned for the appliance lets shared memory have huge pages (shmem_enabled, config key
huge_pages). Most others don't, and their kernel's choice is not ours to change. A private mount is: it
ends with the run, with all that a killed benchmark left there. Memory of the peers, and of what runs
inside of a benchmark, may have huge pages too: else the comparison would be ours with, theirs without."""

import os
import subprocess

MARK = "DEJA_BENCH_PAGES"
PLACE = "/dev/shm"

UNSHARE = ["unshare", "--mount", "--propagation", "private"]

# jemalloc (ours, Abseil's, Redis') and glibc's malloc (memcached).
ALLOCATORS = {"MALLOC_CONF": "thp:always", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# Segments on huge pages; files that are only written and read (journals, snapshots) on small ones, since
# a huge page is cleared whole for its first write (bench/support/tmpfs.h). Where a mount is refused, the
# run goes on with what there is.
MOUNT = (f"mount -t tmpfs -o huge=always,mode=1777,size=100% deja-bench {PLACE} && "
         f"mkdir {PLACE}/files && mount -t tmpfs -o huge=never,size=100% deja-bench {PLACE}/files && "
         f"export {MARK}=huge || export {MARK}=refused; exec \"$@\"")


def may_mount():
    """Whether we may have mounts of our own; not even root may everywhere."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def enter(argv):
    """Does not return where the run begins anew with its own mount; there, where it has it, sets what
    allocators read. Where it can't have one, nothing changes."""
    if os.environ.get(MARK) is None and may_mount():
        os.execvp(UNSHARE[0], [*UNSHARE, "sh", "-c", MOUNT, "sh", *argv])
    if os.environ.get(MARK) == "huge":
        os.environ.update(ALLOCATORS)


def mounted_huge(mounts):
    """Whether the text of /proc/mounts gives the place's files huge pages."""
    options = [line.split()[3] for line in mounts.splitlines() if line.split()[1:2] == [PLACE]]
    return bool(options) and "huge=always" in options[-1].split(",")
