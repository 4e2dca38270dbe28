from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from squeezing import options
from tiny import tiny_tokenizer
from transformers import BertModel, SqueezeBertConfig, SqueezeBertModel

from sqz_nlu.encoder.load import load_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import EncoderError, OptionError, SqueezeError
from sqz_nlu.squeeze import distil
from sqz_nlu.squeeze.convert import copy_teacher, kept_layers, load_teacher, new_student
from sqz_nlu.squeeze.corpus import plan_batches, read_lines, tokenize
from sqz_nlu.squeeze.distil import Distillation
from sqz_nlu.squeeze.options import Groups, SqueezeOptions
from sqz_nlu.squeeze.run import CHECKPOINT, squeeze


def test_a_bert_is_a_squeezebert_with_one_group(teacher: Path) -> None:
    converted, tokenizer = load_teacher(str(teacher))
    original = BertModel.from_pretrained(teacher).eval()
    encoding = tokenizer.encode_batch(["turn on the light", "fly from paris to london"])
    width = max(len(e.ids) for e in encoding)
    ids = torch.tensor([e.ids + [0] * (width - len(e.ids)) for e in encoding])
    mask = (ids != 0).long()
    expected = original(ids, mask).last_hidden_state
    assert torch.allclose(converted(ids, mask)[mask.bool()], expected[mask.bool()], atol=1e-5)


def test_a_student_keeps_what_it_can(teacher: Path) -> None:
    source, _ = load_teacher(str(teacher))
    student = new_student(source, Groups(attention=4, post_attention=1, feed_forward=4), layers=2)
    copy_teacher(source, student)
    assert student.config.q_groups == 4
    kept = source.encoder.layers[1]
    first = student.encoder.layers[0]
    assert torch.equal(first.post_attention.conv1d.weight, kept.post_attention.conv1d.weight)
    blocks = first.attention.query.weight.view(4, 8, 8)
    for group in range(4):
        rows = slice(8 * group, 8 * group + 8)
        assert torch.equal(blocks[group], kept.attention.query.weight[rows, rows, 0])
    assert kept_layers(6, 3) == [1, 3, 5]
    assert kept_layers(4, 4) == [0, 1, 2, 3]


