"""What makes Rasa train our component again, seen through its own dry run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tiny_bot import NLU, configuration

DOMAIN = {
    "version": "3.1",
    "intents": ["greet", "bye", "turn_on", "fly"],
    "entities": ["device", "room", {"city": {"roles": ["from", "to"]}}],
    "responses": {"utter_hi": [{"text": "hi"}]},
}
RULES = {"version": "3.1", "rules": [{"rule": "hi", "steps": [{"intent": "greet"}, {"action": "utter_hi"}]}]}
NODE = "train_sqz_nlu.SqueezeBertClassifier1"


class Project:
    """A bot's folder that can be trained and asked whether it would be."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder, self.config, self.domain = folder, config, DOMAIN
        (folder / "data").mkdir()
        (folder / "data" / "nlu.yml").write_text(NLU)
        (folder / "data" / "rules.yml").write_text(yaml.safe_dump(RULES))

    def train(self, dry_run: bool = False):
        """Runs `rasa train`."""
        from rasa.model_training import train

        for name, content in (("config", self.config), ("domain", self.domain)):
            (self.folder / f"{name}.yml").write_text(yaml.safe_dump(content, sort_keys=False))
        return train(
            str(self.folder / "domain.yml"),
            str(self.folder / "config.yml"),
            [str(self.folder / "data")],
            str(self.folder / "models"),
            dry_run=dry_run,
        )

    def is_trained_again(self) -> bool:
        """Whether the next `rasa train` would run our component."""
        return not self.train(dry_run=True).dry_run_results[NODE].is_hit


@pytest.fixture(scope="module")
def project(tiny_options, tiny_encoder: Path, tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(tiny_encoder, folder / "encoder")
    config = configuration(tiny_options, model=str(folder / "encoder"), epochs=1)
    project = Project(folder, config)
    assert project.train().code == 0
    return project


def test_nothing_changed(project: Project) -> None:
    assert not project.is_trained_again()


def test_a_response_is_no_reason(project: Project, monkeypatch) -> None:
    monkeypatch.setattr(project, "domain", DOMAIN | {"responses": {"utter_hi": [{"text": "good day"}]}})
    assert not project.is_trained_again()


def test_an_option_is(project: Project, monkeypatch) -> None:
    pipeline = [dict(component) for component in project.config["pipeline"]]
    pipeline[1]["ranking_length"] = 3
    monkeypatch.setattr(project, "config", project.config | {"pipeline": pipeline})
    assert project.is_trained_again()


def test_an_example_is(project: Project) -> None:
    nlu = project.folder / "data" / "nlu.yml"
    nlu.write_text(NLU.replace("- hi hello\n", "- hi hello\n    - hello hi\n"))
    try:
        assert project.is_trained_again()
    finally:
        nlu.write_text(NLU)


def test_an_encoder_file_is(project: Project) -> None:
    path = project.folder / "encoder" / "tokenizer.json"
    content = path.read_text()
    path.write_text(content + "\n")
    try:
        assert project.is_trained_again()
    finally:
        path.write_text(content)


def test_another_version_of_the_package_is(project: Project, monkeypatch) -> None:
    monkeypatch.setattr("sqz_nlu.components.classifier.__version__", "99.0")
    assert project.is_trained_again()
