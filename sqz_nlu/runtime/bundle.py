"""The bundle: one folder with all that inference needs. Format version 1.

    manifest.json    format version, producers, size and SHA-256 of every other file, probes, checksum
    config.json      labels, calibration temperature, limits
    tokenizer.json   a Hugging Face tokenizers file
    model.onnx       the graph, in one file
    README.md        the model card

Every byte is checked before anything is parsed: ONNX Runtime loads a model with a flipped weight without
a word. The manifest is covered by its own checksum and must be stored in canonical form, so no byte of it
can change unseen either.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqz_nlu.errors import BundleError, IncompatibleBundleError
from sqz_nlu.runtime.folder import has_files, previous_folder, replaceable, write_folder
from sqz_nlu.runtime.graph_check import check_graph

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODEL = "model.onnx"
CARD = "README.md"
FILES = (CONFIG, TOKENIZER, MODEL, CARD)
# A folder with these is a bundle and may be replaced by one, even where it is damaged.
SIGNS = (MANIFEST, MODEL)
OFFSET_UNIT = "unicode code points"
_WEIGHTS = ("*.safetensors", "*.bin")  # of checkpoints
# The encoder that ships with the package, and the name that stands for it.
EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).parent.parent / "encoder" / "embedded"


@dataclass(frozen=True)
class Bundle:
    """The verified content of a bundle.

    Attributes:
        path: where it was read from; the folder may be gone since.
        manifest: the parsed ``manifest.json``.
        config: the parsed ``config.json``.
        contents: the bytes of each of ``FILES``.
    """

    path: Path
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    contents: Mapping[str, bytes]

    @property
    def tokenizer(self) -> str:
        """The text of ``tokenizer.json``."""
        return self.contents[TOKENIZER].decode("utf-8")

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over configuration, graph and tokenizer, as `EncoderSource.fingerprint` gives it."""
        digest = hashlib.sha256()
        for name in (CONFIG, MODEL, TOKENIZER):
            digest.update(bytes.fromhex(self.manifest["files"][name]["sha256"]))
        return digest.hexdigest()

    @property
    def model(self) -> bytes:
        """The bytes of ``model.onnx``."""
        return self.contents[MODEL]


def read_bundle(path: str | Path) -> Bundle:
    """Reads and verifies a bundle.

    Raises:
        BundleError: the folder or a file is missing, damaged, a link, or holds what is not allowed.
        IncompatibleBundleError: it was written in another format version.
    """
    folder = _existing(Path(path))
    return verify_files(folder, {name: _read(folder, name) for name in (MANIFEST, *FILES)})


def verify_files(where: Path, files: Mapping[str, bytes]) -> Bundle:
    """The bundle that these files are, wherever they come from.

    Args:
        where: named in errors.
        files: the bytes of the manifest and of each of ``FILES``.

    Raises:
        BundleError: a file is missing, damaged or holds what is not allowed.
        IncompatibleBundleError: the bundle was written in another format version.
    """
    for name in (MANIFEST, *FILES):
        if name not in files:
            raise BundleError(f"The bundle '{where}' has no {name}. Copy or export it again.")
    manifest = _read_manifest(where, files[MANIFEST])
    contents = {name: files[name] for name in FILES}
    for name, content in contents.items():
        _verify(where / name, content, manifest["files"][name])
    check_graph(contents[MODEL])
    try:
        config = json.loads(contents[CONFIG])
        contents[TOKENIZER].decode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BundleError(f"The bundle {where} holds text that cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise BundleError(
            f"{where / CONFIG} holds a {type(config).__name__}; expected a JSON object. Train or export the "
            "bundle again."
        )
    return Bundle(where, manifest, config, contents)


def _existing(folder: Path) -> Path:
    if folder.is_dir():
        if _is_checkpoint(folder):
            raise BundleError(
                f"'{folder}' holds the weights of a checkpoint and no bundle. Expected {MANIFEST} and "
                f"{', '.join(FILES)}, which training makes: name the checkpoint as `model` of "
                "SqueezeBertClassifier, run `rasa train`, and name the archive that it wrote here."
            )
        return folder
    previous = previous_folder(folder)
    if not folder.exists() and is_bundle(previous):  # a crash fell between the two renames of write_bundle
        return previous
    kind = "a file, not a folder" if folder.exists() else "missing"
    raise BundleError(
        f"The bundle '{folder}' is {kind}. Expected a folder with {MANIFEST}, {', '.join(FILES)}. "
        "Train one with `rasa train`, and get it out of a model archive with `sqz-nlu export`."
    )


