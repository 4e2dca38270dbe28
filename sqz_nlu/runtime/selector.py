"""Answers to frequent questions and small talk: which response fits a text best.

A selector is stored as a folder:

    selection.json   keys, responses, head, which encoder; canonical JSON with its own checksum
    encoder/         the encoder as a bundle; only where it is not the embedded one
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqz_nlu._version import __version__
from sqz_nlu.errors import BundleError, IncompatibleBundleError
from sqz_nlu.runtime.bundle import (
    EMBEDDED,
    EMBEDDED_FOLDER,
    Bundle,
    canonical_json,
    checksum,
    describe,
    is_bundle,
    read_bundle,
    write_bundle,
)
from sqz_nlu.runtime.ranking import rank_intents
from sqz_nlu.runtime.results import NO_INTENT, Intent
from sqz_nlu.runtime.selection import SelectionHead
from sqz_nlu.runtime.shared_encoder import SharedEncoder, shared_encoder

FORMAT_VERSION = 1
SELECTION = "selection.json"
ENCODER = "encoder"
UTTER = "utter_"


@dataclass(frozen=True)
class Selection:
    """The response selected for a text.

    Attributes:
        key: the best response key and its confidence; no name where nothing was selected.
        ranking: response keys by falling confidence.
        responses: the variants of the best key's response, as the domain has them.
    """

    key: Intent
    ranking: tuple[Intent, ...]
    responses: Sequence[Mapping[str, Any]] | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON of Rasa's ResponseSelector under the name of its retrieval intent."""
        return {
            "response": {
                "responses": self.responses,
                "confidence": self.key.confidence,
                "intent_response_key": self.key.name,
                "utter_action": f"{UTTER}{self.key.name}",
            },
            "ranking": [
                {"confidence": key.confidence, "intent_response_key": key.name} for key in self.ranking
            ],
        }


NO_SELECTION = Selection(NO_INTENT, (), None)


@dataclass(frozen=True)
class SelectorConfig:
    """What a selector answers with, apart from its head.

    Attributes:
        retrieval_intent: the one retrieval intent it is for; ``None`` for all.
        retrieval_intents: all retrieval intents of the bot.
        responses: the variants of each key's response; keys without any are missing.
        ranking_length: longest ranking; 0 for all.
        renormalize_confidences: whether the ranking's confidences sum to one.
    """

    retrieval_intent: str | None
    retrieval_intents: Sequence[str]
    responses: Mapping[str, Sequence[Mapping[str, Any]]]
    ranking_length: int = 10
    renormalize_confidences: bool = False


class Selector:
    """Selects responses, without Rasa and torch. Safe to share between threads.

    Args:
        encoder: embeds texts.
        head: sentence vectors to logits of response keys.
        config: what to answer with.
    """

    def __init__(self, encoder: SharedEncoder, head: SelectionHead, config: SelectorConfig) -> None:
        self._encoder = encoder
        self._head = head
        self.config = config

    @property
    def keys(self) -> tuple[str, ...]:
        """The response keys it chooses from."""
        return self._head.keys

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Selector:
        """Loads a selector; those with the same encoder share it.

        Args:
            folder: what `write_selector` wrote.
            threads: threads for one text.

        Raises:
            BundleError: the folder is damaged, or was trained with another embedded encoder.
            IncompatibleBundleError: it was written in another format version.
        """
        folder = Path(folder)
        data = _read(folder)
        try:
            name, fingerprint = data["encoder"]["name"], str(data["encoder"]["fingerprint"])
            head, config = SelectionHead.from_dict(data["head"]), SelectorConfig(**data["config"])
        except (KeyError, TypeError) as error:
            raise BundleError(f"{folder / SELECTION} cannot be used: {error!r}. Train again.") from error
        bundle = read_bundle(EMBEDDED_FOLDER if name == EMBEDDED else folder / ENCODER)
        if bundle.fingerprint != fingerprint:
            raise BundleError(
                f"The response selector was trained with the encoder '{name}' {fingerprint[:12]} of sqz-nlu "
                f"{data.get('producer')}; here is {bundle.fingerprint[:12]} of sqz-nlu {__version__}. Train "
                "again, or install that version."
            )
        return cls(shared_encoder(bundle, threads), head, config)

    def select(self, text: str) -> Selection:
        """The response for a text; none for a text without words.

        A key without responses answers with its own name, as in Rasa.

        Raises:
            TypeError: ``text`` is not a string.
        """
        vector = self._encoder.embed(text)
        if vector is None:
            return NO_SELECTION
        key, ranking = rank_intents(
            self._head.logits(vector)[0],
            self._head.keys,
            1.0,
            self.config.ranking_length,
            self.config.renormalize_confidences,
        )
        responses = self.config.responses.get(str(key.name)) or [{"text": key.name}]
        return Selection(key, ranking, responses)


def write_selector(
    folder: Path, encoder: Bundle, name: str, head: SelectionHead, config: SelectorConfig
) -> None:
    """Writes a selector into a folder; what an earlier one left there is replaced.

    Args:
        folder: an existing folder.
        encoder: what the head was trained on.
        name: what the user calls the encoder; ``embedded`` is not stored, but its fingerprint.
        head: the trained head.
        config: what to answer with.

    Raises:
        BundleError: the encoder cannot be written.
    """
    data = {
        "format_version": FORMAT_VERSION,
        "producer": __version__,
        "encoder": {"name": name, "fingerprint": encoder.fingerprint},
        "config": vars(config),
        "head": head.to_dict(),
    }
    data = json.loads(json.dumps(data, default=str))  # YAML has dates, and numbers as keys; JSON has not
    if name != EMBEDDED:
        write_bundle(folder / ENCODER, encoder.contents, describe(encoder.manifest))
    (folder / SELECTION).write_bytes(canonical_json({**data, "checksum": checksum(data)}))
    if name == EMBEDDED and is_bundle(folder / ENCODER):  # of an earlier selector
        shutil.rmtree(folder / ENCODER, ignore_errors=True)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / SELECTION
    damaged = f"{path} is damaged ({{}}). Train again, or copy the model again."
    try:
        raw = path.read_bytes()
        data: dict[str, Any] = json.loads(raw)
        version = data["format_version"]
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error}). Train again.") from error
    except (ValueError, KeyError, TypeError):
        raise BundleError(damaged.format("not the JSON of a response selector")) from None
    if canonical_json(data) != raw or data.get("checksum") != checksum(data):
        raise BundleError(damaged.format("its checksum does not match"))
    if version != FORMAT_VERSION:
        raise IncompatibleBundleError(
            f"{path} has format version {version}; this version of sqz-nlu reads {FORMAT_VERSION}. "
            "Use a matching version of sqz-nlu, or train again."
        )
    return data
