"""Makes the golden set: tests/golden/bundle and tests/golden/parses.jsonl.

python scripts/golden.py            # train the golden model again, then ask it
python scripts/golden.py --parses   # only ask the committed bundle again

Every surface of the project (Python, Rasa, the command line, the server, the browser ...) must answer the
texts of parses.jsonl as written there. Texts that sit on an edge are left out, so that another processor or a
batch (which has one scale for the activations of all its texts) cannot tip them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

os.environ.setdefault("USE_TF", "0")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from golden_set import BUNDLE, PARSES, as_expected, differences  # noqa: E402
from odd_texts import ODD_TEXTS  # noqa: E402

from sqz_nlu.runtime.bundle import CONFIG, canonical_json, describe, read_bundle, write_bundle  # noqa: E402
from sqz_nlu.runtime.interpreter import WORD_LOGITS, Interpreter  # noqa: E402
from sqz_nlu.runtime.ranking import log_softmax  # noqa: E402
from sqz_nlu.runtime.results import ParseResult  # noqa: E402
from sqz_nlu.runtime.session import GraphSession  # noqa: E402
from sqz_nlu.runtime.text import EncodedText, TextEncoder  # noqa: E402
from sqz_nlu.training.examples import Example  # noqa: E402

SEED = 7
EXAMPLES = 2800
TEXTS = 300
BATCHES = 20
VOCABULARY = 1800
ENCODER = Path("build/golden-encoder")  # relative: its name goes into the manifest
INTENT_GAP = 0.05
CONFIDENT = 0.9
TAG_GAP = 1.0  # between a word's two likeliest tags, roles or groups, in log-probability


def make_bundle() -> None:
    """Trains the golden model and writes its bundle."""
    from rasa.shared.nlu.training_data.loading import load_data

    from sqz_nlu.components.messages import to_examples
    from sqz_nlu.fit import fit
    from sqz_nlu.training.options import TrainingOptions

    data = load_data(str(ROOT / "data" / "train"))
    extra = to_examples(load_data(str(ROOT / "tests" / "golden" / "extra.yml")))
    drawn = random.Random(SEED).sample(to_examples(data), EXAMPLES)
    examples = [*drawn, *extra * 4]
    make_encoder([example.text for example in examples], [e.text for e in extra] + ODD_TEXTS)
    options = TrainingOptions.from_dict(
        {
            "model": str(ENCODER),
            "epochs": 40,
            "learning_rate": 3e-3,
            "head_learning_rate": 6e-3,
            "layer_learning_rate_decay": 1.0,
            "freeze_embeddings": False,
            "max_sequence_length": 64,
            "ranking_length": 5,
            "random_seed": SEED,
            "quantization": "int8",
        }
    )
    fit(examples, options, BUNDLE, "en")
    add_synonyms(data.entity_synonyms)
    shutil.rmtree(ENCODER)


def make_encoder(texts: Sequence[str], beyond_ascii: Iterable[str]) -> None:
    """A random SqueezeBERT of two layers with a vocabulary learned from the texts."""
    import torch
    from transformers import SqueezeBertConfig

    from sqz_nlu.encoder.load import save_encoder
    from sqz_nlu.encoder.model import SqueezeBertEncoder

    torch.manual_seed(SEED)
    tokenizer = make_tokenizer(texts, beyond_ascii)
    config = SqueezeBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        embedding_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        hidden_act="gelu_pytorch_tanh",
    )
    save_encoder(SqueezeBertEncoder(config), tokenizer, ENCODER)


def make_tokenizer(texts: Sequence[str], beyond_ascii: Iterable[str]) -> Tokenizer:
    """BERT's uncased tokenization; some of the characters beyond ASCII stay unknown on purpose."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    characters = {character for text in beyond_ascii for character in text if ord(character) % 5}
    alphabet = sorted(c for c in characters if c.isprintable() and not c.isspace())
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def add_synonyms(synonyms: dict[str, str]) -> None:
    """Puts the data's synonyms into the bundle, as reading a model archive of Rasa does."""
    bundle = read_bundle(BUNDLE)
    lowered = {text.lower(): value for text, value in synonyms.items()}
    decoding = {**bundle.config["decoding"], "synonyms": lowered}
    config = canonical_json({**bundle.config, "decoding": decoding})
    write_bundle(BUNDLE, {**bundle.contents, CONFIG: config}, describe(bundle.manifest))


