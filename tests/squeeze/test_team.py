"""Several processes compute what one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from squeezing import options

from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.distil import Distillation
from sqz_nlu.squeeze.losses import BatchSize, distillation_losses, moments, variances
from sqz_nlu.squeeze.run import squeeze
from sqz_nlu.squeeze.team import Team


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shares_add_up_to_the_whole_batch(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([3, 7, 7, 8, 9])
    mask = (torch.arange(9) < lengths[:, None]).long()
    teacher, weights = torch.randn(2, 5, 9, 8, generator=generator), torch.randn(8, 8, generator=generator)
    student = torch.randn(2, 5, 9, 8, generator=generator)
    whole, values = BatchSize(int(lengths.sum()), 5), int(lengths.sum()) * 8

    def computed(rows: slice, variance: torch.Tensor) -> list[torch.Tensor]:
        trained = weights.clone().requires_grad_()
        states = [layer[rows] @ trained for layer in student]
        losses = distillation_losses(states, [layer[rows] for layer in teacher], mask[rows], variance, whole)
        losses.total(2.0).backward()
        return [losses.layers.detach(), losses.pooled.detach(), trained.grad]

    shares = [slice(rank, None, size) for rank in range(size)]
    sums = sum(moments([layer[rows] for layer in teacher], mask[rows]) for rows in shares)
    variance = variances(sums, values)
    real = mask.bool()
    assert torch.allclose(variance, torch.stack([layer[real].var() for layer in teacher]))
    parts = [computed(rows, variance) for rows in shares]
    for expected, *pieces in zip(computed(slice(None), variance), *parts, strict=True):
        assert torch.allclose(torch.stack(pieces).sum(0), expected, atol=1e-5)
    errors = [
        (layer @ weights - target)[real].square().mean()
        for layer, target in zip(student, teacher, strict=True)
    ]
    assert torch.allclose(computed(slice(None), variance)[0], torch.stack(errors) / variance, rtol=1e-4)


def test_a_process_without_a_share_takes_part(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    class Second(Team):
        def add(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.add_(1.0)

    run = Distillation(options(teacher, corpus, tmp_path), Second(299, 300))
    before = [parameter.clone() for parameter in run.trained]
    run.advance()  # its batch has no 300 sentences
    assert all(torch.equal(p.grad, torch.full_like(p, p.grad.flatten()[0])) for p in run.trained)
    assert not any(torch.equal(*pair) for pair in zip(before, run.trained, strict=True))


def test_fewer_sentences_than_processes(teacher: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("turn on the light\n")
    with pytest.raises(SqueezeError, match="has 1 sentences for 2 processes"):
        Distillation(options(teacher, text, tmp_path), Team(0, 2))


def test_more_processes_than_gpus(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SqueezeError, match="at least 2 processes on a machine with 1 GPUs"):
        Team.join("cuda")


def _torchrun(teacher: Path, text: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    words += ["-m", "sqz_nlu.cli", "squeeze", "--teacher", str(teacher), "--corpus", str(text)]
    words += ["--out", str(out), "--layers", "2", "--tokens", "3000", "--batch-tokens", "120"]
    words += ["--max-length", "24", "--learning-rate", "5e-3", "--precision", "float32", "--device", "cpu"]
    return subprocess.run(words, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives(teacher: Path, plain_text: Path, tmp_path: Path) -> None:
    settings = {"tokens": 3000, "precision": "float32", "device": "cpu"}
    alone = squeeze(options(teacher, plain_text, tmp_path / "alone", **settings), progress=False)
    out = tmp_path / "together"
    done = _torchrun(teacher, plain_text, out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(out)]  # the first process alone speaks
    expected, seen = (load_file(folder / "model.safetensors") for folder in (alone, out))
    for name in expected:
        assert torch.allclose(seen[name], expected[name], atol=2e-4), name
    records = [json.loads((folder / "squeeze.json").read_text()) for folder in (alone, out)]
    assert records[1]["machine"]["processes"] == 2
    for one, two in zip(records[0]["history"], records[1]["history"], strict=True):
        assert two["tokens"] == one["tokens"]
        assert two["layers"] == pytest.approx(one["layers"], abs=1e-3)
        assert two["pooled"] == pytest.approx(one["pooled"], abs=1e-3)


@pytest.mark.slow
def test_an_error_under_torchrun_is_said_once(teacher: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("turn on the light\n")
    done = _torchrun(teacher, text, tmp_path / "out")
    assert done.returncode != 0
    assert done.stderr.count("has 1 sentences for 2 processes") == 1
    assert "SqueezeError" not in done.stderr
