"""Examples in, bundle out: the one function behind the Rasa component and the command line."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqz_nlu.encoder import vocabulary
from sqz_nlu.encoder.centring import centred
from sqz_nlu.encoder.load import load_encoder, load_tokenizer, numpy_parameters
from sqz_nlu.encoder.source import EncoderSource, find_encoder
from sqz_nlu.errors import DataError
from sqz_nlu.events import EventLog
from sqz_nlu.export.lowering import HeadWeights
from sqz_nlu.export.model import TrainedModel, export
from sqz_nlu.export.parity import Gold, Parity
from sqz_nlu.runtime.interpreter import DecodingConfig
from sqz_nlu.runtime.labels import LabelSpace
from sqz_nlu.runtime.patterns import Patterns, PatternWeights
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training.checkpoint import Checkpoint, classes_of, digest, digests, trained_weights
from sqz_nlu.training.dataset import encode_examples, name_rows
from sqz_nlu.training.examples import Example, label_space
from sqz_nlu.training.multi_intents import IntentParts, intent_parts, with_combinations
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.patterns import PatternRows, stored_patterns
from sqz_nlu.training.trainer import Earlier, Training, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitReport:
    """What came out of a fit.

    Attributes:
        bundle: the folder written.
        labels: what the model can answer.
        training: the course of training and the figures on held-out examples.
        parity: int8 against float; ``None`` where there was nothing to compare.
    """

    bundle: Path
    labels: LabelSpace
    training: Training
    parity: Parity | None


def fit(
    examples: Sequence[Example],
    options: TrainingOptions,
    folder: Path,
    language: str | None = None,
    checkpoint: Path | None = None,
    continue_from: Path | None = None,
    patterns: Patterns | None = None,
    dialogue_intents: Collection[str] = (),
) -> FitReport:
    """Trains a joint model and writes it as a bundle.

    Args:
        examples: annotated utterances.
        options: training options.
        folder: where the bundle is written; replaced if it exists.
        language: recorded in the bundle.
        checkpoint: file for what a later training can continue from; ``None`` writes none.
        continue_from: such a file; ``None`` starts from the encoder.
        patterns: lookup tables, with entries as they were written, and regular expressions.
        dialogue_intents: intents that stories and rules name, where there are any; see `with_combinations`.

    Raises:
        DataError: there is nothing to learn.
        EncoderError: the encoder cannot be found or used.
        OptionError: an option cannot be met on this machine.
        CheckpointError: training cannot continue from the file.
        PatternError: a regular expression is not valid.
        ParityError: int8 was demanded and does not agree with float.
        BundleError: the bundle or the checkpoint cannot be written; nothing is left half-made.
    """
    usable = [example for example in examples if example.text.strip()]
    labels = label_space(
        usable, options.intent_classification, options.entity_recognition, options.bilou_flag
    )
    _check(usable, labels, options)
    parts = None
    if options.intent_split_symbol and labels.intents:
        labels, parts = _with_parts(labels, usable, options.intent_split_symbol, dialogue_intents)
    source = find_encoder(options.model, options.offline)
    before = Checkpoint.read(continue_from) if continue_from else None
    encoder, tokenizer = load_encoder(source), load_tokenizer(source)
    tokenizer_file = tokenizer.to_str()
    measured = vocabulary.measure(tokenizer, [example.text for example in usable])
    if warning := vocabulary.warning(measured, source.name, source.language()):
        logger.warning(warning)
    limit = min(options.max_sequence_length, encoder.config.max_position_embeddings)
    text_encoder = TextEncoder(tokenizer, limit)
    stored = stored_patterns(patterns or Patterns(), options, text_encoder)
    if before:
        before.check(labels, source.fingerprint(), stored.names)
    found = PatternRows(stored, text_encoder, labels.entities) if stored.names else None
    rows = encode_examples(usable, labels, text_encoder, found)
    names = []
    if options.use_intent_names:
        names = name_rows(usable, labels, text_encoder, len(stored.names))
    network = JointNetwork(
        encoder, labels, options.drop_rate, options.drop_rate_attention, parts, len(stored.names)
    )
    earlier = None
    if before:
        before.restore(network)
        earlier = Earlier(before.temperature, [digest(example.text) in before.seen for example in usable])
    with EventLog(options.tensorboard_log_directory) as events:
        training = train(network, rows, options, events, earlier, names)
        model = TrainedModel(
            encoder.config,
            numpy_parameters(centred(encoder, tokenizer)),
            tokenizer_file,
            _decoding(labels, options, limit, training.temperature, _pattern_weights(network, stored)),
            _intent_head(network) if labels.intents else None,
            _word_head(network) if labels.entities else None,
        )
        about = _about(source, usable, training, language)
        parity = export(model, _gold(usable), about, folder, options.quantization)
        if parity:
            figures = {name: value for name, value in parity.to_dict().items() if value is not None}
            events.write("int8", figures, training.epochs)
    report = FitReport(folder, labels, training, parity)
    if checkpoint:
        _checkpoint(source, network, report, usable, before, stored.names).save(checkpoint)
    return report


def _check(examples: Sequence[Example], labels: LabelSpace, options: TrainingOptions) -> None:
    if not examples:
        raise DataError("There are no training examples with text. Add some to the NLU data.")
    if not (labels.intents or labels.entities):
        wanted = [
            name
            for name, on in (
                ("intents", options.intent_classification),
                ("entities", options.entity_recognition),
            )
            if on
        ]
        raise DataError(
            f"None of the {len(examples)} training examples has any {' or '.join(wanted)}. "
            "Annotate the NLU data, or remove the component from the pipeline."
        )
    if options.intent_classification and len(labels.intents) == 1:
        logger.warning(
            "The training data has a single intent, '%s': every text will get it with confidence 1. "
            "Add a second intent, or set intent_classification: false.",
            labels.intents[0],
        )
    if options.intent_classification and not labels.intents:
        logger.warning("The training data has no intents; only entities are learned.")


def _checkpoint(
    source: EncoderSource,
    network: JointNetwork,
    report: FitReport,
    examples: Sequence[Example],
    before: Checkpoint | None,
    patterns: Sequence[str],
) -> Checkpoint:
    training = report.training
    seen = digests(e.text for i, e in enumerate(examples) if i not in training.never_trained_on)
    return Checkpoint(
        source.fingerprint(),
        classes_of(report.labels, patterns),
        training.temperature,
        trained_weights(network, before),
        seen | (before.seen if before else frozenset()),
    )


def _decoding(
    labels: LabelSpace,
    options: TrainingOptions,
    limit: int,
    temperature: float,
    patterns: PatternWeights | None,
) -> DecodingConfig:
    split = options.split_entities_by_comma
    return DecodingConfig(
        labels=labels,
        max_tokens=limit,
        temperature=temperature,
        ranking_length=options.ranking_length,
        renormalize_confidences=options.renormalize_confidences,
        split_by_comma=split if isinstance(split, dict) else {},
        split_default=split if isinstance(split, bool) else True,
        patterns=patterns,
    )


def _intent_head(network: JointNetwork) -> HeadWeights:
    weight, bias = network.intent_weights()
    return HeadWeights(weight.detach().numpy(), bias.detach().numpy())


def _word_head(network: JointNetwork) -> HeadWeights:
    head = network.word_head
    return HeadWeights(head.weight.detach().numpy(), head.bias.detach().numpy())


def _with_parts(
    labels: LabelSpace, examples: Sequence[Example], symbol: str, dialogue_intents: Collection[str]
) -> tuple[LabelSpace, IntentParts]:
    intents = with_combinations(labels.intents, symbol, dialogue_intents)
    parts = intent_parts(intents, symbol, (example.intent for example in examples))
    return dataclasses.replace(labels, intents=intents), parts


def _pattern_weights(network: JointNetwork, patterns: Patterns) -> PatternWeights | None:
    if not patterns.names:
        return None
    tags, intents = network.pattern_weights()
    return PatternWeights(patterns, tags.detach().numpy(), intents.detach().numpy())


def _gold(examples: Sequence[Example]) -> list[Gold]:
    return [(e.text, e.intent, frozenset((s.start, s.end, s.entity) for s in e.entities)) for e in examples]


def _about(
    source: EncoderSource, examples: Sequence[Example], training: Training, language: str | None
) -> dict[str, object]:
    return {
        "language": language,
        "encoder": {"name": source.name, "fingerprint": source.fingerprint()},
        "data": {
            "examples": len(examples),
            "spans": sum(len(example.entities) for example in examples),
        },
        "held_out": training.held_out,
        "fallback": training.fallback.to_dict() if training.fallback else None,
        "epochs": training.epochs,
    }