class Edges:
    """Tells texts whose answer another processor could tip."""

    def __init__(self) -> None:
        bundle = read_bundle(BUNDLE)
        self._interpreter = Interpreter(bundle)
        labels, limit = self._interpreter.labels, self._interpreter.config.max_tokens
        self._text = TextEncoder(Tokenizer.from_str(bundle.tokenizer), limit)
        self._session = GraphSession(bundle.model)
        self._parts = np.cumsum([len(labels.tags), len(labels.role_classes)])

    def sure(self, parse: dict[str, Any]) -> bool:
        """Whether intents, tags, roles and groups of the parse are clear of their runners-up."""
        first, second = [*(i["confidence"] for i in parse["intent_ranking"]), 0.0, 0.0][:2]
        if parse["intent"]["name"] is not None and first - second < INTENT_GAP:
            return False
        encoded = self._text.encode(parse["text"])
        if not encoded.words:
            return True
        logits = self._session.run([WORD_LOGITS], np.array([encoded.ids], np.int32))[0][0]
        tags, roles, groups = np.split(logits[encoded.first_tokens], self._parts, axis=1)
        inside = [word for entity in parse["entities"] for word in self._words(encoded, entity)]
        certain = all(entity["confidence_entity"] >= CONFIDENT for entity in parse["entities"])
        return certain and clear(tags) and clear(roles[inside]) and clear(groups[inside])

    def _words(self, encoded: EncodedText, entity: dict[str, Any]) -> list[int]:
        """The words of an entity whose type comes with roles or groups."""
        labels, name = self._interpreter.labels, entity["entity"]
        if {*labels.roles_of[name], *labels.groups_of[name]} == {None}:
            return []
        spans = enumerate(encoded.words)
        return [word for word, (start, _) in spans if entity["start"] <= start < entity["end"]]


def clear(logits: np.ndarray) -> bool:
    """Whether no row's best two are close: ``[words, classes]``."""
    best = np.sort(log_softmax(logits), axis=1)[:, ::-1]
    return bool((best[:, 0] - best[:, 1] >= TAG_GAP).all())


def understood(result: ParseResult, example: Example) -> bool:
    """Whether a parse is what the annotator meant: the set should make sense to its readers."""
    spans = {(e.start, e.end, e.entity) for e in result.entities}
    return result.intent.name == example.intent and spans == {
        (e.start, e.end, e.entity) for e in example.entities
    }


def calm(parses: list[dict[str, Any]], interpreter: Interpreter) -> list[dict[str, Any]]:
    """The parses that come out of batches, too, whatever the other texts in them."""
    draw = random.Random(SEED)
    for _ in range(BATCHES):
        draw.shuffle(batch := draw.sample(parses, len(parses) * 2 // 3))
        results = interpreter.parse_batch([parse["text"] for parse in batch])
        pairs = zip(results, batch, strict=True)
        tipped = {parse["text"] for result, parse in pairs if differences(result.to_dict(), parse)}
        parses = [parse for parse in parses if parse["text"] not in tipped]
    return parses


def write_parses() -> None:
    """Asks the bundle and writes the answers of texts that are not on an edge."""
    from rasa.shared.nlu.training_data.loading import load_data

    from sqz_nlu.components.messages import to_examples

    held_out = to_examples(load_data(str(ROOT / "data" / "test")))
    random.Random(SEED).shuffle(held_out)
    interpreter, edges = Interpreter.load(BUNDLE), Edges()
    right = [example.text for example in held_out if understood(interpreter.parse(example.text), example)]
    texts = [*ODD_TEXTS, *right]
    parses = [as_expected(interpreter.parse(text).to_dict()) for text in texts]
    parses = calm([parse for parse in parses if edges.sure(parse)], interpreter)
    kept = parses[:TEXTS]
    PARSES.write_text("".join(json.dumps(parse) + "\n" for parse in kept), "ascii")
    odd = sum(parse["text"] in ODD_TEXTS for parse in kept)
    print(f"{len(kept)} texts, {odd} of {len(ODD_TEXTS)} odd ones; {PARSES.stat().st_size} bytes")


if __name__ == "__main__":
    os.chdir(ROOT)
    if "--parses" not in sys.argv:
        make_bundle()
    write_parses()
