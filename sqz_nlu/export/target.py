"""What the export targets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sqz_nlu.errors import BundleError, ExportError
from sqz_nlu.runtime.bundle import Bundle
from sqz_nlu.runtime.folder import replaceable, write_folder

# The JavaScript of this package: tokenizer, decoder, Interpreter, and the page.
WEB = Path(__file__).parent.parent / "web"


def require_labels(bundle: Bundle) -> None:
    """Raises ``BundleError`` for an encoder without intents and entities."""
    labels = bundle.config["decoding"]["labels"]
    if not (labels["intents"] or labels["entities"]):
        raise BundleError(
            f"The bundle '{bundle.path}' holds an encoder without intents and entities: there is nothing "
            "to show. Export a bundle that was trained."
        )


def write_target(folder: Path, files: Mapping[str, bytes], signs: Sequence[str]) -> Path:
    """Writes an exported folder; one of the same target is replaced.

    Args:
        folder: where.
        files: contents by path.
        signs: some of the paths; an existing folder that has all of them is of the same target. One of them
            is a name that only this target writes.

    Raises:
        ExportError: something else is in the way, or the disk refuses.
    """
    missing = [sign for sign in signs if not replaceable(folder, sign)]
    if missing:
        raise ExportError(
            f"'{folder}' exists and this export did not write it (it has no {missing[0]}). Give a new "
            "folder, or delete this one first."
        )
    try:
        write_folder(folder, files, signs)
    except OSError as error:
        raise ExportError(
            f"'{folder}' could not be written ({error}). Check the free space and the permissions; what was "
            "there before is unchanged."
        ) from error
    return folder
