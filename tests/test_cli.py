from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from golden_set import BUNDLE, CONFIDENCE_IN_BATCHES, assert_golden, golden_parses

from sqz_nlu import __version__
from sqz_nlu.cli import build_parser, main
from sqz_nlu.cli.completion import verb_parsers
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


def test_batches_of_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = golden_parses(one_line=True)
    lines = "".join(parse["text"] + "\n" for parse in expected).encode() + b"caf\xe9\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines), "utf-8"))
    code, out, _ = run(capsys, "parse", BUNDLE, "--batch", 64, "--threads", 2)
    parses = [json.loads(line) for line in out.split("\n")[:-1]]
    assert code == 0
    assert_golden(parses[:-1], expected, CONFIDENCE_IN_BATCHES)
    assert parses[-1]["text"] == "caf\ufffd"


def test_info(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "info", tiny_bundle)[1]
    digest = hashlib.sha256((tiny_bundle / "model.onnx").read_bytes()).hexdigest()
    assert all(fact in lines for fact in ("bye, fly, greet", "from, to", "city, device, room", digest))
    assert "6 layers of 384" in run(capsys, "info", "embedded")[1]
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
    assert command("--version").stdout.decode().strip() == __version__


def command(*arguments: str, **options) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "sqz_nlu.cli", *arguments]
    return subprocess.run(line, capture_output=True, check=False, **options)


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "sqz_nlu.cli", "info", str(BUNDLE)]
    done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_what_the_shell_could_not_decode_comes_out_as_json() -> None:
    done = command("parse", str(BUNDLE), b"play caf\xe9".decode("utf-8", "surrogateescape"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "play caf\udce9"


def test_what_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "x" * 300]) == 1
    assert re.fullmatch(r"sqz-nlu: .*File name too long.*\n", capsys.readouterr().err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full here")
def test_a_full_disk_is_one_line() -> None:
    command = [sys.executable, "-m", "sqz_nlu.cli", "parse", str(BUNDLE), "hello"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left" in done.stderr


def test_an_interruption_is_exit_code_130(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __iter__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Terminal())
    assert run(capsys, "parse", BUNDLE) == (130, "", "sqz-nlu: interrupted\n")


def test_verify_and_info_read_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(BUNDLE, "components/train_sqz_nlu.SqueezeBertClassifier1/bundle")
    code, out, _ = run(capsys, "verify", tmp_path / "model.tar.gz")
    assert (code, "8 probe(s) answered as recorded" in out) == (0, True)
    assert "30: add_to_list" in run(capsys, "info", tmp_path / "model.tar.gz")[1]


def test_verify_sees_a_changed_byte(tmp_path: Path, capsys) -> None:
    shutil.copytree(BUNDLE, tmp_path / "bundle")
    file = tmp_path / "bundle" / "tokenizer.json"
    file.write_bytes(file.read_bytes().replace(b"kitchen", b"kitchem"))
    code, out, err = run(capsys, "verify", tmp_path / "bundle")
    assert (code, out) == (1, "")
    assert "SHA-256" in err


@pytest.mark.parametrize("model", [str(BUNDLE), "embedded"])
def test_bench_prints_json_and_a_table(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "bench", model, "--rounds", 3, "--words", 2, 5, "--threads", 2)
    report = json.loads(out)
    assert (code, report["threads"], report["rounds"]) == (0, 2, 3)
    assert [row["words"] for row in report["latency_ms"]] == [2, 5]
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in report["latency_ms"])
    assert min(report["import_seconds"], report["load_seconds"]) >= 0
    if sys.platform == "linux":
        assert report["resident_mib"]["after"] > 1
    assert len(err.splitlines()) == 5


def test_bench_takes_texts(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(run(capsys, "bench", BUNDLE, "--rounds", 1, "--text", "hi", "turn on the light")[1])
    assert [row["characters"] for row in report["latency_ms"]] == [2, 17]


@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_counts_are_checked(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["parse", str(BUNDLE), "hello", f"--threads={value}"])
    assert stopped.value.code == 2
    assert "whole number above 0" in capsys.readouterr().err


def test_counts_of_workers_are_checked_alike(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["annotate", "in", "out", "--model", str(BUNDLE), "--workers", "0"])
    assert "whole number above 0" in capsys.readouterr().err


def test_squeeze_without_its_extra_is_a_clear_error(tmp_path: Path) -> None:
    arguments = ["squeeze", "--teacher", "t", "--corpus", "c", "--out", str(tmp_path / "out")]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from sqz_nlu.cli import main; sys.exit(main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    wanted = 'sqz-nlu: `sqz-nlu squeeze` needs torch. Install it: pip install "sqz-nlu[squeeze]"\n'
    assert done.stderr == wanted


def test_every_verb_has_help_with_examples() -> None:
    for name, verb in verb_parsers(build_parser()).items():
        text = verb.format_help()
        assert f"sqz-nlu {name}" in re.split("examples?:\n", text)[-1], name
        assert "\nexample" in text, name


COMPLETE = """
source /dev/stdin
complete_line() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sqz_nlu; printf '%s\\n' "${COMPREPLY[*]}"
}
"""


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    script = run(capsys, "completion", "bash")[1]
    asked = "complete_line sqz-nlu pa; complete_line sqz-nlu parse --b; complete_line sqz-nlu completion fi"
    done = subprocess.run(["bash", "-c", COMPLETE + asked], input=script, capture_output=True, text=True)
    assert (done.stdout.splitlines(), done.stderr) == (["parse", "--batch", "fish"], "")


def test_zsh_and_fish_get_every_verb_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    zsh, fish = run(capsys, "completion", "zsh")[1], run(capsys, "completion", "fish")[1]
    assert zsh.startswith("autoload -U +X bashcompinit")
    for name, verb in verb_parsers(build_parser()).items():
        assert f"-a {name} -d '" in fish
        for action in verb._actions:
            for option in action.option_strings:
                assert option in zsh
                assert f"-l {option[2:]} " in fish or f"-s {option[1:]} " in fish
    for shell, script in (("zsh", zsh), ("fish", fish)):
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    script = Path(__file__).parent.parent / "scripts" / "cli_page.py"
    subprocess.run([sys.executable, script, "--check"], check=True)
