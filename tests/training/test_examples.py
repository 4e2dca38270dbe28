from __future__ import annotations

import logging

import pytest
from tiny import annotated, tiny_tokenizer

from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.dataset import IGNORE, collate, encode_examples
from sqz_nlu.training.examples import EntitySpan, Example, Misalignments, align, label_space


def aligned(example: Example) -> tuple[list[tuple[int, int]], Misalignments]:
    misaligned = Misalignments()
    words = TextEncoder(tiny_tokenizer(), 48).encode(example.text).words
    spans = align(example, words, misaligned)
    return [(span.first, span.last) for span in spans], misaligned


def test_annotations_at_word_boundaries_are_kept() -> None:
    spans, misaligned = aligned(annotated("fly to <new york|city> on <a|x>", "fly"))
    assert spans == [(2, 3), (5, 5)]
    assert misaligned.messages == {}


@pytest.mark.parametrize(
    ("start", "end", "words", "phrase"),
    [
        (5, 8, (1, 1), "learned as 'lights' (5:11)"),
        (4, 11, (1, 1), "learned as 'lights' (5:11)"),
        (5, 14, (1, 2), "learned as 'lights on' (5:14)"),
        (4, 5, None, "covers no word"),
        (9, 9, None, "covers no word"),
        (50, 60, None, "covers no word"),
    ],
)
def test_others_are_moved_to_the_nearest_words_and_listed(start, end, words, phrase) -> None:
    example = Example("turn lights on", "x", (EntitySpan(start, end, "device"),))
    spans, misaligned = aligned(example)
    assert spans == ([words] if words else [])
    messages = list(misaligned.messages.values())
    if phrase.startswith("learned") and (start, end) == (5, 14):
        assert messages == []
    else:
        assert len(messages) == 1
        assert phrase in messages[0]
        assert f"({start}:{end}, device)" in messages[0]


def test_the_list_is_logged_once_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    examples = [Example("turn lights on", "x", (EntitySpan(5, 8, "device"),))] * 3
    labels = label_space(examples, True, True, True)
    with caplog.at_level(logging.WARNING):
        encode_examples(examples, labels, TextEncoder(tiny_tokenizer(), 48))
    (record,) = caplog.records
    assert record.getMessage().startswith("1 entity annotation(s)")


def test_of_overlapping_annotations_the_first_stays() -> None:
    spans = (EntitySpan(0, 11, "a"), EntitySpan(5, 11, "b"))
    words, misaligned = aligned(Example("turn lights on", "x", spans))
    assert words == [(0, 1)]
    (message,) = misaligned.messages.values()
    assert "'lights' (5:11, b)" in message
    assert "overlaps 'turn lights' (a) and was left out" in message
    twice = aligned(Example("turn lights on", "x", (spans[0], spans[0])))
    assert (twice[0], twice[1].messages) == ([(0, 1)], {})


def test_annotations_beyond_the_length_limit_are_not_reported() -> None:
    text = "light " * 60
    example = Example(text, "x", (EntitySpan(0, 5, "a"), EntitySpan(300, 305, "a")))
    spans, misaligned = aligned(example)
    assert spans == [(0, 0)]
    assert misaligned.messages == {}


def test_an_annotation_that_the_length_limit_cuts_is_neither_learned_nor_reported() -> None:
    text = "light " * 60
    reach = TextEncoder(tiny_tokenizer(), 48).encode(text).words[-1][1]
    example = Example(text, "x", (EntitySpan(0, 5, "a"), EntitySpan(reach - 5, reach + 6, "a")))
    spans, misaligned = aligned(example)
    assert spans == [(0, 0)]
    assert misaligned.messages == {}


def test_an_entity_inside_another_is_not_beside_it() -> None:
    def touching(*spans: EntitySpan) -> tuple[str, ...]:
        return label_space([Example("turn lights on", "x", spans)], True, True, True).touching

    assert touching(EntitySpan(0, 11, "a"), EntitySpan(5, 11, "a")) == ()
    assert touching(EntitySpan(0, 4, "a"), EntitySpan(5, 11, "a")) == ("a",)


def test_label_space_and_its_json() -> None:
    examples = [
        annotated("from <paris|city|from> to <london|city|to||>", "fly"),
        annotated("<kitchen|room||1>", "on"),
        annotated("<garden|room>", None),
    ]
    labels = label_space(examples, True, True, True)
    assert labels.intents == ("fly", "on")
    assert labels.tags == (
        "O",
        "B-city",
        "B-room",
        "I-city",
        "I-room",
        "L-city",
        "L-room",
        "U-city",
        "U-room",
    )
    assert labels.roles_of == {"city": ("from", "to"), "room": (None,)}
    assert labels.groups_of["room"] == (None, "1")
    assert labels.touching == ()
    assert LabelSpace.from_dict(labels.to_dict()) == labels
    both = label_space([annotated("<hi|x> <on|x>, <off|y> and <off|y>", None)], True, True, True)
    assert both.touching == ("x",)
    assert label_space(examples, False, False, True) == LabelSpace()


def test_rows_tag_the_first_token_of_each_word() -> None:
    examples = [annotated("fly to <york kitchen|city|to>", "fly"), annotated("hi", None)]
    labels = label_space(examples, True, True, True)
    first, second = encode_examples(examples, labels, TextEncoder(tiny_tokenizer(), 48))
    words = [index for index, tag in enumerate(first.tags) if tag != IGNORE]
    assert [labels.tags[first.tags[index]] for index in words] == ["O", "O", "B-city", "L-city"]
    assert [first.roles[index] for index in words] == [IGNORE, IGNORE, 1, 1]
    assert second.intent == IGNORE
    batch = collate([first, second])
    assert batch.ids.shape == batch.tags.shape == (2, len(first.ids))
    assert batch.mask.sum().item() == len(first.ids) + len(second.ids)
