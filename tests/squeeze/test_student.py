"""Going on with an encoder that was squeezed before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from squeezing import options
from transformers import BertConfig, BertModel

from sqz_nlu.encoder.centring import centred, move_offset, norms_of_inputs, uses_of_input
from sqz_nlu.encoder.load import load_encoder, load_tokenizer, save_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import EncoderError, SqueezeError
from sqz_nlu.export.encoder import export_encoder
from sqz_nlu.squeeze import distil
from sqz_nlu.squeeze.convert import find_teacher
from sqz_nlu.squeeze.distil import Distillation
from sqz_nlu.squeeze.run import squeeze


@pytest.fixture(autouse=True)
def small_sample(monkeypatch) -> None:
    monkeypatch.setattr(distil, "_FIT_TOKENS", 3000)  # a sample of the real size takes seconds


@pytest.fixture(scope="module")
def first(teacher: Path, corpus: Path, tmp_path_factory) -> Path:
    """A student with fewer word pieces and layers than its teacher."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distil, "_FIT_TOKENS", 3000)
        out = tmp_path_factory.mktemp("first") / "out"
        pieces = len(load_tokenizer(find_teacher(str(teacher))).get_vocab())
        squeeze(options(teacher, corpus, out, groups=2, tokens=6000, vocab_size=pieces - 3), progress=False)
    return out


def pooled(points) -> float:
    """The mean cosine distance over some points of a history."""
    return sum(point["pooled"] for point in points) / len(points)


def again(teacher: Path, corpus: Path, out: Path, student: Path, **changes):
    return options(teacher, corpus, out, **{"student": str(student), "layers": None} | changes)


def test_its_weights_and_numbering_are_taken_over(
    teacher: Path, corpus: Path, first: Path, tmp_path: Path
) -> None:
    run = Distillation(again(teacher, corpus, tmp_path, first, quantization_aware=0.0))
    run.begin()
    expected = load_encoder(find_encoder(first)).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in run.student.state_dict().items())
    record = json.loads((first / "squeeze.json").read_text())
    assert run.order.channels.tolist() == record["order"]["channels"] != list(range(32))


def test_it_goes_on_from_where_the_student_was(
    teacher: Path, corpus: Path, first: Path, tmp_path: Path
) -> None:
    out = squeeze(
        again(teacher, corpus, tmp_path / "second", first, tokens=6000, learning_rate=3e-4), progress=False
    )
    before, after = (json.loads((folder / "squeeze.json").read_text()) for folder in (first, out))
    assert pooled(after["history"][:20]) < 0.8 * pooled(before["history"][:20])
    assert pooled(after["history"][-20:]) < 1.1 * pooled(before["history"][-20:])
    assert after["order"]["channels"] == before["order"]["channels"]
    assert after["started_from"]["tokens"] == before["tokens"]
    assert "history" not in after["started_from"]
    card = (out / "README.md").read_text()
    assert f"{before['tokens']:,} tokens" in card
    assert f"{after['tokens']:,} tokens" in card
    kept = load_tokenizer(find_encoder(first)).get_vocab()
    assert load_tokenizer(find_encoder(out)).get_vocab() == kept


def test_a_bundle_is_a_student_too(teacher: Path, corpus: Path, first: Path, tmp_path: Path) -> None:
    export_encoder(find_encoder(first), tmp_path / "bundle", "first")
    run = Distillation(again(teacher, corpus, tmp_path / "out", tmp_path / "bundle"))
    run.begin()
    run.advance()


def test_what_cannot_be_a_student(teacher: Path, corpus: Path, first: Path, tmp_path: Path) -> None:
    for name in ("groups", "layers", "vocab_size", "post_attention_groups"):
        with pytest.raises(
            SqueezeError, match=f"--{name.replace('_', '-')} is set, but the encoder of --stu"
        ):
            again(teacher, corpus, tmp_path, first, **{name: 2})
    with pytest.raises(EncoderError, match="no encoder folder"):
        Distillation(again(teacher, corpus, tmp_path, tmp_path / "none"))
    torch.manual_seed(1)
    config = BertConfig.from_pretrained(teacher)
    other = tmp_path / "other"
    shutil.copytree(teacher, other)
    BertModel(config).eval().save_pretrained(other)
    with pytest.raises(SqueezeError, match=r"position embeddings .* are not its teacher's"):
        Distillation(again(other, corpus, tmp_path, first))
    config.hidden_size = 64
    BertModel(config).eval().save_pretrained(other)
    with pytest.raises(
        SqueezeError, match="has 2 layers of 32 channels, the teacher 4 layers of 64 channels"
    ):
        Distillation(again(other, corpus, tmp_path, first))
    wordy = json.loads((first / "tokenizer.json").read_text())
    wordy["model"]["vocab"]["##zzz"] = len(wordy["model"]["vocab"]) + 7
    stranger = tmp_path / "stranger"
    shutil.copytree(first, stranger)
    (stranger / "tokenizer.json").write_text(json.dumps(wordy))
    with pytest.raises(SqueezeError, match="1 word pieces that the teacher lacks, such as '##zzz'"):
        Distillation(again(teacher, corpus, tmp_path, stranger))


def test_a_student_that_was_centred_gets_its_teachers_offsets_again(
    teacher: Path, corpus: Path, first: Path, tmp_path: Path
) -> None:
    """Losses compare states between the layers, which centring moves."""
    source = find_encoder(first)
    encoder, tokenizer = load_encoder(source).eval(), load_tokenizer(source)
    moved = centred(encoder, tokenizer)
    for norm, layer in zip(norms_of_inputs(moved), moved.encoder.layers, strict=True):
        move_offset(torch.linspace(-3.0, 3.0, 32), norm, *uses_of_input(layer))
    save_encoder(moved, tokenizer, tmp_path / "moved")

    run = Distillation(again(teacher, corpus, tmp_path, tmp_path / "moved", quantization_aware=0.0))
    run.begin()
    ids, mask = run._sample()[0]
    with torch.no_grad():
        *between, last = run.student.eval().hidden_states(ids, mask)
        *before, expected = encoder.hidden_states(ids, mask)
        *far, _ = moved.hidden_states(ids, mask)
    assert torch.allclose(last, expected, atol=1e-4)
    for restored, original, shifted in zip(between, before, far, strict=True):
        assert (restored - original).abs().max() < 0.5 < 2.0 < (shifted - original).abs().max()
