"""What tests need that is not ours: other programs, packages of a registry, real data. Whoever runs
the tests by hand is told what is absent, and the rest runs; CI has everything, or fails."""

import os
import shutil
import subprocess
import time

import pytest

PAUSES = (5, 20)  # seconds, between the tries


def cannot(reason):
    """Something that can't be had: said to a person, a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have every peer: {reason}")
    pytest.skip(f"skipped: {reason}", allow_module_level=True)


def need(*programs, package):
    """Programs of a Debian package; what `cannot` says where one is absent."""
    absent = [program for program in programs if not shutil.which(program)]
    if absent:
        cannot(f"no {' and '.join(absent)}; apt-get install {package}")


def fetch(command, timeout=150, **options):
    """Gets something from a registry: a registry that is busy for once is no reason to fail."""
    reason = ""
    for pause in (*PAUSES, 0):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, **options)
        except subprocess.TimeoutExpired:
            reason = f"nothing came in {timeout} s"
        else:
            if done.returncode == 0:
                return
            reason = done.stderr[-500:]
        time.sleep(pause)
    cannot(f"{' '.join(map(str, command[:4]))} failed: {reason}")
