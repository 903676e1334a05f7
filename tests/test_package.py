"""What importing the package does before anything else."""

import os
import subprocess
import sys

import pytest

TOLD = "import motet, os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_waiting_threads_sleep_soon_unless_the_environment_says_otherwise(given: dict[str, str], told: str) -> None:
    known = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    answer = subprocess.run([sys.executable, "-c", TOLD], env=known | given, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == told
