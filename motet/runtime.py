"""The machine: threads, memory, seeds, and what to say of it."""

import contextlib
import ctypes
import os
import platform
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar, cast

import numpy as np
import torch

Item = TypeVar("Item")
Made = TypeVar("Made")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(threads: int = 0) -> int:
    """Give torch that many threads, 0 for one per core; the number in use comes back, to be logged."""
    _keep_memory()
    torch.set_num_threads(threads or cores())
    return torch.get_num_threads()


def in_threads(work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """`work` on every item, in their order, by as many threads as torch has; each computes on one.

    Threads that share nothing do not wait for each other, as those inside one operation do. An item is made when a
    thread takes it, so that no more of them exist than threads.
    """
    threads, source, taking = torch.get_num_threads(), enumerate(items), Lock()
    made: dict[int, Made] = {}

    def take() -> None:
        torch.set_num_threads(1)
        while True:
            with taking:
                place, item = next(source, (-1, None))
            if place < 0:
                return
            made[place] = work(cast(Item, item))

    if threads == 1:
        return [work(item) for _, item in source]
    try:
        with ThreadPoolExecutor(threads) as pool:
            for running in [pool.submit(take) for _ in range(threads)]:
                running.result()
    finally:
        torch.set_num_threads(threads)
    return [made[place] for place in range(len(made))]


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """Processes that are spawned meanwhile do not run the script again that called us.

    They would, to find what it defines, and a script without `if __name__ == "__main__"` would start all over in each.
    """
    main, names = sys.modules["__main__"], ("__file__", "__spec__")
    kept = {name: getattr(main, name) for name in names if hasattr(main, name)}
    try:
        for name in kept:
            setattr(main, name, None)
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _keep_memory() -> None:
    """Large blocks that were freed stay with the process (glibc): asking for them again costs page faults."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: only blocks beyond 1 GB are mapped for themselves
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: give nothing back before 2 GB are free


def give_back() -> None:
    """What was freed goes back to the system (glibc), that of threads that have ended too.

    For work in parts that are large: freed blocks that each part's threads leave behind would add up.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


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
