"""One line of a table of bad HTTP input, and how it is held against a shop."""

import dataclasses
import socket
import struct

from bad_input_shop import MATE, Answer, Wire, event, request


@dataclasses.dataclass
class Case:
    name: str
    send: bytes
    answers: list              # in their order; none: the server closes without a word
    stays: bool = True         # the connection stays open behind it
    rejected: tuple = ()       # codes that are counted
    mates: int = 0             # good events in it, all of MATE
    other: dict = dataclasses.field(default_factory=dict)  # outcome: count
    ending: str = ""           # "half": our side ends; "close", "reset": ours is gone


def refused(name, send, status, code, path=None, *, stays=True, counted=True, **more):
    """A request that is refused as a whole, and counted as one rejected event or not at all."""
    rejected = more.pop("rejected", None)
    return Case(name, send, [Answer(status, code, path, rejected, **more)], stays,
                (code,) if counted else ())


def bad_event(about, code, path=None, /, *, body=None, target="/v1/track", **members):
    """A call that is refused."""
    body = event(**members) if body is None else body
    return refused(about, request(body, target=target), 400, code, path)


def bad_http(name, send, status, code, **answer):
    """Not HTTP as we read it: an answer, and the connection is over. It is no event."""
    return Case(name, send, [Answer(status, code, **answer)], stays=False)


def taken(name, send, mates=1, **more):
    """What looks odd and is good: it shows that the neighbouring refusal is not too wide."""
    return Case(name, send, [Answer(200)], mates=mates, **more)


def leave(wire, ending):
    if ending == "half":
        wire.end()
    elif ending == "reset":
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.socket.close()
    else:
        wire.socket.close()


def run_case(shop, case):
    user = "same-connection"
    shop.neighbours_go_on()
    with Wire(shop.http) as wire:
        shop.good(wire, user)
        wire.send(case.send)
        if case.ending in ("close", "reset"):
            leave(wire, case.ending)
        else:
            if case.ending:
                leave(wire, case.ending)
            for answer in case.answers:
                headers = wire.expect(answer)
                if case.stays:
                    assert headers["connection"] == "keep-alive", headers
            if not case.stays:
                wire.expect_end()
            else:
                shop.good(wire, user)
    for code in case.rejected:
        shop.count("rejected", code=code)
    for outcome, count in case.other.items():
        shop.count(outcome, count)
    if case.mates:
        shop.counted(MATE, case.mates)
    shop.neighbours_go_on()
    shop.expect_counts()
