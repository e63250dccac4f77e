"""A renderer for tests: libdeja as any language has it, and a process that reads on while an appliance
is ill-treated and keeps what was wrong. Its config has the features `views`, `twice` and `again`, where
every event counts as one view with n = 2."""

import ctypes
import os

from appliance import BIN

DEJA_OK, DEJA_UNKNOWN, DEJA_BUSY, DEJA_STALE = 0, 2, 3, 4
FEATURES = ("views", "twice", "again")


class Key(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char_p), ("size", ctypes.c_uint32), ("space", ctypes.c_uint32)]


class Renderer:
    """libdeja as any language has it: the shared library, opened by name."""

    def __init__(self, name, directory):
        self.lib = ctypes.CDLL(str(BIN.parent / "lib/libdeja.so"))
        self.lib.deja_profile_bytes.restype = ctypes.c_size_t
        self.lib.deja_sequence.restype = ctypes.c_uint64
        self.lib.deja_now_us.restype = ctypes.c_int64
        self.lib.deja_get.argtypes = [ctypes.c_void_p, Key, ctypes.c_void_p]
        self.lib.deja_sequence.argtypes = [ctypes.c_void_p]
        self.lib.deja_number.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32,
                                         ctypes.c_int64, ctypes.POINTER(ctypes.c_double)]
        self.shop = ctypes.c_void_p()
        status = self.lib.deja_open(name.encode(), str(directory).encode(),
                                    ctypes.byref(self.shop))
        assert status == DEJA_OK, status
        self.lib.deja_profile_bytes.argtypes = [ctypes.c_void_p]
        bytes_ = self.lib.deja_profile_bytes(self.shop)
        self.profile = (ctypes.c_uint64 * ((bytes_ + 7) // 8))()
        self.features = {}
        for feature in FEATURES:
            number = ctypes.c_uint32()
            found = self.lib.deja_feature_find(self.shop, feature.encode(), ctypes.byref(number))
            assert found == DEJA_OK
            self.features[feature] = number.value

    def get(self, user):
        """(status, sequence, views, twice, again)"""
        key = user.encode()
        status = self.lib.deja_get(self.shop, Key(key, len(key), 0), self.profile)
        if status != DEJA_OK:
            return status, 0, 0, 0, 0
        now = self.lib.deja_now_us()
        values = []
        for number in self.features.values():
            value = ctypes.c_double()
            assert self.lib.deja_number(self.shop, self.profile, number, now,
                                        ctypes.byref(value)) == DEJA_OK
            values.append(int(value.value))
        return status, self.lib.deja_sequence(self.profile), *values


def read_on(name, directory, users, stop, report, attaches_again=False):
    """A renderer's process: looks at everybody as fast as it can and keeps what was wrong. A segment that
    has ended is wrong too, unless it `attaches_again` then, as a renderer should."""
    os.nice(10)  # on two cores it would hold up the workers, who are to be met at work
    renderer = Renderer(name, directory)
    last = {}
    wrong = []
    reads = busy = attached = 0
    while not stop.is_set() and not wrong:
        for user in users:
            status, sequence, views, twice, again = renderer.get(user)
            reads += 1
            if status == DEJA_BUSY:
                busy += 1
            elif status == DEJA_UNKNOWN:
                if user in last:
                    wrong.append(f"{user} was there with {last[user]} and is unknown now")
            elif status == DEJA_STALE and attaches_again:
                try:
                    renderer = Renderer(name, directory)
                except AssertionError as refused:
                    wrong.append(f"attaching again gave {refused}")
                attached += 1
                last = {user: (0, views) for user, (_, views) in last.items()}
            elif status != DEJA_OK:
                wrong.append(f"status {status}")
            else:
                before = last.get(user, (0, 0))
                if twice != 2 * views or again != views:
                    wrong.append(f"{user} is torn: {views} views, {twice} twice, {again} again")
                if (sequence, views) < before or views < before[1]:
                    wrong.append(f"{user} went from {before} to {(sequence, views)}")
                last[user] = (sequence, views)
    report.put({"reads": reads, "busy": busy, "attached": attached, "users": len(last), "wrong": wrong})
