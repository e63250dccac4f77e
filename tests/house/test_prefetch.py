"""What asks for memory ahead is in the programs, and not only in the sources: GCC leaves out calls of a
function that does nothing but prefetch (shm/base/cache_line.h), and no other test can see that."""

import os
import pathlib
import platform
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DEJA_BUILD_DIR", ROOT / "build/release"))

# file, function, prefetches in its loops: at least
PLACES = [
    ("bin/deja-worker", "deja::Worker::ask_for", 4),  # ids, buckets, first lines, other lines
    ("bin/deja-worker", "deja::ShardWriter::prefetch_version", 2),
    ("bin/deja-worker", "deja::RingConsumer::look", 1),
    ("bin/deja-ingest", "deja::RingConsumer::look", 1),
    ("lib/libdeja.so", "deja_get_many", 3),  # buckets, first lines, other lines
]


def test_prefetches_have_one_home():
    files = subprocess.run(["git", "grep", "-l", "__builtin_prefetch", "--", "*.h", "*.cc"], cwd=ROOT,
                           check=True, capture_output=True, text=True).stdout.split()
    assert files == ["shm/base/cache_line.h"]


def prefetch_counts(program):
    """Function → how many prefetches its code has."""
    code = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", BUILD / program], check=True,
                          capture_output=True, text=True).stdout
    counts, function = {}, ""
    for line in code.splitlines():
        if label := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = label[1]
            counts[function] = 0
        elif "\tprefetch" in line:
            counts[function] += 1
    return counts


@pytest.mark.skipif(platform.machine() != "x86_64", reason="skipped: reads x86-64's code")
@pytest.mark.skipif(bool(os.environ.get("DEJA_SANITIZE")), reason="skipped: it is Release's code that is run")
def test_prefetches_are_in_the_code():
    counts = {program: prefetch_counts(program) for program in {place[0] for place in PLACES}}
    for program, function, at_least in PLACES:
        found = [count for name, count in counts[program].items() if name.split("(")[0] == function]
        assert found, f"{program} has no {function}: name the function that asks ahead now"
        assert max(found) >= at_least, f"{program}, {function}: the prefetches were left out"
