"""Models to measure: our pipeline and Rasa's default one, trained once on the example bot's data.

Ours is trained by its defaults, since a good tagging is decoded faster than a bad one. DIET learns for one
epoch: how fast it is does not depend on what it has learned.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import graphs
import rasa_default
import yaml

DATA = Path(__file__).parents[2] / "data" / "train"

PIPELINES: dict[str, rasa_default.Steps] = {
    "ours": [
        {"name": "sqz_nlu.BlankSpacyTokenizer"},
        {"name": "sqz_nlu.SqueezeBertClassifier", "quantization": "int8"},
        {"name": "EntitySynonymMapper"},
        {"name": "FallbackClassifier", "threshold": 0.4},
    ],
    "diet": [
        *rasa_default.FEATURIZERS,
        rasa_default.diet(epochs=1),
        {"name": "EntitySynonymMapper"},
        *rasa_default.FALLBACK,
    ],
}


def archives() -> dict[str, Path]:
    """Rasa's archive of each, kept in build/speed."""
    found: dict[str, Path] = {}
    for name, pipeline in PIPELINES.items():
        found[name] = graphs.CACHE / f"{name}.tar.gz"
        if not found[name].is_file():
            shutil.rmtree(graphs.CACHE / name, ignore_errors=True)
            (graphs.CACHE / name).mkdir(parents=True)
            shutil.move(_train(graphs.CACHE / name, pipeline), found[name])
    return found


def _train(folder: Path, pipeline: rasa_default.Steps) -> Path:
    from rasa.model_training import train_nlu

    warnings.simplefilter("ignore")
    config = {"recipe": "default.v1", "language": "en", "assistant_id": folder.name, "pipeline": pipeline}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return Path(train_nlu(str(folder / "config.yml"), str(DATA), str(folder / "models")))
