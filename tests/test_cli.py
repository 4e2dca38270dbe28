from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sqz_nlu import __version__
from sqz_nlu.cli import main
from sqz_nlu.runtime.bundle import read_bundle


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_parse_a_text_and_lines(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(capsys, "parse", tiny_bundle, "hello")
    assert (code, json.loads(out)["intent"]["name"]) == (0, "greet")
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n\nbye\n"))
    code, out, _ = run(capsys, "parse", tiny_bundle)
    names = [json.loads(line)["intent"]["name"] for line in out.splitlines()]
    assert (code, names) == (0, ["greet", None, "bye"])


def test_info(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "# Model card" in run(capsys, "info", tiny_bundle)[1]
    assert json.loads(run(capsys, "info", tiny_bundle, "--json")[1])["manifest"]["format_version"] == 1


def test_verify(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "verify", tiny_bundle)
    assert code == 0
    assert "probe(s) answered as recorded" in out
    assert run(capsys, "verify", "embedded")[0] == 0


def test_export_from_a_folder_is_a_faithful_copy(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    assert run(capsys, "export", tiny_bundle, tmp_path / "copy")[0] == 0
    assert read_bundle(tmp_path / "copy").contents == read_bundle(tiny_bundle).contents


def test_errors_are_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "parse", tmp_path / "nowhere", "hello")
    assert (code, out) == (1, "")
    assert err.startswith("sqz-nlu: The bundle")
    assert err.count("\n") == 1


def test_usage_errors_exit_with_2() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["parsee"])
    assert stopped.value.code == 2


def test_the_installed_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sqz_nlu.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == __version__
