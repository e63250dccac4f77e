"""A renderer in a storm: a process that reads the users of all producers on and on, and keeps what was
wrong. A profile is torn when its sums, counts and total don't tell of one and the same set of events; it
went back when an event, or a sequence, that it had shown is no longer there. A new incarnation begins
empty, and shows itself while it reads back what is stored: so a renderer that has attached again begins
anew (what is really lost is for the ledger to tell)."""

import ctypes
import os
import random

from appliance import BIN
from storm_events import BITS_PER_LANE, LANES, OPEN_USERS

DEJA_OK, DEJA_ABSENT, DEJA_UNKNOWN, DEJA_BUSY, DEJA_STALE = range(5)
FEATURES = ("hits", "hits_1d", "total", *(f"bits_{lane}" for lane in range(LANES)))


class Key(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char_p), ("size", ctypes.c_uint32), ("space", ctypes.c_uint32)]


class Renderer:
    """libdeja as any language has it; attaches again when an incarnation has ended."""

    def __init__(self, name, directory):
        lib = self.lib = ctypes.CDLL(str(BIN.parent / "lib/libdeja.so"))
        for name_, result in (("profile_bytes", ctypes.c_size_t), ("sequence", ctypes.c_uint64),
                              ("incarnation", ctypes.c_uint64), ("now_us", ctypes.c_int64)):
            getattr(lib, f"deja_{name_}").restype = result
        for name_ in ("profile_bytes", "sequence", "incarnation", "reattach"):
            getattr(lib, f"deja_{name_}").argtypes = [ctypes.c_void_p]
        lib.deja_get.argtypes = [ctypes.c_void_p, Key, ctypes.c_void_p]
        lib.deja_number.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32,
                                    ctypes.c_int64, ctypes.POINTER(ctypes.c_double)]
        self.shop = ctypes.c_void_p()
        status = lib.deja_open(name.encode(), str(directory).encode(), ctypes.byref(self.shop))
        assert status == DEJA_OK, status
        self.look_up()

    def look_up(self):
        self.profile = (ctypes.c_uint64 * ((self.lib.deja_profile_bytes(self.shop) + 7) // 8))()
        self.incarnation = self.lib.deja_incarnation(self.shop)
        self.features = []
        for feature in FEATURES:
            number = ctypes.c_uint32()
            assert self.lib.deja_feature_find(self.shop, feature.encode(),
                                              ctypes.byref(number)) == DEJA_OK
            self.features.append(number.value)

    def reattach(self):
        """Its status; once it is DEJA_OK everything is looked up again."""
        status = self.lib.deja_reattach(self.shop)
        if status == DEJA_OK:
            self.look_up()
        return status

    def get(self, user):
        """(status, sequence, values in the order of FEATURES)"""
        key = user.encode()
        status = self.lib.deja_get(self.shop, Key(key, len(key), 0), self.profile)
        if status != DEJA_OK:
            return status, 0, None
        now = self.lib.deja_now_us()
        values = []
        value = ctypes.c_double()
        for number in self.features:
            assert self.lib.deja_number(self.shop, self.profile, number, now,
                                        ctypes.byref(value)) == DEJA_OK
            values.append(int(value.value))
        return status, self.lib.deja_sequence(self.profile), values


def events_in(lanes):
    """The set of events that the sums tell of, as one number with a bit each; None where a sum is none."""
    mask = 0
    for lane, bits in enumerate(lanes):
        if bits >> BITS_PER_LANE or bits < 0:
            return None
        mask |= bits << lane * BITS_PER_LANE
    return mask


def total_of(mask):
    return sum(at + 1 for at in range(mask.bit_length()) if mask >> at & 1)


class Watch:
    """What one reader has seen of everybody."""

    def __init__(self):
        self.users = set()  # of the incarnations before
        self.last = {}
        self.torn = []
        self.back = []
        self.other = []

    def look(self, user, sequence, values):
        hits, hits_1d, total, *lanes = values
        mask = events_in(lanes)
        if mask is None or not hits == hits_1d == mask.bit_count() or total != total_of(mask):
            self.torn.append(f"{user} at {sequence}: {dict(zip(FEATURES, values))}")
            return
        before_sequence, before = self.last.get(user, (0, 0))
        if sequence < before_sequence or before & ~mask:
            self.back.append(f"{user} went from {before_sequence}, {before:x} to {sequence}, {mask:x}")
        self.last[user] = (sequence, mask)


def read_on(name, directory, prefixes, seed, stop, report):
    """A reader's process. Reads of each producer the users that get events now, and some older ones."""
    os.nice(10)  # on two cores it would hold up the workers, who are to be met at work
    rng = random.Random(seed)
    renderer = Renderer(name, directory)
    watch = Watch()
    rounds = {prefix: 0 for prefix in prefixes}  # of users: the newest of which one is known
    counts = dict(reads=0, busy=0, stale=0, incarnations=1)
    while not stop.is_set():
        for prefix in prefixes:
            newest = rounds[prefix]
            users = [newest * OPEN_USERS + slot for slot in range(OPEN_USERS)]
            users += [(newest + 1) * OPEN_USERS, rng.randrange(users[-1] + 1)]
            for number in users:
                status, sequence, values = renderer.get(f"{prefix}-{number}")
                counts["reads"] += 1
                if status == DEJA_OK:
                    watch.look(f"{prefix}-{number}", sequence, values)
                    rounds[prefix] = max(rounds[prefix], number // OPEN_USERS)
                elif status == DEJA_BUSY:
                    counts["busy"] += 1
                elif status == DEJA_UNKNOWN:
                    if f"{prefix}-{number}" in watch.last:
                        watch.back.append(f"{prefix}-{number} was there and is unknown")
                elif status == DEJA_STALE:
                    counts["stale"] += 1
                    before = renderer.incarnation
                    while (status := renderer.reattach()) == DEJA_ABSENT and not stop.wait(0.005):
                        pass
                    if status == DEJA_OK:
                        counts["incarnations"] += 1
                        watch.users |= set(watch.last)
                        watch.last.clear()
                        if renderer.incarnation <= before:
                            watch.other.append(f"stale, and {before} is followed by "
                                               f"{renderer.incarnation}")
                    elif not stop.is_set():
                        watch.other.append(f"attaching again: status {status}")
                else:
                    watch.other.append(f"status {status}")
        if len(watch.torn) + len(watch.back) + len(watch.other) > 20:
            break
    report.put({**counts, "users": len(watch.users | set(watch.last)), "torn": watch.torn, "back": watch.back,
                "other": watch.other})
