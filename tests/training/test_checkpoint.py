from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import annotated

from sqz_nlu import Interpreter
from sqz_nlu.encoder.load import load_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import BundleError, CheckpointError
from sqz_nlu.fit import fit
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.training.checkpoint import Checkpoint, digest, trained_weights
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.schedule import new_optimizer

NEW = [
    annotated("music in the <kitchen|room> now", "turn_on"),
    annotated("move the music to the <bedroom|room>", "turn_on"),
    annotated("paris off bye", "bye"),
    annotated("music bye", "bye"),
]


def accuracy(bundle: Path, examples) -> float:
    interpreter = Interpreter.load(bundle)
    return sum(interpreter.parse(e.text).intent.name == e.intent for e in examples) / len(examples)


@pytest.fixture
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.read(tiny_checkpoint)


def test_matrices_are_halves_and_what_half_cannot_hold_stays(checkpoint: Checkpoint, tmp_path: Path) -> None:
    tensors = {
        "large": torch.full((2, 2), 1e5),
        "small": torch.full((2, 2), 1e-6),
        "usual": torch.full((2, 2), 0.1),
        "zero": torch.zeros(2, 2),
        "vector": torch.full((4,), 0.1),
    }
    dataclasses.replace(checkpoint, weights=tensors).save(tmp_path / "weights")
    stored = load_file(tmp_path / "weights")
    assert {name for name, value in stored.items() if value.dtype == torch.float16} == {"usual", "zero"}
    again = Checkpoint.read(tmp_path / "weights")
    assert (again.seen, again.classes, again.temperature) == (
        checkpoint.seen,
        checkpoint.classes,
        checkpoint.temperature,
    )
    for name, value in tensors.items():
        torch.testing.assert_close(again.weights[name], value, rtol=2**-11, atol=0.0)


def test_only_what_training_changes_is_kept(tiny_examples, tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=1, freeze_embeddings=True, frozen_layers=1)
    fit(tiny_examples, options, tmp_path / "bundle", checkpoint=tmp_path / "weights")
    names = set(Checkpoint.read(tmp_path / "weights").weights)
    parts = {".".join(name.split(".")[:4]) for name in names if name.startswith("encoder.")}
    assert parts == {"encoder.encoder.layers.1"}
    assert {name for name in names if not name.startswith("encoder.")} >= {"intent_head.weight"}


def test_the_embedded_encoders_weights_stay_small(checkpoint: Checkpoint, tmp_path: Path) -> None:
    labels = LabelSpace(intents=tuple(f"intent {n}" for n in range(150)), entities=("city", "date"))
    network = JointNetwork(load_encoder(find_encoder("embedded")), labels, 0.1, 0.1)
    new_optimizer(network, TrainingOptions(), 1e-3)
    weights = trained_weights(network, None)
    assert len([name for name in weights if name.startswith("encoder.encoder.layers.5.")]) > 10
    assert not [name for name in weights if "embeddings" in name]
    dataclasses.replace(checkpoint, weights=weights).save(tmp_path / "weights")
    assert (tmp_path / "weights").stat().st_size <= 16e6


def test_it_gives_back_the_network(checkpoint: Checkpoint, tiny_report, tiny_options) -> None:
    encoder = load_encoder(find_encoder(tiny_options.model))
    network = JointNetwork(encoder, tiny_report.labels, 0.0, 0.0)
    checkpoint.restore(network)
    for name, value in network.named_parameters():
        torch.testing.assert_close(value.detach(), checkpoint.weights[name], rtol=0.0, atol=0.0)


def test_fine_tuning_keeps_the_old_and_learns_the_new_twice(
    tiny_examples, tiny_options, tiny_report, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    before = accuracy(tiny_report.bundle, tiny_examples)
    assert accuracy(tiny_report.bundle, NEW) < 1.0
    options, examples = dataclasses.replace(tiny_options, epochs=8), [*tiny_examples, *NEW]
    for turn, start in (("first", tiny_checkpoint), ("second", tmp_path / "first.safetensors")):
        made = tmp_path / f"{turn}.safetensors"
        report = fit(examples, options, tmp_path / turn, checkpoint=made, continue_from=start)
        assert accuracy(report.bundle, tiny_examples) >= before
        assert accuracy(report.bundle, NEW) == 1.0
        assert {digest(example.text) for example in examples} <= Checkpoint.read(made).seen


def test_a_short_run_continues_and_keeps_the_calibration(
    tiny_examples, tiny_options, tiny_report, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    dataclasses.replace(checkpoint, temperature=1.75).save(tmp_path / "start")
    options = dataclasses.replace(tiny_options, epochs=1, learning_rate=1e-6, head_learning_rate=1e-6)
    report = fit(tiny_examples, options, tmp_path / "bundle", continue_from=tmp_path / "start")
    assert accuracy(report.bundle, tiny_examples) >= accuracy(tiny_report.bundle, tiny_examples)
    assert report.training.temperature == 1.75
    assert report.training.held_out == {}


def test_what_was_trained_on_is_never_held_out(tiny_examples, tiny_options, tmp_path: Path) -> None:
    options = dataclasses.replace(tiny_options, epochs=1, evaluate_on_number_of_examples=6)
    first = fit(tiny_examples, options, tmp_path / "a", checkpoint=tmp_path / "first")
    seen = Checkpoint.read(tmp_path / "first").seen
    held = {tiny_examples[index].text for index in first.training.never_trained_on}
    assert len(held) == 6
    assert not {digest(text) for text in held} & seen
    again = dataclasses.replace(options, random_seed=8)
    second = fit(tiny_examples, again, tmp_path / "b", continue_from=tmp_path / "first")
    assert {tiny_examples[index].text for index in second.training.never_trained_on} == held


def test_other_labels_and_another_encoder_are_refused(
    tiny_examples, tiny_options, tiny_checkpoint: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    def refuse(examples, options, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            fit(examples, options, tmp_path / "bundle", continue_from=tiny_checkpoint)
        assert not (tmp_path / "bundle").exists()

    added = [*tiny_examples, annotated("what", "ask")]
    refuse(added, tiny_options, r"intents .* \(new: ask; missing: none\)")
    refuse([e for e in tiny_examples if e.intent != "fly"], tiny_options, "missing: fly")
    plain = dataclasses.replace(tiny_options, bilou_flag=False)
    refuse(tiny_examples, plain, "entity tags .* missing: B-city")
    other = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    with (other / "tokenizer.json").open("a") as file:
        file.write("\n")
    refuse(tiny_examples, dataclasses.replace(tiny_options, model=str(other)), "started from the encoder")


def test_missing_damaged_and_foreign_files_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="persist_trainable_weights"):
        Checkpoint.read(tmp_path / "nothing")
    content = tiny_checkpoint.read_bytes()
    for damaged in (b"", content[:100], content[:-10], b"\xff" * 64):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="cannot be read"):
            Checkpoint.read(tmp_path / "damaged")
    (tmp_path / "newer").write_bytes(content.replace(b'{\\"format\\": 1', b'{\\"format\\": 2'))
    with pytest.raises(CheckpointError, match="have format 2"):
        Checkpoint.read(tmp_path / "newer")


def test_a_file_that_cannot_be_written_leaves_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "in the way").touch()
    with pytest.raises(BundleError, match="could not be written"):
        checkpoint.save(tmp_path / "weights")
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
