#!/usr/bin/env python3
"""without_io_uring.py PROGRAM [ARGUMENT…]: runs a program where io_uring is refused, as containers'
default seccomp profiles do it: its three system calls fail with EPERM, for the program and all that
it starts."""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7fff0000
SECCOMP_RET_ERRNO = 0x00050000
EPERM = 1
AUDIT_ARCH = {"x86_64": 0xc000003e, "aarch64": 0xc00000b7}[platform.machine()]
IO_URING_SETUP, IO_URING_REGISTER = 425, 427  # and enter between them, on every architecture

LOAD, JUMP_IF_EQUAL, JUMP_IF_GREATER_OR_EQUAL, JUMP_IF_GREATER, RETURN = 0x20, 0x15, 0x35, 0x25, 0x06


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def refuse_io_uring():
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in (
        (LOAD, 0, 0, 4),  # the architecture
        (JUMP_IF_EQUAL, 0, 4, AUDIT_ARCH),
        (LOAD, 0, 0, 0),  # the call's number
        (JUMP_IF_GREATER_OR_EQUAL, 0, 2, IO_URING_SETUP),
        (JUMP_IF_GREATER, 1, 0, IO_URING_REGISTER),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | EPERM),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW)))
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0):
        raise OSError(ctypes.get_errno(), "install the filter")
    if libc.syscall(IO_URING_SETUP, 1, None) != -1 or ctypes.get_errno() != EPERM:
        raise OSError(0, "the filter lets io_uring pass")


if __name__ == "__main__":
    refuse_io_uring()
    os.execv(sys.argv[1], sys.argv[1:])
