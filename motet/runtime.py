"""The machine: threads, memory, seeds, and what to say of it."""

import contextlib
import ctypes
import os
import platform
import random
import sys

import numpy as np
import torch


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(threads: int = 0) -> int:
    """Give torch that many threads, 0 for one per core; the number in use comes back, to be logged."""
    _keep_memory()
    torch.set_num_threads(threads or cores())
    return torch.get_num_threads()


def _keep_memory() -> None:
    """Large blocks that were freed stay with the process (glibc): asking for them again costs page faults."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: only blocks beyond 1 GB are mapped for themselves
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: give nothing back before 2 GB are free


def seed_everything(seed: int) -> None:
    """One seed for Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries that draw from the global generator
    torch.manual_seed(seed)


def peak_rss_mb() -> float:
    """The largest resident memory this process has had, in megabytes; 0 where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def machine() -> dict[str, str | int]:
    """What a measured figure depends on."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": cores(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }
