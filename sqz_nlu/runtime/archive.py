"""Gets a bundle out of the model archive that ``rasa train`` writes, without Rasa."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.bundle import (
    CONFIG,
    EMBEDDED,
    EMBEDDED_FOLDER,
    FILES,
    MANIFEST,
    Bundle,
    build_manifest,
    canonical_json,
    describe,
    read_bundle,
    verify_files,
    write_bundle,
)

_BUNDLE_FILE = re.compile(r"(?:\./)?components/(train_[^/]*SqueezeBertClassifier\d+)/bundle/([^/]+)")
_SYNONYMS = re.compile(r"(?:\./)?components/train_[^/]*EntitySynonymMapper\d+/synonyms\.json")
_LARGEST_FILE = 2**31


def open_model(path: str | Path) -> Bundle:
    """Reads a bundle folder, the bundle in a Rasa model archive, or the encoder in the package.

    From an archive comes what the bot's pipeline does with entities, too: where it has an
    EntitySynonymMapper, its synonyms are part of the bundle, so that values come out as the bot gives them.

    Args:
        path: a folder, an archive (``~`` is the home folder), or ``embedded``.

    Raises:
        BundleError: the path is none of these, the archive has no bundle, or what it has is damaged.
    """
    path = model_path(path)
    if path.is_dir() or not path.exists():
        return read_bundle(path)
    return _read_archive(path)


def export_bundle(path: str | Path, folder: str | Path) -> Path:
    """Writes the bundle of a bundle folder or Rasa model archive to ``folder``.

    Raises:
        BundleError: see `open_model` and `write_bundle`.
    """
    bundle = open_model(path)
    return write_bundle(folder, bundle.contents, describe(bundle.manifest))


def model_path(model: str | Path) -> Path:
    """Where a model lies by its name: ``embedded`` is in the package, ``~`` is the home folder."""
    if str(model) == EMBEDDED:
        return EMBEDDED_FOLDER
    try:
        return Path(model).expanduser()
    except RuntimeError:  # "~name" where nobody has that name
        return Path(model)


def _read_archive(path: Path) -> Bundle:
    bundles: dict[str, dict[str, bytes]] = {}
    synonyms: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                found = _BUNDLE_FILE.fullmatch(member.name)
                if found and member.isfile() and found[2] in (*FILES, MANIFEST):
                    bundles.setdefault(found[1], {})[found[2]] = _content(archive, member)
                elif _SYNONYMS.fullmatch(member.name) and member.isfile():
                    synonyms |= _read_synonyms(member.name, _content(archive, member))
    except (BundleError, MemoryError):
        raise
    except Exception as error:  # each decompressor has exceptions of its own: zlib.error, LZMAError, ...
        raise BundleError(
            f"'{path}' cannot be read as a model archive ({error}). Expected a bundle folder or the "
            ".tar.gz that `rasa train` wrote."
        ) from error
    if len(bundles) != 1:
        raise BundleError(
            f"'{path}' holds {len(bundles)} bundles; expected one. Was it trained with a single "
            "sqz_nlu.SqueezeBertClassifier in its pipeline?"
        )
    bundle = verify_files(path, next(iter(bundles.values())))
    return _with_synonyms(bundle, synonyms) if synonyms else bundle


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _LARGEST_FILE:
        raise BundleError(f"{member.name} in the archive has {member.size} bytes: too large.")
    file = archive.extractfile(member)
    return file.read() if file is not None else b""


def _read_synonyms(name: str, content: bytes) -> dict[str, str]:
    synonyms = json.loads(content)
    if not isinstance(synonyms, dict) or not all(isinstance(value, str) for value in synonyms.values()):
        raise BundleError(
            f"{name} in the archive does not hold synonyms; expected a JSON object of texts. Train again."
        )
    return synonyms


def _with_synonyms(bundle: Bundle, synonyms: Mapping[str, str]) -> Bundle:
    decoding = bundle.config.get("decoding")
    if not isinstance(decoding, dict):
        raise BundleError(f"{CONFIG} in '{bundle.path}' does not say how to decode. Train again.")
    config = canonical_json({**bundle.config, "decoding": {**decoding, "synonyms": dict(synonyms)}})
    contents = {**bundle.contents, CONFIG: config}
    manifest = build_manifest(contents, describe(bundle.manifest))
    return verify_files(bundle.path, {**contents, MANIFEST: manifest})
