"""Puts a squeezed encoder into the package, with a card made from the records of its making.

python scripts/embed_encoder.py FOLDER     # what `sqz-nlu squeeze --out FOLDER` wrote
python scripts/embed_encoder.py embedded   # the one in the package, where the way to 8 bits has changed
make encoder-card DATA=DIR                 # measures what is now in the package, and adds the figures
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("USE_TF", "0")

from encoder_card import knowledge

from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.export.encoder import export_encoder
from sqz_nlu.runtime.bundle import CARD, EMBEDDED, EMBEDDED_FOLDER, describe, read_bundle, write_bundle
from sqz_nlu.squeeze.card import course, geometry, making, text_table

FIGURES = Path(__file__).parent.parent / "benchmarks" / "results" / "encoder-card.json"
# Licence and public source of every text file that the recipe in the Makefile names.
SOURCES = {
    "sgd": ("CC BY-SA 4.0", "Schema-Guided Dialogue, utterances"),
    "sgd_schema": ("CC BY-SA 4.0", "Schema-Guided Dialogue, descriptions"),
    "star": ("MIT", "STAR"),
    "self_dialogue": ("BSD-3-Clause", "Self-dialogue corpus"),
    "multidogo": ("CDLA-Permissive", "MultiDoGO, customer turns"),
    "taskmaster": ("CC BY 4.0", "Taskmaster"),
    "botframework_lu": ("MIT", "Bot Framework .lu files"),
    "query_wellformedness": ("CC BY-SA 4.0", "Query well-formedness"),
    "home_assistant_intents": ("CC BY 4.0", "Home Assistant intents"),
    "common_voice_en": ("CC0", "Common Voice, English sentences"),
    "webquestions": ("CC BY 4.0", "WebQuestions"),
    "clinc_wiki_sents": ("CC BY 3.0", "clinc/oos-eval, Wikipedia sentences"),
    "wikitablequestions": ("CC BY-SA 4.0", "WikiTableQuestions"),
    "topical_chat": ("CDLA-Sharing", "Topical-Chat"),
    "goemotions": ("Apache-2.0", "GoEmotions"),
    "mimic_prompts": ("Apache-2.0", "Mimic recording prompts"),
    "chatterbot_corpus": ("BSD-3-Clause", "ChatterBot corpus"),
    "ud_english_ewt": ("CC BY-SA 4.0", "UD English EWT"),
    "banking77_train": ("CC BY 4.0", "BANKING77, training utterances"),
    "clinc150_train": ("CC BY 3.0", "CLINC150, training utterances"),
    "hwu64_train": ("CC BY 4.0", "HWU64 (NLU-Evaluation-Data), training utterances"),
    "snips_train": ("CC0", "SNIPS, training utterances"),
}


def averaged(record: dict[str, Any]) -> list[str]:
    """What was averaged with the run of a record, if anything."""
    others = record.get("averaged", [])
    if not others:
        return []
    lines = [
        "The weights are the mean of this run's and of another's from the same start, on the same text:",
        "",
    ]
    return [*lines, *(f"- {course(other)}" for other in others), ""]


def card(
    record: dict[str, Any], config: dict[str, Any], model_bytes: int, figures: dict[str, Any] | None
) -> str:
    """The card in Markdown."""
    lines = [
        "# The embedded encoder",
        "",
        "A SqueezeBERT for English utterances, distilled from all-MiniLM-L6-v2, as an int8 bundle without heads.",
        "",
        f"- Geometry: {geometry(config)}",
        f"- Size: model.onnx {model_bytes / 1e6:.1f} MB; products in 7 of 8 bits, embeddings in 8",
        "- Licence: Apache-2.0, as its teacher and this package",
        "- Teacher: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), 10.6 M encoder parameters; "
        f"{config['vocab_size']:,} of",
        "  its 30,522 word pieces, those the text below uses most, with its embeddings rounded to 8 bits",
        "",
        "## How it was made",
        "",
        f"Made by `sqz-nlu squeeze`; the recipe is `make encoder`. {making(record)}",
        "",
        *averaged(record),
        "Massive activations were spread when these runs began (docs/squeeze.md). The recipe now does so at the",
        "start of the first one as well, which for these weights was not so.",
        "",
        "The text is sentences of these collections, unlabelled, in random order; a line that was read twice counts",
        "twice. Among them are training utterances of four benchmarks, without their intents and entities. Texts",
        "equal to a development or test text of the benchmarks below were removed beforehand.",
        "",
        *text_table(record["corpus_lines"], SOURCES),
    ]
    if figures:
        lines += ["", knowledge(figures).rstrip()]
    lines += [
        "",
        "## Limits",
        "",
        f"English only, lower-cased. Trained on sentences of up to {record['settings']['max_length']} tokens; longer "
        "texts work but were not practised. It learned from its teacher and from web text and carries their biases.",
    ]
    return "\n".join(lines) + "\n"


def embed(folder: Path) -> None:
    """Exports an encoder and writes its card."""
    record = json.loads((folder / "squeeze.json").read_text("utf-8"))
    export_encoder(find_encoder(folder), EMBEDDED_FOLDER, EMBEDDED, language="en")
    bundle = read_bundle(EMBEDDED_FOLDER)
    figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.is_file() else {}
    if figures.get("fingerprint") != find_encoder(EMBEDDED).fingerprint():
        figures = None  # of other weights
    text = card(record, bundle.config["encoder"], len(bundle.model), figures)
    write_bundle(EMBEDDED_FOLDER, {**bundle.contents, CARD: text.encode()}, describe(bundle.manifest))


def embed_again() -> None:
    """Exports the encoder in the package once more; where it comes from, and its card, stay as they are."""
    before = read_bundle(EMBEDDED_FOLDER)
    export_encoder(find_encoder(EMBEDDED), EMBEDDED_FOLDER, EMBEDDED, language="en")
    bundle = read_bundle(EMBEDDED_FOLDER)
    contents = {**bundle.contents, CARD: before.contents[CARD]}
    write_bundle(
        EMBEDDED_FOLDER, contents, {**describe(bundle.manifest), "encoder": before.manifest["encoder"]}
    )


def main() -> None:
    """Embeds what was asked for."""
    given = sys.argv[1]
    if given == EMBEDDED:
        embed_again()
    else:
        embed(Path(given))
    print(EMBEDDED_FOLDER)


if __name__ == "__main__":
    main()
