"""The mobile target: a model in ONNX Runtime's own format, with what an app needs around it.

model.ort                   the graph, optimised once and for all
required_operators.config   its operators, for a reduced build of ONNX Runtime
sqz-nlu.js                  tokenizer and decoder, for the JavaScript engine that every phone has
tokenizer.json, config.json what they read
README.md                   the model card
manifest.json               size and SHA-256 of every file
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime

from sqz_nlu.errors import ExportError
from sqz_nlu.export.script import classic_script
from sqz_nlu.export.target import require_labels, write_target
from sqz_nlu.runtime.bundle import CARD, CONFIG, MANIFEST, TOKENIZER, Bundle, describe, seal

ORT_MODEL = "model.ort"
OPERATORS = "required_operators.config"
SCRIPT = "sqz-nlu.js"
# A folder with all of these is ours, and may be replaced; an app has the first two, too.
_SIGNS = (SCRIPT, ORT_MODEL, OPERATORS, MANIFEST)
_ERRORS_ONLY = 3


def export_mobile(bundle: Bundle, folder: Path) -> Path:
    """Writes the folder; one that an export wrote before is replaced.

    Args:
        bundle: a bundle with intents or entities.
        folder: where.

    Raises:
        BundleError: the bundle holds an encoder only.
        ExportError: ONNX Runtime's tools cannot be used, something is in the way, or the disk refuses.
    """
    require_labels(bundle)
    with tempfile.TemporaryDirectory() as place:
        model = _convert(bundle.model, Path(place) / ORT_MODEL)
        operators = _operators(Path(place) / ORT_MODEL)
    files = {
        ORT_MODEL: model,
        OPERATORS: operators,
        SCRIPT: classic_script().encode(),
        **{name: bundle.contents[name] for name in (TOKENIZER, CONFIG, CARD)},
    }
    manifest = seal(files, {**describe(bundle.manifest), "target": "mobile"})
    return write_target(folder, {**files, MANIFEST: manifest}, _SIGNS)


def _convert(model: bytes, path: Path) -> bytes:
    """The graph in ONNX Runtime's format, with those optimisations that hold on every processor.

    The lowering has fused the operators already; further levels choose for the processor they run on.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return path.read_bytes()


def _operators(path: Path) -> bytes:
    """The operators of the model as ``build.py --include_ops_by_config`` reads them."""
    try:
        from onnxruntime.tools.ort_format_model import create_config_from_models
    except ImportError as error:
        raise ExportError(
            f"ONNX Runtime's tools cannot be loaded ({error}). Install them: pip install 'sqz-nlu[train]'."
        ) from error
    config = path.with_name(OPERATORS)
    create_config_from_models([path], config, enable_type_reduction=False)
    lines = config.read_text("utf-8").splitlines()
    return ("\n".join(line for line in lines if line and not line.startswith("#")) + "\n").encode()
