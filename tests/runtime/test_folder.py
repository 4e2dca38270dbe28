"""Where a bundle is written: what may be replaced, and what must stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from golden_set import BUNDLE

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import export_bundle, open_model
from sqz_nlu.runtime.bundle import CARD, MANIFEST, Bundle, describe, read_bundle, write_bundle
from sqz_nlu.runtime.folder import previous_folder, write_folder


@pytest.fixture(scope="module")
def golden() -> Bundle:
    return read_bundle(BUNDLE)


def write(bundle: Bundle, folder: Path, card: str = "# new") -> Path:
    return write_bundle(folder, {**bundle.contents, CARD: card.encode()}, describe(bundle.manifest))


def card(folder: Path) -> str:
    return read_bundle(folder).contents[CARD].decode()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_beside_a_bundle_is_the_users(golden: Bundle, tmp_path: Path) -> None:
    write(golden, tmp_path / "model.previous", "# backup")
    with pytest.raises(BundleError, match="missing"):
        read_bundle(tmp_path / "model")
    for text in ("# one", "# two"):
        write(golden, tmp_path / "model", text)
    assert (card(tmp_path / "model"), card(tmp_path / "model.previous")) == ("# two", "# backup")
    assert names(tmp_path) == ["model", "model.previous"]


def test_after_a_crash_the_old_bundle_is_read_and_later_goes(golden: Bundle, tmp_path: Path) -> None:
    model = write(golden, tmp_path / "model", "# old")
    model.rename(previous_folder(model))
    assert card(model) == "# old"
    write(golden, model)
    assert names(tmp_path) == ["model"]
    shutil.copytree(model, previous_folder(model))  # a crash before the old one was deleted
    write(golden, model, "# newer")
    assert card(model) == "# newer"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("there", [False, True])
def test_what_is_no_bundle_is_not_deleted_there(there: bool, golden: Bundle, tmp_path: Path) -> None:
    model = tmp_path / "model"
    if there:
        write(golden, model, "# old")
    mine = previous_folder(model)
    mine.mkdir()
    (mine / "notes").write_text("mine")
    with pytest.raises(BundleError, match=r"\.model\.previous' is in the way"):
        write(golden, model)
    assert (mine / "notes").read_text() == "mine"
    assert card(model) == "# old" if there else not model.exists()


def test_a_manifest_alone_is_no_bundle(golden: Bundle, tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / MANIFEST).write_text("{}")
    with pytest.raises(
        BundleError, match=r"is not a bundle: it does not have manifest\.json and model\.onnx"
    ):
        write(golden, tmp_path / "page")
    assert names(tmp_path / "page") == [MANIFEST]


def test_the_old_bundle_comes_back_where_the_new_one_cannot_take_its_place(
    golden: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(golden, tmp_path / "model", "# old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(BundleError, match="Permission denied"):
        write(golden, model)
    assert card(model) == "# old"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("name", [".", "", "../here"])
def test_the_folder_where_one_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export_bundle(BUNDLE, name)
    assert names(tmp_path) == ["here"]
    assert read_bundle(tmp_path / "here").contents == read_bundle(BUNDLE).contents


def test_the_folder_above(golden: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = write(golden, tmp_path / "model") / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    write(golden, Path(".."), "# newer")
    assert card(tmp_path / "model") == "# newer"


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_link_is_replaced_and_what_it_points_at_stays(target: str, golden: Bundle, tmp_path: Path) -> None:
    write(golden, tmp_path / "there", "# there")
    (tmp_path / "model").symlink_to(target)
    for text in ("# one", "# two"):
        write(golden, tmp_path / "model", text)
    assert not (tmp_path / "model").is_symlink()
    assert (card(tmp_path / "model"), card(tmp_path / "there")) == ("# two", "# there")
    assert names(tmp_path) == ["model", "there"]


def test_a_link_to_something_else_is_refused(golden: Bundle, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (tmp_path / "model").symlink_to("photos")
    with pytest.raises(BundleError, match="is not a bundle"):
        write(golden, tmp_path / "model")
    assert (tmp_path / "model" / "cat.jpg").exists()


def test_folders_of_other_files_are_known_by_all_of_them(tmp_path: Path) -> None:
    files = {"a/b.txt": b"1", "c.txt": b"2"}
    write_folder(tmp_path / "x", files)
    shutil.copytree(tmp_path / "x", previous_folder(tmp_path / "x"))
    write_folder(tmp_path / "x", files)
    assert names(tmp_path) == ["x"]


def test_the_home_of_nobody_is_a_plain_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="'~nobody-has-this-name/model' is missing"):
        open_model("~nobody-has-this-name/model")
    shutil.copytree(BUNDLE, tmp_path / "~nobody-has-this-name")
    assert open_model("~nobody-has-this-name").contents == read_bundle(BUNDLE).contents
