"""A real appliance for tests: `deja serve` on a scratch directory, ports of its own choosing, and
stopped by its own signal. Every test that needs one uses this."""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("DEJA_BIN", ROOT / "build/release/bin"))
START_SECONDS = 60 if os.environ.get("DEJA_SANITIZE") else 30


def data_file(name):
    """A file of the real data, or None where it is not to be had."""
    path = pathlib.Path(os.environ.get("DEJA_DATA", ROOT.parent / "shared/data")) / name
    return path if path.exists() else None


def run(*arguments, check=True, timeout=120, **options):
    """Runs a program of the build; fails with all it said."""
    done = subprocess.run([str(BIN / arguments[0]), *map(str, arguments[1:])], text=True,
                          capture_output=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, arguments))} exited {done.returncode}\n"
                             f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


class Appliance:
    """`with Appliance(config_text) as shop:` — @NAMES@ in the text are filled in; @DIRECTORY@ is a
    scratch directory on /dev/shm."""

    def __init__(self, config_text, keep_directory=None, environment=None, programs=None, **fill):
        self.directory = pathlib.Path(keep_directory or tempfile.mkdtemp(prefix="deja-test-",
                                                                         dir="/dev/shm"))
        self.owns_directory = keep_directory is None
        text = config_text.replace("@DIRECTORY@", str(self.directory))
        for name, value in fill.items():
            text = text.replace(f"@{name.upper()}@", str(value))
        self.name = re.search(r'^name\s*=\s*"([^"]+)"', text, re.MULTILINE).group(1)
        self.config = self.directory / f"{self.name}.toml"
        self.config.write_text(text)
        self.environment = {**os.environ, **(environment or {})}
        self.programs = programs or BIN  # the folder that it is started from
        self.log = self.directory / f"{self.name}.log"
        self.process = None

    def start(self):
        read_end, write_end = os.pipe()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "deja"), "serve", "-c", str(self.config), "--ready-fd", str(write_end)],
                pass_fds=[write_end], stdout=log, stderr=log, env=self.environment)
        os.close(write_end)
        line = b""
        deadline = time.monotonic() + START_SECONDS
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([read_end], [], [], max(0, deadline - time.monotonic()))
            part = os.read(read_end, 4096) if ready else b""
            if not part:
                break
            line += part
        os.close(read_end)
        if not line.endswith(b"\n"):
            self.kill()
            raise AssertionError(f"deja serve did not get ready:\n{self.log_text()}")
        self.ready = json.loads(line)
        self.http = self.ready["http"]
        self.streams = self.ready["streams"]
        self.console = self.ready["console"]
        self.segment = pathlib.Path(self.ready["segment"])
        return self

    def stop(self, timeout=60):
        """Asks it to stop and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"deja serve did not stop:\n{self.log_text()}") from None
        self.process = None
        return status

    def kill(self):
        """Kills the supervisor alone; what it started lives on."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pids(self):
        """Every process of this appliance, its supervisor and its private Redis too: those that name
        its scratch directory. None of another test's does."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if os.fsencode(self.directory) in line and re.search(rb"deja|redis-server",
                                                                 line.split(b"\0")[0]):
                found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]

    def kill_all(self):
        """Kills every process of the appliance, its supervisor first."""
        self.kill()
        deadline = time.monotonic() + 10
        while (pids := self.pids()) and time.monotonic() < deadline:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
        assert not pids, f"processes {pids} can't be killed"

    def log_text(self):
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.clean_up()
            raise

    def __exit__(self, failure, *_):
        try:
            if self.process and failure is None:
                status = self.stop()
                assert status == 0, f"deja serve exited {status}:\n{self.log_text()}"
            elif self.process:
                print(f"deja serve had said:\n{self.log_text()}")  # beside the test's own failure
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(30)
        finally:
            self.clean_up()

    def clean_up(self):
        self.kill_all()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def deja(self, verb, *arguments, **options):
        """Runs a verb that looks at this appliance."""
        return run("deja", verb, "--name", self.name, "--directory", self.directory, *arguments,
                   **options)

    def post(self, route, body, headers=None, timeout=10):
        """POSTs JSON (or bytes); (status, parsed answer, headers)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.http}{route}", data=data, headers={
            "Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null"), dict(answer.headers)
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text or b"null"), dict(error.headers)

    def profile(self, user, *arguments):
        """`deja get --json`, or None for an unknown user."""
        done = self.deja("get", user, "--json", *arguments, check=False)
        if done.returncode == 1:
            return None
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def export(self, *arguments):
        """{user: profile}"""
        lines = self.deja("export", *arguments, timeout=300).stdout.splitlines()
        profiles = [json.loads(line) for line in lines]
        return {profile["user"]: profile for profile in profiles}

    def stat(self):
        return json.loads(self.deja("stat", "--json").stdout)
