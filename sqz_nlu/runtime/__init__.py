"""Inference with numpy, onnxruntime and tokenizers alone."""

from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import Entity, Intent, ParseResult

__all__ = ["Entity", "Intent", "Interpreter", "ParseResult"]
