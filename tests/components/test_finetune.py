from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
import yaml
from rasa.engine.graph import ExecutionContext, GraphSchema, SchemaNode
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.training_data.formats.rasa_yaml import RasaYAMLReader
from tiny_bot import NLU, configuration, train

from sqz_nlu import Interpreter, SqueezeBertClassifier
from sqz_nlu.components.classifier import BUNDLE, TRAINABLE_WEIGHTS
from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import export_bundle, open_model

MORE = NLU.replace(
    "    - bye bye\n", "    - bye bye\n    - paris off bye\n    - music bye\n    - music off\n"
)
OLD = {"hello": "greet", "bye bye": "bye", "kitchen lights on": "turn_on", "fly from paris to london": "fly"}
NEW = {"paris off bye": "bye", "music bye": "bye", "music off": "bye"}


def storage(folder: Path, finetuning: bool = False):
    """What Rasa hands to a component; ``finetuning`` as after `rasa train --finetune`."""
    folder.mkdir(exist_ok=True)
    context = ExecutionContext(GraphSchema({}), is_finetuning=finetuning)
    return LocalModelStorage.create(folder), Resource("classifier"), context


def configured(options, **changes) -> dict:
    config = configuration(options, **changes)["pipeline"][1]
    return SqueezeBertClassifier.get_default_config() | {k: v for k, v in config.items() if k != "name"}


def understood(model: Path) -> dict[str, str | None]:
    interpreter = Interpreter.load(model)
    return {text: interpreter.parse(text).intent.name for text in OLD | NEW}


def test_fine_tuning_twice_keeps_the_old_and_learns_the_new(archive: Path, tiny_options, tmp_path) -> None:
    assert {text: understood(archive)[text] for text in OLD} == OLD
    config = configuration(tiny_options)
    first = train(tmp_path / "1", config, MORE, model_to_finetune=str(archive), finetuning_epoch_fraction=0.4)
    assert first
    assert open_model(first).manifest["epochs"] == 24
    assert understood(first) == OLD | NEW
    second = train(tmp_path / "2", config, MORE, model_to_finetune=str(first), finetuning_epoch_fraction=0.1)
    assert second
    assert open_model(second).manifest["epochs"] == 6
    assert understood(second) == OLD | NEW


