"""The corpus of the example bot."""

from __future__ import annotations

from pathlib import Path

from sqz_nlu.training.examples import Example

DATA = Path(__file__).parent.parent / "data"


def utterances(part: str) -> list[Example]:
    """Those of a part, in the order in which `rasa train` reads them."""
    from rasa.shared.importers.rasa import RasaFileImporter

    from sqz_nlu.components.messages import to_examples

    return to_examples(RasaFileImporter(training_data_paths=[str(DATA / part)]).get_nlu_data())
