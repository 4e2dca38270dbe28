"""Encoders without heads as bundles: the form in which the embedded encoder ships."""

from __future__ import annotations

from pathlib import Path

from sqz_nlu.encoder.centring import centred
from sqz_nlu.encoder.load import load_encoder, load_tokenizer, numpy_parameters
from sqz_nlu.encoder.source import EncoderSource
from sqz_nlu.export.model import TrainedModel, export
from sqz_nlu.runtime.interpreter import DecodingConfig


def export_encoder(source: EncoderSource, folder: Path, name: str, language: str | None = None) -> None:
    """Writes an encoder as an int8 bundle that embeds texts and that training can start from.

    Args:
        source: the encoder.
        folder: where the bundle is written; replaced if it exists.
        name: the encoder's name in the manifest.
        language: recorded in the bundle.

    Raises:
        EncoderError: the encoder cannot be read.
        BundleError: the bundle cannot be written.
    """
    encoder, tokenizer = load_encoder(source), load_tokenizer(source)
    model = TrainedModel(
        encoder.config,
        numpy_parameters(centred(encoder, tokenizer)),
        tokenizer.to_str(),
        DecodingConfig(max_tokens=min(256, encoder.config.max_position_embeddings)),
    )
    about = {"language": language, "encoder": {"name": name, "fingerprint": source.fingerprint()}}
    export(model, [], about, folder, "int8")
