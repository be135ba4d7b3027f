"""Memory that a command has freed goes back to the system at once."""

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""What glibc's malloc.h calls M_MMAP_THRESHOLD."""


def give_back_what_is_freed() -> None:
    """Have glibc return blocks of 128 KB and more as soon as they are freed, for the rest of the process.

    It begins so, but each block that is freed raises that bound to its size, up to 32 MB, and each thread keeps twice as
    much. Two threads that had counted 934 MB of text held 102 MB of no use while merging took place. Other C libraries are
    left alone, and so are programs that import minbpe: the bound is the whole process's.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_MMAP_THRESHOLD, 128 << 10)
