"""A run that was killed, interrupted or ran out of disk ends where an undisturbed one ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from squeezing import options

from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.distil import Distillation
from sqz_nlu.squeeze.run import CHECKPOINT, RECORD, squeeze

LONG = {"tokens": 9000}


@pytest.fixture(scope="module")
def undisturbed(teacher: Path, plain_text: Path, tmp_path_factory) -> Path:
    return squeeze(options(teacher, plain_text, tmp_path_factory.mktemp("whole"), **LONG), progress=False)


def assert_same_result(folder: Path, undisturbed: Path) -> None:
    expected, seen = (load_file(place / "model.safetensors") for place in (undisturbed, folder))
    assert all(torch.equal(expected[name], seen[name]) for name in expected)
    records = [json.loads((place / RECORD).read_text()) for place in (undisturbed, folder)]
    assert records[0]["history"] == records[1]["history"]
    assert not (folder / CHECKPOINT).exists()


def test_killed_on_the_command_line_it_goes_on(
    teacher: Path, plain_text: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = options(teacher, plain_text, tmp_path / "killed", **LONG)
    words = [sys.executable, "-m", "sqz_nlu.cli", "squeeze", "--teacher", teacher, "--corpus", plain_text]
    words += ["--out", run.out, "--checkpoint-minutes", 0]
    for name in ("layers", "tokens", "batch_tokens", "max_length", "learning_rate"):
        words += [f"--{name.replace('_', '-')}", getattr(run, name)]
    process = subprocess.Popen([str(word) for word in words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (run.out / CHECKPOINT).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (run.out / "model.safetensors").exists()
    half_way = Distillation(run)
    half_way.restore(run.out / CHECKPOINT)
    assert 0 < half_way.step < len(half_way.batches)
    assert_same_result(squeeze(run, progress=False), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_a_whole_step(
    teacher: Path, plain_text: Path, undisturbed: Path, tmp_path: Path, monkeypatch, number
) -> None:
    run = options(teacher, plain_text, tmp_path / "out", **LONG)
    advance, handler = Distillation.advance, signal.getsignal(number)

    def interrupted(self: Distillation) -> None:
        if self.step == 20:
            signal.raise_signal(number)  # in the midst of a step
        advance(self)

    with monkeypatch.context() as patched:
        patched.setattr(Distillation, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            squeeze(run, progress=False)
    assert signal.getsignal(number) is handler
    half_way = Distillation(run)
    half_way.restore(run.out / CHECKPOINT)
    assert half_way.step == 21
    assert_same_result(squeeze(run, progress=False), undisturbed)


@contextmanager
def _full_disk(most_bytes: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_previous_checkpoint(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    run = Distillation(options(teacher, corpus, tmp_path))
    run.save(tmp_path / CHECKPOINT)
    before = (tmp_path / CHECKPOINT).read_bytes()
    run.advance()
    with (
        _full_disk(20_000),
        pytest.raises(SqueezeError, match=r"could not be written .*Free some disk"),
    ):
        run.save(tmp_path / CHECKPOINT)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_disk_full_at_the_end_loses_no_training(
    teacher: Path, plain_text: Path, undisturbed: Path, tmp_path: Path, monkeypatch
) -> None:
    run = options(teacher, plain_text, tmp_path / "out", **LONG)
    save = Distillation.save

    def save_then_full(self: Distillation, path: Path) -> None:
        save(self, path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    with monkeypatch.context() as patched, _full_disk(unlimited):
        patched.setattr(Distillation, "save", save_then_full)
        with pytest.raises(SqueezeError, match="the training is done and is not repeated"):
            squeeze(run, progress=False)
    monkeypatch.setattr(Distillation, "advance", None)  # not a single step more
    assert_same_result(squeeze(run, progress=False), undisturbed)


def test_other_text_under_the_same_name_is_refused(teacher: Path, plain_text: Path, tmp_path: Path) -> None:
    text = tmp_path / "mine.txt"
    text.write_text(plain_text.read_text())
    run = options(teacher, text, tmp_path / "out")
    run.out.mkdir()
    Distillation(run).save(run.out / CHECKPOINT)
    text.write_text(plain_text.read_text() + "\nhello paris\n")
    with pytest.raises(SqueezeError, match="text has changed"):
        squeeze(run, progress=False)
