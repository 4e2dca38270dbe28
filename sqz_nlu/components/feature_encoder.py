"""The encoder behind the featurizer: its options, how it is stored with a model and found again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from tokenizers import Tokenizer

from sqz_nlu._version import __version__
from sqz_nlu.encoder import vocabulary
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import model_path, open_model
from sqz_nlu.runtime.bundle import EMBEDDED, EMBEDDED_FOLDER, MANIFEST, Bundle, read_bundle, write_bundle
from sqz_nlu.runtime.bundle import describe as describe_manifest
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.training.options import checked_values

RECORD = "encoder.json"
BUNDLE = "bundle"

# A Rasa process loads the component for NLU and again for end-to-end stories: one encoder serves both.
_shared: WeakValueDictionary[tuple[str, int, int], Interpreter] = WeakValueDictionary()


@dataclass(frozen=True)
class FeaturizerOptions:
    """What a user can say about features.

    Attributes:
        model: the encoder: ``embedded``, a bundle folder, a model archive of ``rasa train``, or a hub id or
            local folder of a SqueezeBERT, which is lowered to a bundle while training (that needs torch).
        offline: never contact the hub.
        alias: the name of these features, for the ``featurizers`` option of other components.
        max_sequence_length: longest text in tokens; words beyond have zero features.
        intra_op_num_threads: threads for one text.
    """

    model: str = EMBEDDED
    offline: bool = False
    alias: str | None = None
    max_sequence_length: int = field(default=256, metadata={"low": 3})
    intra_op_num_threads: int = field(default=1, metadata={"low": 1})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every option with its default."""
        return dataclasses.asdict(cls())

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> FeaturizerOptions:
        """Checks a configuration strictly.

        Raises:
            OptionError: an option is unknown, of the wrong type or out of range.
        """
        return cls(**checked_values(cls, config, cls.defaults()))


def encoder_fingerprint(options: FeaturizerOptions) -> str:
    """Changes when the encoder's files change.

    Raises:
        EncoderError: there is no such encoder.
    """
    path = model_path(options.model)
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return find_encoder(options.model, options.offline).fingerprint()


def check_encoder(options: FeaturizerOptions) -> None:
    """Says early what would fail later.

    Raises:
        EncoderError: there is no such encoder, or it is no SqueezeBERT.
        BundleError: the bundle is damaged.
    """
    if _stored_as_bundle(options.model):
        open_model(options.model)
    else:
        find_encoder(options.model, options.offline).read_config()


def store_encoder(options: FeaturizerOptions, folder: Path) -> Bundle:
    """Puts into ``folder`` what `load_encoder` needs there.

    The embedded encoder is in every installation of the package: only its fingerprint is stored. Any other is
    stored as a bundle; one that is none yet is lowered to int8 first.

    Returns:
        The encoder's bundle.

    Raises:
        EncoderError: the encoder cannot be found or used.
        BundleError: the bundle is damaged or cannot be written.
    """
    stored = folder / BUNDLE
    if _stored_as_bundle(options.model):
        bundle = open_model(options.model)
        if options.model != EMBEDDED:
            write_bundle(stored, bundle.contents, describe_manifest(bundle.manifest))
    else:
        from sqz_nlu.export.encoder import export_encoder  # torch is imported only where it is needed

        source = find_encoder(options.model, options.offline)
        export_encoder(source, stored, source.name, source.language())
        bundle = read_bundle(stored)
    record = {"model": options.model, "fingerprint": bundle.fingerprint, "sqz_nlu": __version__}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return bundle


def vocabulary_warning(bundle: Bundle, name: str, texts: Sequence[str]) -> str | None:
    """What to tell a user whose texts the encoder was not made for; ``None`` if all is well."""
    measured = vocabulary.measure(Tokenizer.from_str(bundle.tokenizer), texts)
    return vocabulary.warning(measured, name, bundle.manifest.get("language"))


def load_encoder(options: FeaturizerOptions, folder: Path) -> Interpreter:
    """The encoder that `store_encoder` put into ``folder``.

    Interpreters are shared: two components with one encoder hold its weights once.

    Raises:
        BundleError: the bundle is damaged, or the embedded encoder is not the one trained with.
    """
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        model, expected, version = record["model"], record["fingerprint"], record["sqz_nlu"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{RECORD} in the trained model cannot be read ({error!r}).") from error
    bundle = read_bundle(EMBEDDED_FOLDER if model == EMBEDDED else folder / BUNDLE)
    if bundle.fingerprint != expected:
        raise BundleError(
            f"The features were trained with the encoder '{model}' {expected[:12]} of sqz-nlu {version}; "
            f"here is {bundle.fingerprint[:12]} of sqz-nlu {__version__}. Install the version that trained."
        )
    positions = bundle.config["encoder"]["max_position_embeddings"]
    limit = min(options.max_sequence_length, positions)
    key = (expected, limit, options.intra_op_num_threads)
    interpreter = _shared.get(key)
    if interpreter is None:
        decoding = {**bundle.config["decoding"], "max_tokens": limit}
        bundle = replace(bundle, config={**bundle.config, "decoding": decoding})
        interpreter = _shared[key] = Interpreter(bundle, options.intra_op_num_threads)
    return interpreter


def _stored_as_bundle(model: str) -> bool:
    path = model_path(model)
    return path.is_file() or (path / MANIFEST).is_file()