def test_the_weights_are_in_the_archive_and_not_in_what_is_exported(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as file:
        names = [name for name in file.getnames() if name.endswith(TRAINABLE_WEIGHTS)]
    assert len(names) == 1
    assert "SqueezeBertClassifier" in names[0]
    folder = export_bundle(archive, tmp_path / "bundle")
    expected = {"manifest.json", "config.json", "tokenizer.json", "model.onnx", "README.md"}
    assert {path.name for path in folder.iterdir()} == expected


def test_rasa_refuses_other_labels_and_options(archive: Path, tiny_options, tmp_path: Path) -> None:
    base = {"model_to_finetune": str(archive)}
    other = NLU + "- intent: ask\n  examples: |\n    - what now\n"
    with pytest.raises(InvalidConfigException, match="new labels"):
        train(tmp_path / "labels", configuration(tiny_options), other, **base)
    with pytest.raises(InvalidConfigException, match="only change the 'epoch' settings"):
        train(tmp_path / "options", configuration(tiny_options, model="embedded"), MORE, **base)


def test_a_model_without_weights_or_with_another_encoder_is_refused(
    tiny_options, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    data = RasaYAMLReader().reads(NLU)
    config = configured(tiny_options, epochs=1, model=str(encoder))
    SqueezeBertClassifier.create(config, *storage(tmp_path / "s")).train(data)
    with (encoder / "tokenizer.json").open("a") as file:
        file.write("\n")
    tuned = SqueezeBertClassifier.load(config, *storage(tmp_path / "s", finetuning=True))
    with pytest.raises(InvalidConfigException, match="started from the encoder"):
        tuned.train(data)
    config["persist_trainable_weights"] = False
    SqueezeBertClassifier.create(config, *storage(tmp_path / "s")).train(data)
    assert [path.name for path in (tmp_path / "s" / "classifier").iterdir()] == [BUNDLE]
    with pytest.raises(InvalidConfigException, match="persist_trainable_weights: false"):
        SqueezeBertClassifier.load(config, *storage(tmp_path / "s", finetuning=True)).train(data)


def test_after_nothing_to_learn_fine_tuning_starts_from_the_encoder(tiny_options, tmp_path: Path) -> None:
    config = configured(tiny_options, epochs=1)
    graph = storage(tmp_path / "s", finetuning=True)
    SqueezeBertClassifier.load(config, *graph).train(RasaYAMLReader().reads(NLU))
    assert (tmp_path / "s" / "classifier" / TRAINABLE_WEIGHTS).is_file()


def test_an_interrupt_leaves_what_was_there_and_the_next_run_works(
    tiny_options, tmp_path: Path, monkeypatch
) -> None:
    config, data = configured(tiny_options, epochs=1), RasaYAMLReader().reads(NLU)
    SqueezeBertClassifier.create(config, *storage(tmp_path / "s")).train(data)

    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}

    before = files()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            SqueezeBertClassifier.load(config, *storage(tmp_path / "s", finetuning=True)).train(data)
    assert files() == before
    assert list(temporary.iterdir()) == []
    SqueezeBertClassifier.load(config, *storage(tmp_path / "s", finetuning=True)).train(data)
    assert files() != before


def test_a_full_disk_is_named_and_the_next_run_works(tiny_options, tmp_path: Path) -> None:
    config, data = configured(tiny_options, epochs=1), RasaYAMLReader().reads(NLU)
    component = SqueezeBertClassifier.create(config, *storage(tmp_path / "s"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # as if the disk were full after that
    try:
        with pytest.raises(BundleError, match="free space"):
            component.train(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "s").rglob("*.onnx"))
    component.train(data)
    SqueezeBertClassifier.load(config, *storage(tmp_path / "s"))


def test_a_model_that_cannot_be_stored_leaves_nothing(tiny_options, tmp_path: Path, monkeypatch) -> None:
    def full(_: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sqz_nlu.components.classifier.shutil.move", full)
    component = SqueezeBertClassifier.create(configured(tiny_options, epochs=1), *storage(tmp_path / "s"))
    with pytest.raises(BundleError, match=r"could not be stored .*No space left"):
        component.train(RasaYAMLReader().reads(NLU))
    assert list((tmp_path / "s" / "classifier").iterdir()) == []


def test_epochs_are_the_users_or_left_to_the_data(tiny_options, tmp_path: Path) -> None:
    def asked(**written) -> int | None:
        """The option of a component whose node in Rasa's graph has this configuration."""
        node = SchemaNode(
            needs={}, uses=SqueezeBertClassifier, constructor_name="create", fn="train", config=written
        )
        context = ExecutionContext(GraphSchema({"train_ours": node}), node_name="train_ours")
        merged = SqueezeBertClassifier.get_default_config() | {"model": tiny_options.model} | written
        return SqueezeBertClassifier.create(merged, *storage(tmp_path / "s")[:2], context)._options.epochs

    assert asked() is None
    assert asked(epochs=16) == 16


def test_tensorboard_shows_the_training(tiny_options, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    changes = {
        "epochs": 2,
        "evaluate_on_number_of_examples": 2,
        "tensorboard_log_directory": str(tmp_path / "log"),
        "checkpoint_model": True,
    }
    data = RasaYAMLReader().reads(MORE)
    for level in ("epoch", "batch"):
        config = configured(tiny_options, **changes, tensorboard_log_level=level)
        SqueezeBertClassifier.create(config, *storage(tmp_path / "s")).train(data)
    by_epoch, by_batch = sorted((tmp_path / "log").iterdir())
    runs = {name: EventAccumulator(str(by_epoch / name)).Reload() for name in ("train", "test", "int8")}
    tags = {name: set(run.Tags()["scalars"]) for name, run in runs.items()}
    common = {"intent_loss", "entity_loss", "intent_accuracy"}
    assert tags["train"] >= common | {"entity_f1", "learning_rate/heads", "learning_rate/layer_1"}
    assert tags["test"] >= common
    assert tags["int8"] >= {"texts", "intent_agreement", "span_agreement"}
    assert [point.step for point in runs["train"].Scalars("intent_loss")] == [1, 2]
    assert all(0 <= point.value <= 1 for point in runs["test"].Scalars("intent_accuracy"))
    batches = EventAccumulator(str(by_batch / "train")).Reload().Scalars("intent_loss")
    assert len(batches) > 10


@pytest.mark.slow
def test_the_command_line_trains_and_fine_tunes(tiny_options, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(yaml.safe_dump(configuration(tiny_options)))
    (tmp_path / "nlu.yml").write_text(NLU)

    def rasa(*further: str) -> str:
        command = [sys.executable, "-m", "rasa", "train", "nlu", "--nlu", "nlu.yml", *further]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        environment["RASA_CACHE_DIRECTORY"] = str(tmp_path / "cache")
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "Training on " in rasa("--fixed-model-name", "base")
    for base, name in (("base", "first"), ("first", "second")):
        more = MORE if name == "first" else MORE.replace("- hi\n", "- hi\n    - hi hi\n")
        (tmp_path / "nlu.yml").write_text(more)  # of the same data Rasa's cache would give the first model
        start = ("--finetune", f"models/{base}.tar.gz", "--epoch-fraction", "0.4")
        assert "Continuing to train on " in rasa(*start, "--fixed-model-name", name)
        assert understood(tmp_path / "models" / f"{name}.tar.gz") == OLD | NEW