def test_each_projection_has_the_groups_asked_for(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    asked = {"groups": 4, "attention_groups": 2, "feed_forward_groups": 8, "post_attention_groups": 4}
    folder = squeeze(options(teacher, corpus, tmp_path / "out", tokens=300, **asked), progress=False)
    config = SqueezeBertConfig.from_pretrained(folder)
    assert [config.q_groups, config.k_groups, config.v_groups] == [2, 2, 2]
    assert [config.intermediate_groups, config.output_groups, config.post_attention_groups] == [8, 8, 4]
    theirs = SqueezeBertModel.from_pretrained(folder).eval()
    ids = torch.randint(5, 60, (3, 8))
    ours = load_encoder(find_encoder(folder))(ids, torch.ones_like(ids))
    assert torch.allclose(ours, theirs(ids).last_hidden_state, atol=1e-5)
    plain = options(teacher, corpus, tmp_path / "plain").group_counts()
    assert plain == Groups(attention=4, post_attention=1, feed_forward=4)


def test_distilling_brings_the_student_close_and_transformers_can_read_it(
    teacher: Path, corpus: Path, tmp_path: Path
) -> None:
    asked = options(teacher, corpus, tmp_path / "out", tokens=15000, precision="float32")
    out = squeeze(asked, progress=False)
    history = json.loads((out / "squeeze.json").read_text())["history"]
    assert history[-1]["pooled"] < 0.75 * history[0]["pooled"]
    assert not (out / CHECKPOINT).exists()
    ours = load_encoder(find_encoder(out))
    theirs = SqueezeBertModel.from_pretrained(out).eval()
    ids = torch.randint(5, 60, (3, 8))
    expected = theirs(ids).last_hidden_state
    assert torch.allclose(ours(ids, torch.ones_like(ids)), expected, atol=1e-5)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(
    teacher: Path, corpus: Path, tmp_path: Path
) -> None:
    run = Distillation(options(teacher, corpus, tmp_path))
    run.save(tmp_path / CHECKPOINT)
    with pytest.raises(SqueezeError, match="other settings"):
        squeeze(options(teacher, corpus, tmp_path, groups=2), progress=False)
    (tmp_path / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(SqueezeError, match="cannot be read"):
        squeeze(options(teacher, corpus, tmp_path), progress=False)


def test_bad_input_is_one_clear_line(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    broken = tmp_path / "broken.txt.xz"
    broken.write_bytes(b"not xz")
    other = tmp_path / "gpt"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    save_file({"w": torch.zeros(1)}, other / "model.safetensors")
    tiny_tokenizer().save(str(other / "tokenizer.json"))
    cases = [
        ({"corpus": (empty,)}, SqueezeError, "no text"),
        ({"corpus": (tmp_path / "none.txt",)}, SqueezeError, "no corpus file"),
        ({"corpus": (broken,)}, SqueezeError, "cannot be read"),
        ({"groups": 3}, EncoderError, "3 groups do not divide"),
        ({"layers": 9}, SqueezeError, "the teacher has 4"),
        ({"teacher": str(other)}, SqueezeError, "model_type 'gpt2'"),
        ({"teacher": "./nowhere"}, SqueezeError, "No teacher was found"),
        ({"corpus": (tmp_path,)}, SqueezeError, "cannot be read"),
        ({"max_length": 65}, SqueezeError, "the teacher has 64 positions"),
        ({"vocab_size": 20}, SqueezeError, "--vocab-size is 20"),
        ({"out": empty}, SqueezeError, "cannot be made"),
        ({"eval": tmp_path / "none"}, SqueezeError, "has no data set"),
        ({"tensorboard": empty}, OptionError, "--tensorboard is .* cannot be written"),
    ]
    for change, kind, message in cases:
        fields = {"teacher": str(teacher), "corpus": (corpus,), "out": tmp_path / "out", "max_length": 24}
        with pytest.raises(kind, match=message):
            squeeze(SqueezeOptions(**fields | change), progress=False)
    for name in ("groups", "attention_groups", "feed_forward_groups", "layers", "vocab_size"):
        with pytest.raises(SqueezeError, match=f"{name} is 0"):
            options(teacher, corpus, tmp_path, **{name: 0})
    with pytest.raises(SqueezeError, match="tokens is -1; expected 0 or more"):
        options(teacher, corpus, tmp_path, tokens=-1)
    with pytest.raises(SqueezeError, match="pooled_weight is -1"):
        options(teacher, corpus, tmp_path, pooled_weight=-1.0)


def test_without_training_tokens_the_first_weights_stay(
    teacher: Path, corpus: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(distil, "_FIT_TOKENS", 3000)  # a sample of the real size takes seconds
    settings = options(teacher, corpus, tmp_path / "out", tokens=0)
    begun = Distillation(settings)
    begun.begin()
    folder = squeeze(settings, progress=False)
    ours, begun_state = load_encoder(find_encoder(folder)).state_dict(), begun.student.state_dict()
    assert all(torch.equal(value, begun_state[name]) for name, value in ours.items())
    record = json.loads((folder / "squeeze.json").read_text())
    assert (record["steps"], record["history"]) == (0, [])
    source, _ = load_teacher(str(teacher))
    channels = record["order"]["channels"]
    assert channels != list(range(32))
    assert 0 < record["order"]["kept"] < 1
    places = source.embeddings.position_embeddings.weight[:, channels]
    assert torch.equal(ours["embeddings.position_embeddings.weight"], places)
    card = (folder / "README.md").read_text()
    assert "without training (`--tokens 0`)" in card
    assert "Distilled" not in card
    trained = Distillation(options(teacher, corpus, tmp_path / "long", tokens=9000))
    trained.begin()
    assert all(torch.equal(v, begun_state[name]) for name, v in trained.student.state_dict().items())


def test_the_teachers_own_shape_keeps_its_weights(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    begun = Distillation(options(teacher, corpus, tmp_path / "out", tokens=0, groups=1, layers=4))
    begun.begin()
    source, _ = load_teacher(str(teacher))
    theirs = source.encoder.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in begun.student.encoder.state_dict().items())
    assert begun.order.channels.tolist() == list(range(32))


def test_batches_cover_the_text_within_their_size(corpus: Path) -> None:
    text = tokenize([corpus, corpus], tiny_tokenizer(), 24)
    assert text.lines == {"text.txt.xz": 2 * len(list(read_lines(corpus)))}
    total = int(text.lengths.sum())
    batches = plan_batches(text.lengths, total, 120, seed=1)
    seen = np.concatenate(batches)
    assert len(np.unique(seen)) == len(seen) == len(text.lengths)
    for rows in batches:
        ids, mask = text.batch(rows)
        assert ids.size <= 120
        assert (mask.sum(1) == text.lengths[rows]).all()
    again = plan_batches(text.lengths, total, 120, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    assert sum(int(text.lengths[b].sum()) for b in plan_batches(text.lengths, 3 * total, 120, 1)) >= 3 * total


def test_a_squeezed_encoder_trains(teacher: Path, corpus: Path, tmp_path: Path, tiny_examples) -> None:
    from sqz_nlu.fit import fit
    from sqz_nlu.training.options import TrainingOptions

    out = squeeze(options(teacher, corpus, tmp_path / "out", tokens=1000), progress=False)
    report = fit(tiny_examples, TrainingOptions(model=str(out), epochs=1), tmp_path / "bundle")
    assert report.bundle.is_dir()
