"""What a run writes beside the weights."""

from __future__ import annotations

import itertools
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from squeezing import options

from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import OptionError, SqueezeError
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.squeeze.distil import Distillation
from sqz_nlu.squeeze.probe import read_tasks
from sqz_nlu.squeeze.run import squeeze

INTENTS = {"light": "turn {} the {} light", "fly": "fly from {} to {}"}
FILLERS = [("on", "kitchen"), ("off", "garden"), ("paris", "london"), ("london", "paris"), ("a", "b")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data set with few examples, one with a whole training part, and a folder without one."""
    folder = tmp_path_factory.mktemp("data")
    examples = [
        json.dumps({"text": pattern.format(*filler), "intent": intent})
        for filler in FILLERS
        for intent, pattern in INTENTS.items()
    ]
    for name in ("few", "many"):
        (folder / name).mkdir()
        (folder / name / "test.jsonl").write_text("\n".join(examples[4:]) + "\n")
    (folder / "few" / "train_5shot.jsonl").write_text("\n".join(examples[:4]) + "\n")
    (folder / "few" / "train.jsonl").write_text("nothing that is read")
    (folder / "many" / "train.jsonl").write_text("\n".join(examples[:4]) + "\n")
    (folder / "empty").mkdir()
    return folder


def test_record_card_bundle_and_events(teacher: Path, plain_text: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    extras = {"eval": data, "bundle": tmp_path / "bundle", "tensorboard": tmp_path / "board"}
    run = options(teacher, plain_text, tmp_path / "mine", tokens=3000, **extras)
    out = squeeze(run, progress=False)
    record = json.loads((out / "squeeze.json").read_text())
    assert record["machine"]["processes"] == 1
    assert record["teacher"] == {"language": "en", "license": "apache-2.0"}
    probe = record["probe"]
    assert [(cell["data"], cell["shots"]) for cell in probe["cells"]] == [("few", "5"), ("many", "full")]
    for name in ("int8", "float", "teacher"):
        figures = [cell[name] for cell in probe["cells"]]
        assert probe[f"mean_{name}"] == pytest.approx(np.mean(figures), abs=0.01)
        assert min(figures) > 50  # the two intents share no pattern
    assert probe["share_of_teacher"] == pytest.approx(probe["mean_int8"] / probe["mean_teacher"], abs=1e-4)
    card = (out / "README.md").read_text()
    assert find_encoder(out).language() == "en"
    for part in ("2 layers, 32 wide, 4 heads, 4 groups (1 after attention)", "| mine.txt | 300 |"):
        assert part in card
    for part in (f"{record['tokens']:,} tokens", "apache-2.0", "| few | 5 |", "up to 24 tokens"):
        assert part in card
    assert str(teacher.parent) not in card
    bundle = Interpreter.load(tmp_path / "bundle")
    assert bundle.manifest["language"] == "en"
    assert bundle.embed(["turn on the light"]).shape == (1, 32)
    scalars = _scalars(tmp_path / "board" / "mine" / "squeeze")
    history = [point["pooled"] for point in record["history"]]
    assert [value for _, value in scalars["pooled"]] == pytest.approx(history, abs=1e-5)
    assert scalars["pooled"][-1][0] == record["steps"]
    assert {"layer_1", "layer_2", "layers", "learning_rate", "tokens_per_second"} <= set(scalars)


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Reads event files without tensorboard's own reader, which imports TensorFlow where it is installed."""
    from tensorboard.compat.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    for file in folder.iterdir():
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)  # then a checksum, the event, a checksum
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_progress_shows_speed_losses_and_time_left(
    teacher: Path, corpus: Path, tmp_path: Path, capsys
) -> None:
    squeeze(options(teacher, corpus, tmp_path / "out", tokens=2000))
    last = capsys.readouterr().err.rstrip().rpartition("\r")[2]
    for part in ("100%", "tok/s", "layers=", "pooled=", "<00:00"):
        assert part in last


def test_precision(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    weights = {}
    for precision in ("auto", "float32", "bfloat16"):
        run = Distillation(options(teacher, corpus, tmp_path, tokens=600, precision=precision))
        for _ in range(3):
            run.advance()
        weights[precision] = torch.cat([parameter.detach().flatten() for parameter in run.trained])
        assert weights[precision].dtype == torch.float32
    for one, other in itertools.combinations(weights.values(), 2):
        assert not torch.equal(one, other)
        assert torch.cosine_similarity(one, other, dim=0) > 0.95
    with pytest.raises(SqueezeError, match="precision is 'half'"):
        options(teacher, corpus, tmp_path, precision="half")


def test_missing_packages_are_noticed_before_training(
    teacher: Path, corpus: Path, data: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Distillation, "advance", None)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(OptionError, match="--tensorboard is set, but the package tensorboard is not inst"):
        squeeze(options(teacher, corpus, tmp_path, tensorboard=tmp_path / "board"), progress=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(SqueezeError, match="scikit-learn, which is not installed"):
        squeeze(options(teacher, corpus, tmp_path, eval=data), progress=False)


def test_data_of_the_probe_is_checked_before_training(data: Path, tmp_path: Path) -> None:
    assert [task.data for task in read_tasks(data / "many")] == ["many"]
    (tmp_path / "test.jsonl").write_text('{"text": "a", "intent": "b"}\n')
    (tmp_path / "train.jsonl").write_text('{"text": "a", "intent": "b"}\n\n{"text": "c"}\n')
    with pytest.raises(SqueezeError, match=r"Line 3 of .*train.jsonl is no example \(KeyError\('intent'\)\)"):
        read_tasks(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"text": "a", "intent": "b"}\n')
    with pytest.raises(SqueezeError, match="has 1 intents"):
        read_tasks(tmp_path)
    with pytest.raises(SqueezeError, match="has no data set"):
        read_tasks(data / "empty")
