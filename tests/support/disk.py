"""A small disk for tests: a file system in a file, mounted, that can be filled and made to hang."""

import contextlib
import os
import pathlib
import subprocess

import pytest


class Disk:
    """Mounted at `path`, by small_disk()."""

    def __init__(self, path):
        self.path = path

    @contextlib.contextmanager
    def filled(self, left):
        """Only the share `left` of it is free, while entered."""
        filler = self.path / "filler"
        facts = os.statvfs(self.path)
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0,
                               (facts.f_bavail - int(facts.f_blocks * left)) * facts.f_frsize)
        try:
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def hanging(self):
        """Whoever writes to it, or syncs, waits, while entered."""
        subprocess.run(["fsfreeze", "--freeze", self.path], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", self.path], check=True)


@contextlib.contextmanager
def small_disk(path, image, size_bytes):
    """A Disk whose content lies in the file `image`. Where the kernel or the user can't have one it
    skips."""
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        pytest.skip("skipped: mounting a file needs root, and a kernel with loop devices")
    path = pathlib.Path(path)
    path.mkdir(parents=True)
    with open(image, "wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, path], check=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", path], check=True)
