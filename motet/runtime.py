"""The machine: threads, device, seeds, peak memory."""

import os
import platform
import random
import resource
import sys

import numpy as np
import torch


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(threads: int = 0) -> int:
    """Give torch that many threads, 0 for one per core; the number in use comes back, to be logged."""
    torch.set_num_threads(threads or cores())
    return torch.get_num_threads()


def device(name: str = "auto") -> torch.device:
    """`cpu`, `cuda`, or the best there is."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """One seed for Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries that draw from the global generator
    torch.manual_seed(seed)


def peak_rss_mb() -> float:
    """The largest resident memory this process has had, in megabytes."""
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
