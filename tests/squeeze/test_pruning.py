from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from squeezing import options
from tiny import WORDS, tiny_tokenizer
from tokenizers import Tokenizer, models, processors
from transformers import SqueezeBertModel

from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.convert import load_teacher
from sqz_nlu.squeeze.run import squeeze
from sqz_nlu.squeeze.vocabulary import choose_pieces, prune

ALL = tiny_tokenizer().get_vocab_size()
CHARACTERS = ALL - len(WORDS)


def states(encoder, tokenizer, text: str) -> torch.Tensor:
    ids = torch.tensor([tokenizer.encode(text).ids])
    with torch.no_grad():
        return encoder(ids, torch.ones_like(ids))


def counts_of(tokenizer, *texts: str) -> np.ndarray:
    ids = [i for encoding in tokenizer.encode_batch(texts) for i in encoding.ids]
    return np.bincount(ids, minlength=tokenizer.get_vocab_size())


def test_what_is_kept_stays_as_it_was(teacher: Path) -> None:
    whole, tokenizer = load_teacher(str(teacher))
    before = tokenizer.to_str()
    counts = counts_of(tokenizer, "fly from paris to london", "fly to paris", "light")
    pruned, smaller = prune(whole, tokenizer, counts, CHARACTERS + 4)
    assert tokenizer.to_str() == before
    assert len(whole.embeddings.word_embeddings.weight) == ALL
    # fly, paris and to occur twice; of those that occur once the first in the old order stays
    assert set(WORDS) & set(smaller.get_vocab()) == {"fly", "paris", "to", "light"}
    assert smaller.get_vocab_size() == pruned.config.vocab_size == CHARACTERS + 4
    old, new = tokenizer.get_vocab(), smaller.get_vocab()
    order = sorted(new, key=new.get)
    assert order == sorted(order, key=old.get)
    assert sorted(new.values()) == list(range(CHARACTERS + 4))
    rows, smaller_rows = whole.embeddings.word_embeddings.weight, pruned.embeddings.word_embeddings.weight
    assert all(torch.equal(rows[old[piece]], smaller_rows[new[piece]]) for piece in new)
    for text in ("fly to paris", "Light!", "xyz 12", ""):
        assert smaller.encode(text).tokens == tokenizer.encode(text).tokens
        assert torch.equal(states(pruned, smaller, text), states(whole, tokenizer, text))
    assert smaller.encode("london").tokens == ["[CLS]", "l", *(f"##{letter}" for letter in "ondon"), "[SEP]"]


def test_more_than_there_are_keeps_all(teacher: Path) -> None:
    whole, tokenizer = load_teacher(str(teacher))
    pruned, same = prune(whole, tokenizer, counts_of(tokenizer, "hello"), 10 * ALL)
    assert same.get_vocab() == tokenizer.get_vocab()
    assert torch.equal(states(pruned, same, "hello"), states(whole, tokenizer, "hello"))


def test_every_place_with_an_id_is_renumbered(teacher: Path) -> None:
    pieces = "[unused0] [unused1] [PAD] long [UNK] [CLS] [SEP] [MASK] words a ##a".split()
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    template = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 5), ("[SEP]", 6)])
    tokenizer.post_processor = processors.Sequence([template])
    tokenizer.enable_padding(pad_id=2)
    whole, _ = load_teacher(str(teacher))
    whole.config.pad_token_id = 2
    pruned, smaller = prune(whole, tokenizer, counts_of(tokenizer, "words"), 8)
    kept = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "words", "a", "##a"]
    assert [smaller.id_to_token(index) for index in range(8)] == kept
    assert smaller.encode("words").ids == [2, 5, 3]
    assert smaller.encode_batch(["words", ""])[1].ids == [2, 3, 0]
    assert pruned.config.pad_token_id == 0
    # names that BERT keeps free go before words that the text does not use
    _, smaller = prune(whole, tokenizer, counts_of(tokenizer, "a"), 9)
    assert smaller.get_vocab_size() == 9
    assert smaller.token_to_id("[unused0]") is None
    assert smaller.token_to_id("long") is not None


def test_what_cannot_be(teacher: Path) -> None:
    _, tokenizer = load_teacher(str(teacher))
    with pytest.raises(SqueezeError, match=f"--vocab-size is 9, .* alone are {CHARACTERS} .* at least"):
        choose_pieces(tokenizer, np.zeros(ALL, np.int64), 9)
    other = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    with pytest.raises(SqueezeError, match="needs a WordPiece tokenizer; the teacher's is BPE"):
        choose_pieces(other, np.zeros(2, np.int64), 9)
    whole, _ = load_teacher(str(teacher))
    tokenizer.add_tokens(["newcomer"])
    with pytest.raises(SqueezeError, match=f"has the id {ALL}, but its embeddings have {ALL} rows"):
        prune(whole, tokenizer, np.zeros(ALL, np.int64), 2 * ALL)


def test_a_squeezed_encoder_with_a_smaller_vocabulary(teacher: Path, corpus: Path, tmp_path: Path) -> None:
    size = CHARACTERS + 8
    run = options(teacher, corpus, tmp_path / "out", tokens=600, vocab_size=size)
    source = find_encoder(squeeze(run, progress=False))
    assert source.read_config()["vocab_size"] == load_tokenizer(source).get_vocab_size() == size
    ids = torch.tensor([load_tokenizer(source).encode("turn on the light").ids])
    theirs = SqueezeBertModel.from_pretrained(source.folder).eval()(ids).last_hidden_state
    assert torch.allclose(load_encoder(source)(ids, torch.ones_like(ids)), theirs, atol=1e-5)
    assert json.loads((source.folder / "squeeze.json").read_text())["settings"]["vocab_size"] == size
