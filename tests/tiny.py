"""A tiny tokenizer, configuration and annotated examples, for tests of every room."""

from __future__ import annotations

import string

WORDS = (
    "turn on off the light lights in kitchen bedroom garden from to move music fly hello hi bye paris london"
).split()


def tiny_tokenizer():
    """BERT's tokenization over a vocabulary of letters and a few words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    characters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase + string.digits] + WORDS
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def tiny_config(**changes):
    """Two layers of width 32 in 4 groups."""
    from transformers import SqueezeBertConfig

    fields = {
        "vocab_size": tiny_tokenizer().get_vocab_size(),
        "hidden_size": 32,
        "embedding_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return SqueezeBertConfig(**fields | changes)


def tiny_model(layers=2):
    """An encoder of that width, with random weights."""
    import torch

    from sqz_nlu.encoder.model import SqueezeBertEncoder

    torch.manual_seed(0)
    return SqueezeBertEncoder(tiny_config(num_hidden_layers=layers))


def padded_texts():
    """Token ids of three texts and their mask, both ``[3, 5]``, padded from 5, 2 and 3 tokens."""
    import torch

    ids = torch.tensor([[5, 6, 7, 8, 9], [4, 3, 0, 0, 0], [9, 9, 2, 0, 0]])
    return ids, (ids > 0).long()


def annotated(marked: str, intent: str | None):
    """An example from text with entities marked as ``<text|entity|role|group>``."""
    from sqz_nlu.training.examples import EntitySpan, Example

    text, spans = "", []
    for part in marked.split("<"):
        if ">" not in part:
            text += part
            continue
        inside, rest = part.split(">")
        value, entity, role, group = [*inside.split("|"), "", ""][:4]
        spans.append(EntitySpan(len(text), len(text) + len(value), entity, role or None, group or None))
        text += value + rest
    return Example(text, intent, tuple(spans))
