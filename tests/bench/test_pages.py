"""bench/run's own shared memory of huge pages: its benchmarks have it, the host never does."""

import pathlib

import pytest
from fake_build import RING
from frame import pages


def shared_memory():
    return [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if " /dev/shm " in line]


def test_a_run_has_huge_pages_of_its_own_and_leaves_the_host_as_it_was(build):
    left = pathlib.Path("/dev/shm/deja-bench-left-behind")
    build.script("ring", f'cat /proc/mounts; echo "$MALLOC_CONF"; touch {left}; '
                         f'cp "{build.folder}/ring.json" "$path"')
    before = shared_memory()
    done = build.run("ring")
    assert shared_memory() == before
    given = build.latest()["host"]["huge_pages"]["shared_memory"]
    if not pages.may_mount():
        left.unlink()  # not even root may mount everywhere
        assert given != "always, by its mount" and "pages of 4 KiB only" in done.stdout
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert given == "always, by its mount"
    assert "deja-bench /dev/shm tmpfs rw" in done.stdout and "thp:always" in done.stdout
    assert not left.exists()


@pytest.mark.parametrize("plain", ["--small-pages", "--quick"])
def test_what_wants_no_huge_pages_gets_none(build, plain):
    build.put({**RING, "quick": plain == "--quick"})
    done = build.run(plain, "ring")
    assert done.returncode == 0, done.stdout + done.stderr
    assert build.latest()["host"]["huge_pages"]["shared_memory"] != "always, by its mount"


def test_the_last_mount_of_a_place_counts():
    huge = "tmpfs /dev/shm tmpfs rw,huge=always 0 0\n"
    plain = "tmpfs /dev/shm tmpfs rw 0 0\n"
    assert pages.mounted_huge(plain + huge) and not pages.mounted_huge(huge + plain)
    assert not pages.mounted_huge("tmpfs /run tmpfs rw,huge=always 0 0\n") and not pages.mounted_huge("")