def _is_checkpoint(folder: Path) -> bool:
    if any((folder / name).exists() for name in SIGNS):
        return False
    return any(found for name in _WEIGHTS for found in folder.glob(name))


def is_bundle(folder: Path) -> bool:
    """Whether a folder is known by its files as a bundle; whether it is whole, `read_bundle` says."""
    return has_files(folder, SIGNS)


def _read_manifest(where: Path, raw: bytes) -> dict[str, Any]:
    damaged = f"{where / MANIFEST} is damaged ({{}}). Copy or export the bundle again."
    try:
        manifest: dict[str, Any] = json.loads(raw)
    except (ValueError, RecursionError):
        raise BundleError(damaged.format("not valid JSON")) from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise BundleError(damaged.format("no format_version"))
    if canonical_json(manifest) != raw or manifest.get("checksum") != checksum(manifest):
        raise BundleError(damaged.format("its checksum does not match"))
    if version != FORMAT_VERSION:
        raise IncompatibleBundleError(
            f"The bundle '{where}' has format version {version}; this version of sqz-nlu reads "
            f"{FORMAT_VERSION}. Use a matching version of sqz-nlu, or train the model again."
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(FILES):
        raise BundleError(damaged.format(f"it must list exactly {', '.join(FILES)}"))
    for name, entry in files.items():
        if not isinstance(entry, dict) or not {"size", "sha256"} <= set(entry):
            raise BundleError(damaged.format(f"it does not state size and sha256 of {name}"))
    return manifest


def _verify(path: Path, content: bytes, expected: Mapping[str, Any]) -> None:
    if len(content) != expected["size"]:
        raise BundleError(
            f"{path} has {len(content)} bytes; its manifest says {expected['size']}. "
            "The file was truncated or swapped; copy or export the bundle again."
        )
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        raise BundleError(
            f"{path} does not have the SHA-256 its manifest states. The file was "
            "changed or damaged; copy or export the bundle again."
        )


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            what = "a link" if stat.S_ISLNK(mode) else "no file of bytes"
            raise BundleError(f"{path} is {what}; expected a regular file.")
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"The bundle '{folder}' has no {name}. Copy or export it again.") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error}).") from error


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """The one way in which bundles write JSON: UTF-8, sorted keys, a newline at the end."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode("utf-8", "surrogatepass")


def checksum(data: Mapping[str, Any]) -> str:
    """The SHA-256 that JSON states of itself under ``checksum``: over all its other entries."""
    rest = {key: value for key, value in data.items() if key != "checksum"}
    return hashlib.sha256(canonical_json(rest)).hexdigest()


def describe(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a manifest that are not about the files: labels' data, encoder, probes, ..."""
    own = ("format_version", "offset_unit", "files", "checksum")
    return {key: value for key, value in manifest.items() if key not in own}


def build_manifest(files: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes:
    """The canonical ``manifest.json`` of these files.

    Args:
        files: the bytes of each of ``FILES``.
        about: further entries.

    Raises:
        BundleError: a file is missing or not allowed.
    """
    if set(files) != set(FILES):
        raise BundleError(f"A bundle holds exactly {', '.join(FILES)}; got {', '.join(sorted(files))}.")
    check_graph(files[MODEL])
    return seal(files, about)


def seal(files: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes:
    """The canonical ``manifest.json`` of any files: ``about``, each file's size and SHA-256, a checksum."""
    manifest: dict[str, Any] = {
        **about,
        "format_version": FORMAT_VERSION,
        "offset_unit": OFFSET_UNIT,
        "files": {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    manifest["checksum"] = checksum(manifest)
    return canonical_json(manifest)


def write_bundle(folder: str | Path, files: Mapping[str, bytes], about: Mapping[str, Any]) -> Path:
    """Writes a bundle so that a crash leaves the old one or the new one, never a mixture.

    Args:
        folder: where; an existing bundle there is replaced.
        files: the bytes of each of ``FILES``.
        about: further entries of the manifest.

    Raises:
        BundleError: a file is missing or not allowed, something that is no bundle is in the way, or the
            disk refuses; what was there stays.
    """
    folder = Path(folder)
    manifest = build_manifest(files, about)
    try:
        if not replaceable(folder, *SIGNS):
            raise BundleError(
                f"'{folder}' exists and is not a bundle: it does not have {' and '.join(SIGNS)}. Give a new "
                "folder, or delete this one first."
            )
        write_folder(folder, {**files, MANIFEST: manifest}, SIGNS)
    except OSError as error:
        raise BundleError(
            f"The bundle '{folder}' could not be written ({error}). Check the free space and "
            "the permissions; what was there before is unchanged."
        ) from error
    return folder
