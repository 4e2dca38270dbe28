from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from sqz_nlu import Interpreter
from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.bundle import read_bundle
from sqz_nlu.runtime.graph_outputs import with_output
from sqz_nlu.runtime.interpreter import states_name

TEXTS = ["turn on the light", "hi", "", "Étoile 🙂 lights!", "kitchen lights off", "hello"]


def test_every_token_has_a_state_and_a_place(interpreter: Interpreter) -> None:
    for text, found in zip(TEXTS, interpreter.token_states(TEXTS), strict=True):
        assert found.states.shape == (len(found.spans), 32)
        assert found.states.dtype == np.float32
        assert found.spans[0] == found.spans[-1] == (0, 0)
        assert all(start < end <= len(text) for start, end in found.spans[1:-1])
        assert np.allclose(found.states.mean(0), found.embedding, atol=1e-5)
    assert found.spans[1:-1] == ((0, 5),)
    assert interpreter.token_states([]) == []
    with pytest.raises(TypeError, match="single string"):
        interpreter.token_states("hello")


def test_the_mean_is_what_embed_gives(interpreter: Interpreter) -> None:
    states = interpreter.token_states(TEXTS)
    assert np.array_equal(np.stack([found.embedding for found in states]), interpreter.embed(TEXTS))


def test_states_are_those_of_the_network(tiny_encoder: Path, tmp_path: Path) -> None:
    import torch

    from sqz_nlu.encoder.load import load_encoder, load_tokenizer, numpy_parameters
    from sqz_nlu.encoder.source import find_encoder
    from sqz_nlu.export.graph import FloatArithmetic
    from sqz_nlu.export.model import TrainedModel
    from sqz_nlu.runtime.bundle import Bundle
    from sqz_nlu.runtime.interpreter import DecodingConfig

    source = find_encoder(tiny_encoder)
    encoder, tokenizer = load_encoder(source), load_tokenizer(source)
    model = TrainedModel(encoder.config, numpy_parameters(encoder), tokenizer.to_str(), DecodingConfig())
    contents = {"tokenizer.json": model.tokenizer.encode(), "model.onnx": model.lower(FloatArithmetic())}
    ours = Interpreter(Bundle(tmp_path, {}, model.config_file(), contents)).token_states(TEXTS)
    for text, found in zip(TEXTS, ours, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            expected = encoder(ids, torch.ones_like(ids))[0].numpy()
        assert np.allclose(found.states, expected, atol=1e-4)


def test_parsing_is_the_same_before_and_after(tiny_bundle: Path) -> None:
    fresh = Interpreter.load(tiny_bundle)
    before = [fresh.parse(text) for text in TEXTS]
    fresh.token_states(TEXTS)
    assert [fresh.parse(text) for text in TEXTS] == before


def test_threads_may_parse_and_ask_for_states_at_once(tiny_bundle: Path) -> None:
    shared, failures = Interpreter.load(tiny_bundle), []
    expected = shared.parse("hello"), Interpreter.load(tiny_bundle).token_states(["hello"])[0].states

    def work(turn: int) -> None:
        try:
            same = shared.parse("hello") == expected[0]
            if turn % 2:
                same = same and np.array_equal(shared.token_states(["hello"])[0].states, expected[1])
            failures.extend([] if same else ["other answers"])
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_appended_bytes_are_one_more_output_and_nothing_else(tiny_bundle: Path) -> None:
    model = read_bundle(tiny_bundle).model
    for name in (states_name(0), states_name(2), "layers.1." + "attended"):
        changed = onnx.load_from_string(with_output(model, name))
        assert changed.graph.output.pop().name == name
        assert changed == onnx.load_from_string(model)
        onnxruntime.InferenceSession(with_output(model, name), providers=["CPUExecutionProvider"])
    with pytest.raises(BundleError, match=r"no tensor 'layers\.7\.states'"):
        with_output(model, "layers.7.states")


def test_a_graph_without_states_still_parses(tiny_bundle: Path) -> None:
    from dataclasses import replace

    bundle = read_bundle(tiny_bundle)
    for encoder in ({}, {"num_hidden_layers": 9}):
        other = Interpreter(replace(bundle, config={**bundle.config, "encoder": encoder}))
        with pytest.raises(BundleError, match="token states"):
            other.token_states(["hello"])
        assert other.parse("hello") == Interpreter(bundle).parse("hello")
