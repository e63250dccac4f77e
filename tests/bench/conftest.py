"""What the tests of bench/run have in common: bench/frame and tests/support on the path, and a build of
fake benchmarks."""

import sys

import pytest
from fake_build import READ, RING, ROOT, Build

sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/support")]


@pytest.fixture
def build(tmp_path):
    made = Build(tmp_path)
    made.put(RING)
    made.put(READ)
    return made
