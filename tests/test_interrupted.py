"""Full disks and kills: nothing half done is left, and the same command goes on to the same result."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from command import contents, done, in_process, refused

from motet.data.dataset import Dataset
from motet.train import checkpoint

DIE = "import os, signal\ndie = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
KILL_PREPARE = DIE + "import motet.data.prepare as stage\nstage.{name} = die\n"
KILL_TRAIN = (
    DIE
    + """
from motet.data.dataset import Dataset
batch, calls = Dataset.batch, []
def counted(self, rows):
    calls.append(0)
    return die() if len(calls) == {at} else batch(self, rows)
Dataset.batch = counted
"""
)


def test_a_full_disk_is_told_and_the_same_command_goes_on_after_it(folder: Path, monkeypatch: Any) -> None:
    where = ("--prepared", folder / "new", "--run", folder / "new-run")
    commands = [
        ("init", folder / "log.csv", folder / "items.csv", "-o", folder / "new.toml"),
        ("prepare", folder / "motet.toml", "--prepared", folder / "new"),
        ("train", folder / "motet.toml", *where, "--set", "train.checkpoint_every=2"),
        ("evaluate", folder / "new-run"),
    ]
    for command in commands:
        before = contents(folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _full)
            said = refused(*command)
        assert said.startswith("error ")
        assert "the disk is full" in said
        assert {name: mark for name, mark in contents(folder).items() if ".controls" not in name} == before
        done(*command)
    assert json.loads((folder / "new-run" / "report.json").read_text())["run"] == "new-run"


def test_a_disk_that_fills_up_in_the_middle_of_training_leaves_the_last_checkpoint(
    folder: Path, monkeypatch: Any
) -> None:
    command = ("train", folder / "motet.toml", "--prepared", folder / "prepared", "--set", "train.batch_size=16")
    command = (*command, "--set", "train.checkpoint_every=4")
    done(*command, "--run", folder / "whole")
    written: list[int] = []

    def fills_up(building: Path, state: checkpoint.Checkpoint, write: Any = checkpoint._write) -> None:
        if len(written) == 2:
            (building / "weights.safetensors").write_bytes(b"half")
            _full(0)
        write(building, state)
        written.append(state.step)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", fills_up)
        assert "the disk is full" in refused(*command, "--run", folder / "part")
    assert [path.name for path in (folder / "part" / "checkpoint").iterdir()] == [f"step-{written[-1]:08d}"]
    done(*command, "--run", folder / "part")
    assert contents(folder / "part")["model.safetensors"] == contents(folder / "whole")["model.safetensors"]


def test_a_prepare_that_is_killed_leaves_no_half_folder_and_runs_again(folder: Path) -> None:
    command = ("prepare", folder / "motet.toml", "--prepared", folder / "killed")
    whole = contents(folder / "prepared")
    for name in ("log_impressions", "write_arrays"):
        assert in_process(KILL_PREPARE.format(name=name), *command).returncode == -9
        assert not (folder / "killed").exists()
    done(*command)
    made = contents(folder / "killed")
    assert {name: mark for name, mark in made.items() if name != "manifest.json"} == {
        name: mark for name, mark in whole.items() if name != "manifest.json"
    }
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_replacement_that_is_killed_leaves_the_old_folder_as_it_was(folder: Path) -> None:
    before = contents(folder / "prepared")
    command = (
        "prepare",
        folder / "motet.toml",
        "--prepared",
        folder / "prepared",
        "--set",
        "split.test=0.2",
        "--force",
    )
    assert in_process(KILL_PREPARE.format(name="write_arrays"), *command).returncode == -9
    assert contents(folder / "prepared") == before
    done("prepare", folder / "motet.toml", "--prepared", folder / "prepared")


def test_a_training_that_is_killed_twice_ends_with_the_very_same_weights(folder: Path) -> None:
    small_steps = ("train.batch_size=8", "train.epochs=2", "train.checkpoint_every=7", "evaluate.seeds=2")
    settings = [part for setting in small_steps for part in ("--set", setting)]
    command = ("train", folder / "motet.toml", "--prepared", folder / "prepared", *settings)
    done(*command, "--run", folder / "whole")
    reached = [0]
    for at in (24, 31):
        killed = in_process(KILL_TRAIN.format(at=at), *command, "--run", folder / "part")
        assert killed.returncode == -9, killed.stderr
        assert not (folder / "part" / "run.json").exists()
        assert "this run is not finished" in refused("evaluate", folder / "part")
        (step,) = (folder / "part" / "checkpoint").glob("step-*")
        reached.append(int(step.name.removeprefix("step-")))
    assert reached == sorted(set(reached)), "it began again instead of going on"
    done(*command, "--run", folder / "part")
    whole, part = contents(folder / "whole"), contents(folder / "part")
    same = ("model.safetensors", "calibration.json", "config.toml")
    assert {name: part[name] for name in same} == {name: whole[name] for name in same}
    steps = [json.loads(line)["step"] for line in (folder / "part" / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_a_training_in_stages_that_is_killed_in_each_of_them_ends_with_the_very_same_weights(
    folder: Path, monkeypatch: Any
) -> None:
    settings = ("--preset", "lstm-weighted", "--set", "train.epochs=2", "--set", "train.checkpoint_every=3")
    command = ("train", folder / "motet.toml", "--prepared", folder / "prepared", *settings)
    batches, batch = [0], Dataset.batch
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "batch", lambda self, rows: batches.append(0) or batch(self, rows))
        done(*command, "--run", folder / "whole")
    for share in (0.5, 0.3):  # in the second kind, then in the weights
        killed = in_process(KILL_TRAIN.format(at=int(share * len(batches))), *command, "--run", folder / "part")
        assert killed.returncode == -9, killed.stderr
    assert {path.parts[-3] for path in (folder / "part").rglob("step-*")} == {"1", "2", "part"}
    done(*command, "--run", folder / "part")
    whole, part = contents(folder / "whole"), contents(folder / "part")
    same = ("model.safetensors", "calibration.json", "config.toml")
    assert {name: part[name] for name in same} == {name: whole[name] for name in same}


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
