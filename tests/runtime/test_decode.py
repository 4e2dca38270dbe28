from __future__ import annotations

import numpy as np
import pytest

from sqz_nlu.runtime.bilou import TaggedSpan
from sqz_nlu.runtime.decode import EntityDecoder, decode_plain, merge_touching, split_at_commas
from sqz_nlu.runtime.labels import LabelSpace


def test_plain_tags_merge_neighbours_of_one_type() -> None:
    logits = np.eye(3)[[1, 1, 0, 2, 1]] * 9.0
    spans = decode_plain(logits)
    assert [(s.first, s.last, s.entity) for s in spans] == [(0, 1, 0), (3, 3, 1), (4, 4, 0)]
    assert decode_plain(np.zeros((0, 5))) == []


def test_touching_spans_of_a_type_are_one_unless_training_had_them_apart() -> None:
    spans = [
        TaggedSpan(0, 0, 1, 0.9),
        TaggedSpan(1, 2, 1, 0.8),
        TaggedSpan(3, 3, 0, 0.7),
        TaggedSpan(5, 5, 0, 1.0),
    ]
    assert merge_touching(spans, ()) == [TaggedSpan(0, 2, 1, 0.8), *spans[2:]]
    assert merge_touching(spans, {1}) == spans


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("milk, bread", [(0, 0), (2, 2)]),
        ("milk bread", [(0, 1)]),
        ("1,000", [(0, 2)]),
        ("milk,", [(0, 0)]),
        (",", []),
    ],
)
def test_commas_split_entities_but_not_numbers(text: str, pieces: list[tuple[int, int]]) -> None:
    words, position = [], 0
    for word in text.replace(",", " , ").split():
        start = text.index(word, position)
        words.append((start, start + len(word)))
        position = start + len(word)
    whole = TaggedSpan(0, len(words) - 1, 0, 0.5)
    found = split_at_commas(whole, tuple(words), text)
    assert [(s.first, s.last) for s in found] == pieces


def test_roles_are_limited_to_those_seen_with_the_type() -> None:
    labels = LabelSpace(
        entities=("city", "room"),
        roles=("from", "to"),
        roles_of={"city": ("from", "to"), "room": (None,)},
        bilou=False,
    )
    decoder = EntityDecoder(labels, {}, True)
    tags = np.eye(3)[[1, 2]] * 9.0
    roles = np.array([[9.0, 2.0, 1.0], [0.0, 9.0, 0.0]])  # "no role" wins by far, then "from"
    city, room = decoder.decode(np.hstack([tags, roles]), ((0, 5), (6, 10)), "paris hall")
    assert (city.entity, city.role, room.entity, room.role) == ("city", "from", "room", None)
    assert 0.5 < city.confidence_role <= 1.0
    assert room.confidence_role is None
