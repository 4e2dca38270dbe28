from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from sqz_nlu.cli import main
from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import export_bundle, open_model
from sqz_nlu.runtime.bundle import read_bundle


def test_an_archive_gives_the_bundle_with_the_bots_synonyms(archive: Path, tmp_path: Path) -> None:
    folder = export_bundle(archive, tmp_path / "bundle")
    exported = read_bundle(folder)
    assert exported.config["decoding"]["synonyms"]["lights"] == "lamp"
    assert exported.model == open_model(archive).model
    assert main(["verify", str(folder)]) == 0


def test_a_cut_archive_and_one_without_a_bundle_are_refused(archive: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(BundleError, match="model archive"):
        open_model(cut)
    (tmp_path / "metadata.json").write_text(json.dumps({}))
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz") as file:
        file.add(tmp_path / "metadata.json", "metadata.json")
    with pytest.raises(BundleError, match="holds 0 bundles"):
        open_model(tmp_path / "empty.tar.gz")
