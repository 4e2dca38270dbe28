"""A small bot with two retrieval intents, for the response selector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NLU = """
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hello
    - good morning
    - hi there
- intent: faq/ask_price
  examples: |
    - how much does it cost
    - what is the price
    - is it expensive
- intent: faq/ask_hours
  examples: |
    - when are you open
    - what are your opening hours
    - are you open on sunday
- intent: chitchat/ask_name
  examples: |
    - what is your name
    - who are you
    - how should I call you
- intent: chitchat/ask_weather
  examples: |
    - how is the weather
    - is it going to rain
    - will the sun shine today
"""
RESPONSES = """
responses:
  utter_greet:
  - text: Hello!
  utter_faq/ask_price:
  - text: It costs ten euros.
  utter_faq/ask_hours:
  - text: We are open from nine to five.
    image: https://example.org/clock.png
  utter_chitchat/ask_name:
  - text: I am a bot.
  utter_chitchat/ask_weather:
  - text: I never go out.
"""
DOMAIN = f"""
version: "3.1"
intents: [greet, faq, chitchat]
actions: [utter_faq, utter_chitchat]
{RESPONSES}
"""
# Not among the examples.
TEXTS = {
    "tell me how much you charge": "faq/ask_price",
    "what time do you open in the morning": "faq/ask_hours",
    "do you have a name": "chitchat/ask_name",
    "is there rain today": "chitchat/ask_weather",
}
RULES = """
version: "3.1"
rules:
- rule: greet
  steps: [{intent: greet}, {action: utter_greet}]
- rule: faq
  steps: [{intent: faq}, {action: utter_faq}]
- rule: chitchat
  steps: [{intent: chitchat}, {action: utter_chitchat}]
"""


def train(folder: Path, pipeline: list[dict[str, Any]]) -> Path:
    """Trains the bot, rules included, and returns its archive."""
    from rasa.model_training import train

    folder.mkdir(parents=True, exist_ok=True)
    files = {"nlu.yml": NLU, "domain.yml": DOMAIN, "rules.yml": RULES, "config.yml": _config(pipeline)}
    for name, content in files.items():
        (folder / name).write_text(content)
    result = train(
        domain=str(folder / "domain.yml"),
        config=str(folder / "config.yml"),
        training_files=[str(folder / "nlu.yml"), str(folder / "rules.yml")],
        output=str(folder / "models"),
    )
    assert result.code == 0
    return Path(result.model)


def _config(pipeline: list[dict[str, Any]]) -> str:
    head = {"recipe": "default.v1", "assistant_id": "selector", "language": "en"}
    return yaml.safe_dump({**head, "pipeline": pipeline, "policies": [{"name": "RulePolicy"}]})
