"""Free memory that is at hand: it belongs to this machine, was used a moment ago, and stays where it is.

A virtual machine's host may take back what lies free, in pieces of some size: of 128 KiB and more where this was
measured, of 2 MiB and more by Linux's default. Who gets such a page next waits until the host has found one: 2.9 ns a
byte where one at hand takes 0.22. Which server that meets is chance.
"""

import contextlib
import mmap
import os

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BLOCK = bytes(1 << 20)
# Of so many pages one is kept, and the others make no piece that is taken back.
PIECE_PAGES = 32


@contextlib.contextmanager
def at_hand(size):
    """Has `size` bytes, or half of what is free if that is less, free and at hand."""
    free = os.sysconf("SC_AVPHYS_PAGES") * PAGE_BYTES
    blocks = int(min(size, free / 2)) // len(BLOCK)
    with open(os.memfd_create("keytide-compare"), "wb+", buffering=0) as file:
        for _ in range(blocks):
            file.write(BLOCK)
        if blocks:
            with mmap.mmap(file.fileno(), blocks * len(BLOCK)) as pages:
                piece = PIECE_PAGES * PAGE_BYTES
                for start in range(0, len(pages), piece):
                    pages.madvise(mmap.MADV_REMOVE, start + PAGE_BYTES, piece - PAGE_BYTES)
        yield


def lists_fraction():
    """Which part of the memory a CPU's own lists of free pages may hold at the most: 1/this; 0: the system decides."""
    try:
        with open("/proc/sys/vm/percpu_pagelist_high_fraction", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return "?"
