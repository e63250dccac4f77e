"""Redis and what can go wrong on the way to it, for tests: a server of one's own that is killed, stopped
and put back; a proxy on a unix socket that knows where a command or a reply ends, and delays, cuts and
repeats them; a client, enough for looking."""

import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

from traffic import eventually


def value_end(data, at=0):
    """Where the RESP value (a command is one too) that begins at `at` ends; None: not all of it is there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, end = data[at:at + 1], line + 2
    if kind in b"+-:":
        return end
    count = int(data[at + 1:line])
    if kind == b"$":
        end += count + 2 if count >= 0 else 0
        return end if len(data) >= end else None
    assert kind == b"*", data[at:at + 20]
    for _ in range(max(count, 0)):
        end = value_end(data, end)
        if end is None:
            return None
    return end


def parsed(data, at=0):
    """(value, end) of a whole RESP value."""
    line = data.index(b"\r\n", at)
    kind, text, end = data[at:at + 1], data[at + 1:line], line + 2
    if kind == b"-":
        raise RuntimeError(text.decode())
    if kind == b"+":
        return text, end
    if kind == b":":
        return int(text), end
    if int(text) < 0:
        return None, end
    if kind == b"$":
        return data[end:end + int(text)], end + int(text) + 2
    values = []
    for _ in range(int(text)):
        value, end = parsed(data, end)
        values.append(value)
    return values, end


def encoded(*command):
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class RedisClient:
    """One connection. A context manager; any failure is an OSError or a RuntimeError."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def many(self, commands):
        self.socket.sendall(b"".join(encoded(*command) for command in commands))
        return [self.reply() for _ in commands]

    def reply(self):
        while (end := value_end(self.rest)) is None:
            part = self.socket.recv(1 << 16)
            if not part:
                raise ConnectionError("Redis closed the connection")
            self.rest += part
        value, _ = parsed(self.rest)
        self.rest = self.rest[end:]
        return value

    def __call__(self, *command):
        return self.many([command])[0]

    def profiles(self, *fields):
        """{key: [fields]} of every profile."""
        keys = sorted(key for key in self("KEYS", "deja:{*") if b"}:watermark" not in key)
        return dict(zip(keys, self.many([("HMGET", key, *fields) for key in keys])))


class RedisServer:
    """A redis-server on a directory of its own, with its append-only file on."""

    def __init__(self, directory, port=0):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.socket = self.directory / "redis.sock"
        self.port = port
        self.process = None

    def start(self, *options):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket",
             self.socket, "--dir", self.directory, "--appendonly", "yes", "--save", "",
             "--maxmemory-policy", "noeviction", *options], stdout=subprocess.DEVNULL)
        eventually(self.answers)
        return self

    def answers(self):
        with contextlib.suppress(OSError, RuntimeError), RedisClient(self.socket) as client:
            return client("PING") == b"PONG"
        return False

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()
            self.process = None

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class RedisProxy:
    """Between the appliance and Redis. Its faults may be changed at any time."""

    def __init__(self, path, server, seed):
        self.path = str(path)
        self.server = server
        self.rng = random.Random(seed)
        self.calm()
        self.counts = dict(delayed=0, cut=0, cut_commands=0, repeated_commands=0,
                           repeated_replies=0, late=0)
        self.kept = []  # commands to be sent again, late
        self.pairs = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def calm(self):
        self.delay_s = self.cut = self.repeat_command = self.repeat_reply = self.late = 0
        self.cut_command = 0

    def happens(self, probability, name):
        if self.rng.random() >= probability:
            return False
        self.counts[name] += 1
        return True

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.server.socket))
            except OSError:
                client.close()
                server.close()
                continue
            pair = (client, server)
            self.pairs.append(pair)
            wanted = collections.deque()  # for each command on its way: is its reply for the client?
            for target in (self.forward_commands, self.forward_replies):
                threading.Thread(target=self.until_broken, args=(target, pair, wanted),
                                 daemon=True).start()

    def until_broken(self, target, pair, wanted):
        with contextlib.suppress(OSError):
            target(*pair, wanted)
        for one in pair:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def forward_commands(self, client, server, wanted):
        for command in values_from(client):
            if b"EVALSHA" in command[:40] and self.happens(self.late, "late"):
                self.kept.append(command)
            if b"EVALSHA" in command[:40] and self.happens(self.cut_command, "cut_commands"):
                wanted.append(None)  # it and all behind it get lost; what is before is answered
                server.sendall(encoded("PING"))
                while client.recv(1 << 16):
                    pass
                return
            wanted.append(True)
            if self.happens(self.repeat_command, "repeated_commands"):
                wanted.append(False)
                server.sendall(command)
            server.sendall(command)

    def forward_replies(self, client, server, wanted):
        for reply in values_from(server):
            kept = wanted.popleft()
            if kept is None:
                return
            if not kept:
                continue
            if self.delay_s and self.happens(0.3, "delayed"):
                time.sleep(self.rng.uniform(0, self.delay_s))
            if self.happens(self.cut, "cut"):
                client.sendall(reply[:self.rng.randrange(len(reply))])
                return
            client.sendall(reply * (2 if self.happens(self.repeat_reply, "repeated_replies") else 1))

    def send_late(self):
        """Everything kept goes to Redis again, from another connection, in any order."""
        kept, self.kept = self.kept, []
        self.rng.shuffle(kept)
        with RedisClient(self.server.socket) as client:
            for command in kept:
                client.socket.sendall(command)
                with contextlib.suppress(RuntimeError):
                    client.reply()

    def break_all(self):
        for pair in self.pairs:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self.pairs = []

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.break_all()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def values_from(peer):
    """The RESP values that come from a socket, each as its bytes."""
    data = b""
    while part := peer.recv(1 << 16):
        data += part
        at = 0
        while at < len(data) and (end := value_end(data, at)) is not None:
            yield data[at:end]
            at = end
        data = data[at:]
