"""Where an encoder comes from: the package, a local folder or the Hugging Face hub.

No torch here: ``rasa run`` and cache fingerprints call this module.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqz_nlu.errors import EncoderError
from sqz_nlu.runtime.archive import model_path
from sqz_nlu.runtime.bundle import CARD, MANIFEST, MODEL

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")
TOKENIZER_OPTIONS = "tokenizer_config.json"  # of vocab.txt
HUB_PATTERNS = ["config.json", TOKENIZER_OPTIONS, CARD, *TOKENIZER_FILES, *WEIGHT_FILES]


@dataclass(frozen=True)
class EncoderSource:
    """An encoder's folder and the files in it that matter.

    Attributes:
        name: what the user wrote: ``embedded``, a hub id or a path.
        folder: the folder that holds the files.
        config: path of ``config.json``.
        weights: path of the weights: safetensors if there, else ``.bin``, else a bundle's graph.
        tokenizer: path of ``tokenizer.json``, or ``vocab.txt`` where that is missing.
    """

    name: str
    folder: Path
    config: Path
    weights: Path
    tokenizer: Path

    def read_config(self) -> dict[str, Any]:
        """The parsed ``config.json``.

        Raises:
            EncoderError: it is not JSON, or not of ``model_type`` squeezebert.
        """
        try:
            config = json.loads(self.config.read_text("utf-8"))
        except ValueError as error:
            raise EncoderError(
                f"{self.config} is not valid JSON ({error}). Fetch or write the encoder again."
            ) from error
        if self.weights.name == MODEL and isinstance(config, dict):
            config = config.get("encoder")
        seen = config.get("model_type") if isinstance(config, dict) else None
        if seen != "squeezebert":
            raise EncoderError(
                f"The encoder '{self.name}' has model_type {seen!r}; expected 'squeezebert'. "
                "Turn a BERT checkpoint into one with `sqz-nlu squeeze`."
            )
        return dict(config)

    def language(self) -> str | None:
        """The code of the encoder's only language, where its bundle or its model card says so."""
        try:
            if self.weights.name == MODEL:
                stated = json.loads((self.folder / MANIFEST).read_text("utf-8")).get("language")
            else:
                stated = self.card_metadata().get("language")
        except (OSError, ValueError):
            return None
        if isinstance(stated, list) and len(stated) == 1:
            (stated,) = stated
        return stated if isinstance(stated, str) else None

    def card_metadata(self) -> dict[str, Any]:
        """What the head of the model card states, such as ``language`` and ``license``; empty without one."""
        try:
            from huggingface_hub import metadata_load

            return metadata_load(self.folder / CARD) or {}
        except (ImportError, OSError, ValueError):
            return {}

    def fingerprint(self) -> str:
        """A SHA-256 over configuration, weights and tokenizer."""
        digest = hashlib.sha256()
        paths = [self.config, self.weights, self.tokenizer]
        options = self.folder / TOKENIZER_OPTIONS
        if self.tokenizer.suffix == ".txt" and options.is_file():
            paths.append(options)
        for path in paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def find_encoder(model: str | Path, offline: bool = False) -> EncoderSource:
    """Finds an encoder's files, downloading them only when they are not on this machine.

    Args:
        model: ``embedded``, a local folder or a Hugging Face hub id.
        offline: never contact the hub.

    Raises:
        EncoderError: there is no such folder, it lacks a file, or the hub and its cache do not have it.
    """
    name = str(model)
    folder = model_path(name)
    if folder.is_dir():
        return _inspect(name, folder)
    if folder.is_file():
        raise EncoderError(
            f"'{name}' is a file; expected 'embedded', a folder with an encoder or a bundle, or a hub id. "
            f"Get the bundle out of a model archive with `sqz-nlu export {name} FOLDER` and give that folder."
        )
    if _looks_like_path(name):
        raise EncoderError(
            f"There is no encoder folder '{name}'. Expected 'embedded', an existing folder with "
            "config.json, weights and tokenizer, or a hub id such as 'squeezebert/squeezebert-uncased'."
        )
    return _from_hub(name, offline)


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or "\\" in name


def _inspect(name: str, folder: Path) -> EncoderSource:
    def first(kind: str, candidates: tuple[str, ...]) -> Path:
        for candidate in candidates:
            if (folder / candidate).is_file():
                return folder / candidate
        raise EncoderError(
            f"The encoder '{name}' has no {kind}: expected {' or '.join(candidates)} in {folder}."
        )

    return EncoderSource(
        name=name,
        folder=folder,
        config=first("configuration", ("config.json",)),
        weights=first("weights", (*WEIGHT_FILES, MODEL)),
        tokenizer=first("tokenizer", TOKENIZER_FILES),
    )


def _from_hub(name: str, offline: bool) -> EncoderSource:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise EncoderError(
            f"'{name}' is no local folder, and the package huggingface_hub that would fetch it is "
            'not installed. Install it with: pip install "sqz-nlu[train]"'
        ) from error
    try:
        cached = snapshot_download(name, allow_patterns=HUB_PATTERNS, local_files_only=True)
        return _inspect(name, Path(cached))  # another program may have fetched some of the files only
    except Exception:  # not cached: huggingface_hub raises several unrelated types here
        if offline:
            raise EncoderError(
                f"The encoder '{name}' is not in the local hub cache, and this run is offline. "
                "Fetch it once online, or use model: embedded."
            ) from None
    try:
        folder = Path(snapshot_download(name, allow_patterns=HUB_PATTERNS))
    except Exception as error:
        raise EncoderError(
            f"The encoder '{name}' is neither in the local hub cache nor could it be fetched from "
            f"the hub ({type(error).__name__}: {_first_line(error)}). Check the name and the "
            "network, give a local folder, or use model: embedded, which needs no network."
        ) from error
    return _inspect(name, folder)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "no details"
