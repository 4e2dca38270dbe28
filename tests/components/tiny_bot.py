"""A small Rasa bot around the tiny encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import yaml

NLU = """
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hello
    - hi
    - hi hello
- intent: bye
  examples: |
    - bye
    - bye bye
- intent: turn_on
  examples: |
    - turn on the [light](device) in the [kitchen](room)
    - [kitchen](room) [lights](device) on
    - turn on the [light](device) in the [garden](room)
    - [bedroom](room) [lights](device) on
- intent: fly
  examples: |
    - fly from [paris]{"entity": "city", "role": "from"} to [london]{"entity": "city", "role": "to"}
    - fly from [london]{"entity": "city", "role": "from"} to [paris]{"entity": "city", "role": "to"}
    - fly to [the kitchen]{"entity": "city", "role": "to", "value": "Kitchen City"}
- synonym: lamp
  examples: |
    - light
    - lights
"""


def configuration(options, **changes) -> dict:
    """A pipeline with the tiny encoder; ``changes`` are options of the classifier."""
    ours = {key: value for key, value in dataclasses.asdict(options).items() if key != "bilou_flag"}
    return {
        "recipe": "default.v1",
        "assistant_id": "tiny",
        "language": "en",
        "pipeline": [
            {"name": "sqz_nlu.BlankSpacyTokenizer"},
            {"name": "sqz_nlu.SqueezeBertClassifier", **ours, **changes},
            {"name": "EntitySynonymMapper"},
            {"name": "FallbackClassifier", "threshold": 0.01},
        ],
        "policies": [{"name": "RulePolicy"}],
    }


def train(folder: Path, config: dict, nlu: str = NLU, **further) -> Path | None:
    """Trains an NLU model with Rasa and returns its archive; ``further`` goes to Rasa's ``train_nlu``."""
    from rasa.model_training import train_nlu

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "nlu.yml").write_text(nlu)
    files = str(folder / "config.yml"), str(folder / "nlu.yml"), str(folder / "models")
    model = train_nlu(*files, **further)
    return Path(model) if model else None
