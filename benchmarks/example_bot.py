"""Condenses the reports of `rasa test nlu` on the example bot to one small file.

make test-nlu     # runs Rasa's evaluation, then this
"""

from __future__ import annotations

import json
from pathlib import Path

from common import write_result

REPORTS = Path(__file__).parent.parent / "example_bot" / "results"


def report(name: str) -> dict:
    """One of Rasa's reports."""
    return json.loads((REPORTS / f"{name}.json").read_text("utf-8"))


def main() -> None:
    intents, entities = report("intent_report"), report("SqueezeBertClassifier_report")
    result = {
        "utterances": intents["weighted avg"]["support"],
        "intent_accuracy": round(intents["accuracy"], 4),
        "intent_macro_f1": round(intents["macro avg"]["f1-score"], 4),
        "entity_micro_f1": round(entities["micro avg"]["f1-score"], 4),
        "entity_tokens": entities["micro avg"]["support"],
        "entity_f1_by_type": {
            name: round(row["f1-score"], 4)
            for name, row in entities.items()
            if isinstance(row, dict) and "avg" not in name
        },
    }
    for name in ("utterances", "intent_accuracy", "entity_micro_f1"):
        print(f"{name}: {result[name]}")
    print(write_result("example-bot", result))


if __name__ == "__main__":
    main()
