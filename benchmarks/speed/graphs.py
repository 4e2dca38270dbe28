"""The graphs that are compared. Those that torch exports are made once and kept in build/speed/."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from measure import Call

CACHE = Path(__file__).parents[2] / "build" / "speed"
SEED = 7


def base_geometry() -> Any:
    """SqueezeBERT-base: 12 layers of 768 in 4 groups."""
    from transformers import SqueezeBertConfig

    return SqueezeBertConfig(embedding_size=768)


def _encoder(config: Any) -> Any:
    """An encoder of a geometry with random weights; without one, that which ships with the package."""
    import torch

    from sqz_nlu.encoder.load import load_encoder
    from sqz_nlu.encoder.model import SqueezeBertEncoder
    from sqz_nlu.encoder.source import find_encoder

    torch.manual_seed(SEED)
    return load_encoder(find_encoder("embedded")) if config is None else SqueezeBertEncoder(config).eval()


def ours(config: Any = None) -> onnx.ModelProto:
    """The int8 graph of this version's lowering, of an encoder as `_encoder` makes it."""
    from sqz_nlu.encoder.load import numpy_parameters
    from sqz_nlu.export.graph import Int8Arithmetic
    from sqz_nlu.export.lowering import lower

    encoder = _encoder(config)
    return lower(encoder.config, numpy_parameters(encoder), Int8Arithmetic())


def interpreter(config: Any = None, intents: int = 0, types: int = 0, threads: int = 1) -> Any:
    """The runtime with an encoder as `_encoder` makes it, in int8.

    Its heads, if any, have random weights and find few entities.
    """
    from sqz_nlu import Interpreter
    from sqz_nlu.encoder.load import load_tokenizer, numpy_parameters
    from sqz_nlu.encoder.source import find_encoder
    from sqz_nlu.export.graph import Int8Arithmetic
    from sqz_nlu.export.lowering import HeadWeights
    from sqz_nlu.export.model import TrainedModel
    from sqz_nlu.runtime.bundle import MODEL, TOKENIZER, Bundle
    from sqz_nlu.runtime.interpreter import DecodingConfig
    from sqz_nlu.runtime.labels import LabelSpace

    encoder = _encoder(config)
    rng, width = np.random.default_rng(SEED), encoder.config.hidden_size
    labels = LabelSpace(
        tuple(f"intent_{n:04}" for n in range(intents)), tuple(f"type_{n:03}" for n in range(types))
    )

    def head(classes: int, first: float) -> HeadWeights | None:
        bias = np.zeros(classes, np.float32)
        bias[:1] = first
        weight = rng.normal(scale=0.5 / width**0.5, size=(classes, width)).astype(np.float32)
        return HeadWeights(weight, bias) if classes else None

    model = TrainedModel(
        encoder.config,
        numpy_parameters(encoder),
        load_tokenizer(find_encoder("embedded")).to_str(),
        DecodingConfig(labels),
        head(intents, 0.0),
        head(len(labels.tags) if types else 0, 2.0),
    )
    contents = {TOKENIZER: model.tokenizer.encode(), MODEL: model.lower(Int8Arithmetic())}
    bundle = Bundle(Path("(in memory)"), {"hidden_size": width}, model.config_file(), contents)
    return Interpreter(bundle, threads)


def bert_float() -> Path:
    """BERT-base with random weights as torch exports it."""
    from transformers import BertConfig, BertModel

    return _exported("bert-float", lambda: BertModel(BertConfig(attn_implementation="eager")))


def bert_int8() -> Path:
    """The same through ``quantize_dynamic``."""
    return _quantized("bert-int8", bert_float(), signed=True)


def squeezebert_float() -> Path:
    """SqueezeBERT-base of transformers as torch exports it."""
    from transformers import SqueezeBertModel

    return _exported("squeezebert-float", lambda: SqueezeBertModel(base_geometry()))


def squeezebert_uint8() -> Path:
    """The same through ``quantize_dynamic``; ONNX Runtime has no convolution of signed 8-bit weights."""
    return _quantized("squeezebert-uint8", squeezebert_float(), signed=False)


def _exported(name: str, make: Callable[[], Any]) -> Path:
    import torch

    path = CACHE / f"{name}.onnx"
    if path.is_file():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    ids = torch.ones(1, 12, dtype=torch.long)
    axes = {0: "batch", 1: "tokens"}
    unfinished = path.with_suffix(".part")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            make().eval(),
            (ids, torch.ones_like(ids)),
            str(unfinished),
            dynamo=False,
            opset_version=17,
            input_names=["input_ids", "attention_mask"],
            output_names=["states", "pooled"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes},
        )
    unfinished.rename(path)
    return path


def _quantized(name: str, source: Path, signed: bool) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = CACHE / f"{name}.onnx"
    if not path.is_file():
        unfinished = path.with_suffix(".part")
        quantize_dynamic(source, unfinished, weight_type=QuantType.QInt8 if signed else QuantType.QUInt8)
        unfinished.rename(path)
    return path


def session(
    model: onnx.ModelProto | Path, threads: int = 1, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session on the processor with all of ONNX Runtime's optimizations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run_of(opened: onnxruntime.InferenceSession, batch: int = 1, tokens: int = 12) -> Call:
    """A call that runs a session on random token ids."""
    ids = np.random.default_rng(SEED).integers(1000, 20000, (batch, tokens))
    feeds = {
        put.name: (ids if put.name == "input_ids" else np.ones_like(ids)).astype(
            np.int64 if put.type == "tensor(int64)" else np.int32
        )
        for put in opened.get_inputs()
    }
    output = [opened.get_outputs()[0].name]
    return lambda: opened.run(output, feeds)
