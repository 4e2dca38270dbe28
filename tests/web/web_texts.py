"""A thousand texts as people and machines write them, the same on every machine."""

from __future__ import annotations

import random

from sqz_nlu.runtime.results import ParseResult

SENTENCES = (
    "turn on the light in the kitchen",
    "turn off the lights in the garden, bedroom and kitchen",
    "kitchen on, bedroom on",
    "fly from paris to new york",
    "fly from london to paris, please!",
    "move 1,000 lights to the garden",
    "hello hi",
    "bye",
)
STRANGE = (
    "\U0001f44d\U0001f3fd",  # an emoji with a skin tone
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, joined with ZWJ
    "\U0001f1eb\U0001f1f7",  # a flag
    "caf\u00e9",
    "cafe\u0301",
    "\u0130stanbul",
    "Stra\u00dfe",
    "\u1e69\u0323\u0307",  # marks out of canonical order
    "\u5317\u4eac",
    "\u6771\u4eac\u30bf\u30ef\u30fc",
    "\ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "z\u0351\u036b\u0343a\u0363\u0353l\u0348g\u0347o\u031e",  # marks upon marks
    "\x00",
    "a\x00b",
    "\ufffd",
    "\ud83d",  # half of a pair
    "\u00a0",
    "\u2028",
    "\u200b",
    "\u202eabc\u202c",
    "\u0085",
    "\U0001d15e\U0001d16d\U0001d167",  # marks that stay, to be sorted
    "\u1b05\u1b44\u1b34",
    " \u1b44\u1b34",
    "\uac00\u302e\u0301",
    "\U00020000\u2f81a\U0002b900\U0002f81a",
    "\u0661,\u0662",
    "\U0001d7cf,\U0001d7d0",
    "\u00b2,\u00b3",
    "3,5",
    ",",
    ",,",
    "$12.50",
    "http://example.com/?q=1&r=2",
    "don't",
    "___",
    "[SEP]",
    "[CLS]paris[MASK]",
    "[unk]",
    "\U0010fffe",
    "\u0378",
    "\ue000",
    "x" * 120,
    "\t",
    "\r\n",
    "\x0b",
    "\u3000",
    "\u0345\u0301",
    "\u01c5\u2126\u212b",
    "\u03a3\u03a3",
    "\U00010400\U0001e900",
)


def make_texts(count: int = 1000, seed: int = 20) -> list[str]:
    """Sentences, strange things inside and beside them, and characters from all of Unicode."""
    rng = random.Random(seed)
    texts = ["", " ", *STRANGE]
    while len(texts) < count:
        words = rng.choice(SENTENCES).split(" ")
        for _ in range(rng.randrange(4)):
            _insert(rng, words, rng.choice(STRANGE))
        if rng.random() < 0.2:
            _insert(rng, words, "".join(_anything(rng) for _ in range(rng.randrange(1, 6))))
        text = rng.choice((" ", " ", " ", "  ", "")).join(words)
        texts.append(rng.choice((str, str, str.upper, str.title))(text))
    return texts[:count]


def _insert(rng: random.Random, words: list[str], thing: str) -> None:
    place = rng.randrange(len(words))
    if rng.random() < 0.5:
        words.insert(place, thing)
    else:
        cut = rng.randrange(len(words[place]) + 1)
        words[place] = words[place][:cut] + thing + words[place][cut:]


def _anything(rng: random.Random) -> str:
    point = rng.choice(
        (rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0xD800), rng.randrange(0x110000))
    )
    return " " if 0xD800 <= point < 0xE000 else chr(point)


def in_code_units(text: str, place: int) -> int:
    """A place in code points as JavaScript counts it."""
    return place + sum(character > "\uffff" for character in text[:place])


def as_javascript(result: ParseResult) -> dict:
    """The JSON of a result with its places in UTF-16 code units."""
    return in_javascript(result.to_dict())


def in_javascript(answer: dict) -> dict:
    """The JSON of a parse with its places in UTF-16 code units; changed in place."""
    text = answer["text"]
    answer["text_tokens"] = [[in_code_units(text, place) for place in word] for word in answer["text_tokens"]]
    for entity in answer["entities"]:
        entity |= {edge: in_code_units(text, entity[edge]) for edge in ("start", "end")}
    return answer
