"""`deja top` on a terminal of 80 × 24: a pty, and a screen made of what is written to it."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from appliance import BIN, Appliance
from traffic import SLOW, Client, processes, track
from watched import watched_config

CONFIG = watched_config("top")


class Terminal:
    """A program on a pty, and what its screen shows: the few sequences that deja top uses, and no
    others. A line that is wider than the screen, or one below its last, fails at once."""

    def __init__(self, arguments, columns=80, rows=24):
        self.main, second = pty.openpty()
        self.before = termios.tcgetattr(second)
        self.resize(columns, rows)
        self.process = subprocess.Popen(arguments, stdin=second, stdout=second, stderr=second,
                                        start_new_session=True, env={**os.environ, "NO_COLOR": ""},
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.second = second
        self.written = b""
        self.lines = []  # (text, is it red) of the last whole frame

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.1):
        while select.select([self.main], [], [], seconds)[0]:
            try:
                part = os.read(self.main, 65536)
            except OSError:  # the other end is closed
                return
            if not part:
                return
            self.written += part
            seconds = 0
        frames = re.findall(rb"\x1b\[H(.*?)\x1b\[J", self.written, re.DOTALL)
        if frames:
            self.lines = [self.line(text) for text in frames[-1].decode().split("\r\n")]

    def line(self, text):
        assert text.endswith("\x1b[K")
        plain = re.sub(r"\x1b\[(?:[0-9]*m|K)", "", text)
        assert "\x1b" not in plain
        return plain, text.startswith("\x1b[31m")

    def fits(self):
        return len(self.lines) <= self.rows and all(len(text) <= self.columns for text, _ in self.lines)

    def line_of(self, first_word):
        return next(((text, red) for text, red in self.lines if text.split()[:1] == [first_word]), ("", False))

    def eventually(self, condition, seconds=20):
        deadline = time.monotonic() + seconds * SLOW
        while True:
            self.read()
            if self.lines and (found := condition()):
                return found
            screen = "\n".join(text for text, _ in self.lines)
            assert time.monotonic() < deadline, f"it did not come to that; the screen:\n{screen}"

    def press(self, keys):
        os.write(self.main, keys)

    def end(self):
        """Its exit status, once it left by itself, and whether it left the terminal as it was."""
        status = self.process.wait(20 * SLOW)
        self.read()
        tidy = (b"\x1b[?1049l" in self.written.rsplit(b"\x1b[J", 1)[-1]
                and termios.tcgetattr(self.second) == self.before)
        return status, tidy

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)
        os.close(self.second)


@pytest.fixture(scope="module")
def shop():
    with Appliance(CONFIG) as appliance:
        yield appliance


def top(shop, *arguments):
    return [str(BIN / "deja"), "top", "--name", shop.name, "--directory", str(shop.directory), *arguments]


class Load:
    """Events while it is entered."""

    def __init__(self, shop):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.send, args=[shop])

    def send(self, shop):
        with Client(shop.http) as client:
            while not self.stop.wait(0.01):
                client.post("/v1/batch", {"batch": [track(f"u{number}", "Product Viewed")
                                                    for number in range(20)]})

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def shown_stages(terminal):
    lines = [text for text, _ in terminal.lines]
    begin = next(at for at, text in enumerate(lines) if text.startswith("latency,")) + 1
    end = next(at for at, text in enumerate(lines) if text.startswith("process "))
    return [text for text in lines[begin:end] if text]


def number(text):
    return float(text.replace(",", ""))


def test_a_frame_fits_and_its_values_move(shop):
    with Load(shop), Terminal(top(shop, "--interval", "200ms")) as terminal:
        terminal.eventually(lambda: re.match(r"a second +[\d,.]+ ", terminal.line_of("a")[0])
                            and number(terminal.line_of("a")[0].split()[4]) > 0)
        first = terminal.line_of("a")[0]
        terminal.eventually(lambda: terminal.line_of("a")[0] != first)
        stages = ["receive → commit", "commit → applied", "receive → visible", "applied → durable",
                  "durable → acked", "applied → in Redis"]
        # Each of the last seconds has all of them; Redis is written now and then.
        terminal.eventually(lambda: all(
            re.fullmatch(re.escape(stage) + r" +[\d,]+( +[\d.]+ [nµm]?s){3}", shown)
            for stage, shown in zip(stages, shown_stages(terminal), strict=True)))
        assert terminal.fits()
        firsts = [text.split()[0] for text, _ in terminal.lines if text]
        assert firsts[1:] == ["events", "a", "lag", "ring-0-0", "ring-0-1", "log-0", "log-1", "journal",
                              "redis", "latency,", *[stage.split()[0] for stage in stages], "process",
                              "supervisor", "ingest", "keeper", "console", "worker-0", "worker-1"]
        # What a process's own work takes is shown where there is room.
        terminal.resize(80, 40)
        terminal.eventually(lambda: [text.split("  ")[0] for text in shown_stages(terminal)]
                            == [*stages, "a worker's batch", "a write to Redis"])
        terminal.resize(80, 24)
        assert not any(red for _, red in terminal.lines)
        for columns, rows in ((40, 12), (200, 60), (1, 1), (80, 24)):
            terminal.resize(columns, rows)
            terminal.eventually(terminal.fits)
        terminal.eventually(lambda: terminal.line_of("worker-1")[0])
        terminal.press(b"xq")
        assert terminal.end() == (0, True)


def test_on_a_small_screen_who_is_well_is_left_out_first(shop):
    with Terminal(top(shop, "--interval", "200ms"), rows=17) as terminal:
        terminal.eventually(lambda: terminal.lines and terminal.fits())
        assert any("that do no worse" in text for text, _ in terminal.lines)
        stopped = processes(shop)["worker-1"]
        assert terminal.line_of("worker-1") == ("", False)
        os.kill(stopped, signal.SIGSTOP)
        try:
            text, _ = terminal.eventually(lambda: terminal.line_of("worker-1")[1] and terminal.line_of("worker-1"))
            assert text.split()[1] == "silent" and terminal.fits()
        finally:
            try:
                os.kill(stopped, signal.SIGCONT)
            except ProcessLookupError:
                pass  # the supervisor was quicker


def test_a_killed_worker_is_red(shop):
    with Terminal(top(shop, "--interval", "100ms")) as terminal:
        terminal.eventually(lambda: terminal.line_of("worker-0")[0])
        os.kill(processes(shop)["worker-0"], signal.SIGKILL)
        terminal.eventually(lambda: terminal.line_of("worker-0")[1])
        terminal.eventually(lambda: terminal.line_of("worker-0")[0].split()[1] == "restarted")
        terminal.press(b"\x03")
        assert terminal.end() == (0, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(shop, number):
    with Terminal(top(shop)) as terminal:
        terminal.eventually(lambda: True)
        terminal.process.send_signal(number)
        assert terminal.end() == (0, True)


def test_once_is_one_plain_frame(shop):
    with Load(shop):
        frame = shop.deja("top", "--once").stdout
    assert "\x1b" not in frame and frame.startswith(f"{shop.name}  serving, up ")
    assert number(re.search(r"^a second +([\d,.]+)", frame, re.MULTILINE).group(1)) > 0
    with Terminal(top(shop, "--once", "--interval", "100ms")) as terminal:
        assert terminal.process.wait(20 * SLOW) == 0
        terminal.read()
        text = re.sub(rb"\x1b\[[0-9]*m", b"", terminal.written).decode()
        assert "\x1b" not in text
        assert len(text.splitlines()) <= 24 and max(map(len, text.splitlines())) <= 80


def test_json_is_what_stat_says(shop):
    look = json.loads(shop.deja("top", "--once", "--json").stdout)
    assert look.keys() == shop.stat().keys()
    with subprocess.Popen(top(shop, "--json", "--interval", "100ms"), stdout=subprocess.PIPE) as process:
        ages = [json.loads(process.stdout.readline())["up_s"] for _ in range(3)]
        process.terminate()
    assert ages == sorted(ages) and ages[0] < ages[2]


def test_an_appliance_that_stops_is_waited_for():
    with Appliance(CONFIG.replace('"top"', '"top2"')) as shop, Terminal(top(shop, "--interval", "100ms")) as terminal:
        terminal.eventually(lambda: terminal.line_of("keeper")[0])
        assert shop.stop() == 0
        terminal.eventually(lambda: terminal.lines[0][0].startswith("No news for ") and terminal.lines[0][1])
        assert terminal.fits()
        shop.start()
        terminal.eventually(lambda: terminal.lines[0][0].startswith("top2  serving"))


def test_what_it_can_t_do_is_said(tmp_path, shop):
    done = subprocess.run([BIN / "deja", "top", "--directory", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "deja serve -c FILE" in done.stderr
    done = shop.deja("top", "--interval", "1", check=False)
    assert done.returncode == 2 and "such as 500ms or 2s" in done.stderr
