"""SqueezeBertClassifier: intents and entities of a Rasa pipeline."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasa.shared.utils.io
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.nlu.tokenizers.tokenizer import Tokenizer
from rasa.shared.exceptions import InvalidConfigException
from rasa.shared.nlu.constants import TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from sqz_nlu._version import __version__
from sqz_nlu.components.citizenship import announce_confidences, announce_extractor
from sqz_nlu.components.configuration import read_options, stored
from sqz_nlu.components.messages import dialogue_intents, to_examples, to_patterns, write_result
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import BundleError, DataError, EncoderError, SqzNluError
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import NO_INTENT, ParseResult
from sqz_nlu.training.options import TrainingOptions

if TYPE_CHECKING:
    from sqz_nlu.fit import FitReport

logger = logging.getLogger(__name__)

BUNDLE = "bundle"
TRAINABLE_WEIGHTS = "trainable.safetensors"


@DefaultV1Recipe.register(
    [
        DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER,
        DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR,
    ],
    is_trainable=True,
)
class SqueezeBertClassifier(GraphComponent, IntentClassifier):
    """Classifies intents and extracts entities with an int8 SqueezeBERT.

    Training needs torch; a trained model runs on onnxruntime, tokenizers and numpy alone and is stored as
    a bundle, which also works without Rasa.
    """

    def __init__(
        self,
        options: TrainingOptions,
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        interpreter: Interpreter | None = None,
    ) -> None:
        """Use `create` or `load`."""
        self._options = options
        self._model_storage = model_storage
        self._resource = resource
        self._context = execution_context
        self._interpreter = interpreter

    @classmethod
    def required_components(cls) -> list[type]:
        """A tokenizer: Rasa's evaluation aligns entities with its tokens."""
        return [Tokenizer]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """Every option with its default; see `TrainingOptions` for what they mean."""
        return TrainingOptions.defaults()

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str | None:
        """Trains anew when this package's version or the encoder's files change."""
        try:
            encoder = find_encoder(
                config.get("model", TrainingOptions.model), config.get("offline", False)
            ).fingerprint()
        except EncoderError:
            encoder = "not found"  # create() says so to the user
        return f"{__version__} {encoder}"

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> SqueezeBertClassifier:
        """Creates an untrained component.

        Raises:
            InvalidConfigException: an option is unknown or wrong, or the encoder cannot be found.
        """
        options = cls._read_options(config, execution_context)
        try:
            find_encoder(options.model, options.offline).read_config()
        except EncoderError as error:
            raise InvalidConfigException(f"{cls.__name__}: {error}") from error
        return cls(options, model_storage, resource, execution_context)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> SqueezeBertClassifier:
        """Loads a trained component; one that had nothing to learn comes back untrained.

        Raises:
            InvalidConfigException: an option is wrong, or the stored bundle is damaged.
        """
        options = cls._read_options(config, execution_context)
        interpreter = None
        try:
            with stored(model_storage, resource) as folder:
                if folder is not None:
                    interpreter = Interpreter.load(folder / BUNDLE, options.intra_op_num_threads)
        except BundleError as error:
            raise InvalidConfigException(
                f"{cls.__name__}: the trained model cannot be loaded. {error} Run `rasa train` again."
            ) from error
        announce_confidences(cls)
        return cls(options, model_storage, resource, execution_context, interpreter)

    @classmethod
    def _read_options(cls, config: dict[str, Any], context: ExecutionContext) -> TrainingOptions:
        ours = {key: value for key, value in config.items() if key != "finetuning_epoch_fraction"}
        node = context.graph_schema.nodes.get(context.node_name)
        if node is not None and "epochs" not in node.config:
            ours.pop("epochs", None)  # it is the default that Rasa filled in, not the user's
        return read_options(cls, ours, TrainingOptions.from_dict)

    def train(self, training_data: TrainingData) -> Resource:
        """Trains on the NLU examples and stores a bundle, and beside it what fine-tuning continues from.

        Nothing is stored before all of it is made. Data without anything to learn is a warning, not an
        error: the component then answers nothing.

        Raises:
            InvalidConfigException: the encoder, an option or the model to fine-tune cannot be used.
            BundleError: the disk refuses.
        """
        from sqz_nlu.fit import fit  # torch is imported only where training happens

        try:
            with tempfile.TemporaryDirectory() as folder:
                weights = Path(folder) / TRAINABLE_WEIGHTS
                report = fit(
                    to_examples(training_data),
                    self._options,
                    Path(folder) / BUNDLE,
                    checkpoint=weights if self._options.persist_trainable_weights else None,
                    continue_from=self._weights_to_finetune(),
                    patterns=to_patterns(training_data),
                    dialogue_intents=dialogue_intents(training_data),
                )
                self._store(Path(folder))
        except DataError as error:
            rasa.shared.utils.io.raise_warning(f"{type(self).__name__} was not trained. {error}")
        except BundleError:
            raise
        except SqzNluError as error:
            raise InvalidConfigException(f"{type(self).__name__}: {error}") from error
        else:
            self._log(report)
        return self._resource

    def _weights_to_finetune(self) -> Path | None:
        """Where the model to fine-tune has its weights; ``None`` without one, or if it learned nothing."""
        if not self._context.is_finetuning:
            return None
        with stored(self._model_storage, self._resource) as folder:
            return folder / TRAINABLE_WEIGHTS if folder and (folder / BUNDLE).is_dir() else None

    def _store(self, made: Path) -> None:
        """Moves what was made to Rasa's storage, in place of what is there."""
        with self._model_storage.write_to(self._resource) as folder:
            try:
                for name in (BUNDLE, TRAINABLE_WEIGHTS):
                    _remove(folder / name)
                for path in made.iterdir():
                    shutil.move(path, folder / path.name)
            except OSError as error:
                for name in (BUNDLE, TRAINABLE_WEIGHTS):
                    _remove(folder / name)
                raise BundleError(
                    f"The trained model could not be stored in {folder} ({error}). Check the free space and "
                    "the permissions, and run `rasa train` again."
                ) from error

    def _log(self, report: FitReport) -> None:
        if report.training.fallback:
            logger.info("%s", report.training.fallback)
        held_out = report.training.held_out
        if held_out:
            figures = ", ".join(f"{name} {value:.3f}" for name, value in held_out.items())
            logger.info("%s, while examples were held out: %s", type(self).__name__, figures)
        if report.parity is not None:
            logger.info("%s, %s", type(self).__name__, report.parity)

    def process(self, messages: list[Message]) -> list[Message]:
        """Adds ``intent``, ``intent_ranking`` and ``entities`` to each message."""
        for message in messages:
            text = message.get(TEXT) or ""
            result = ParseResult(text, NO_INTENT, (), (), ())
            if self._interpreter is not None:
                result = self._interpreter.parse(text)
            write_result(
                message, result, self._options.intent_classification, self._options.entity_recognition
            )
        return messages


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


announce_extractor(SqueezeBertClassifier)
