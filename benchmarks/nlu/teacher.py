"""The teacher of the embedded encoder under logistic regression, as a component of Rasa's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from sqz_nlu.squeeze.convert import load_teacher
from sqz_nlu.squeeze.probe import torch_embedder

WEIGHTS, INTENTS = "weights.npz", "intents.json"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class TeacherIntentClassifier(GraphComponent, IntentClassifier):
    """Embeds with a frozen BERT checkpoint (float32, mean of the tokens) and classifies by regression."""

    def __init__(self, config: dict[str, Any], model_storage: ModelStorage, resource: Resource) -> None:
        self._config, self._model_storage, self._resource = config, model_storage, resource
        self._embed = torch_embedder(*load_teacher(config["checkpoint"]), torch.device("cpu"))
        self._intents: list[str] = []

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """``C`` is the regression's: as in the probe of the encoder."""
        return {"checkpoint": "", "C": 30.0}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> TeacherIntentClassifier:
        """An untrained one."""
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> TeacherIntentClassifier:
        """A trained one."""
        loaded = cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            loaded._intents = json.loads((folder / INTENTS).read_text())
            with np.load(folder / WEIGHTS) as weights:
                loaded._weight, loaded._bias = weights["weight"], weights["bias"]
        return loaded

    def _vectors(self, texts: list[str]) -> np.ndarray:
        vectors = self._embed(texts)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def train(self, training_data: TrainingData) -> Resource:
        """Fits the regression."""
        from sklearn.linear_model import LogisticRegression

        examples = training_data.intent_examples
        regression = LogisticRegression(C=self._config["C"], max_iter=1000, multi_class="multinomial")
        regression.fit(self._vectors([e.get("text") for e in examples]), [e.get("intent") for e in examples])
        weight, bias = regression.coef_, regression.intercept_
        if len(weight) == 1:  # two intents share one row
            weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
        with self._model_storage.write_to(self._resource) as folder:
            (Path(folder) / INTENTS).write_text(json.dumps([str(name) for name in regression.classes_]))
            np.savez(Path(folder) / WEIGHTS, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
        return self._resource

    def process(self, messages: list[Message]) -> list[Message]:
        """Sets the intent and its ranking."""
        for message in messages:
            logits = self._weight @ self._vectors([message.get("text")])[0] + self._bias
            shares = np.exp(logits - logits.max())
            shares /= shares.sum()
            order = np.argsort(-shares)
            ranking = [{"name": self._intents[i], "confidence": float(shares[i])} for i in order]
            message.set("intent", ranking[0], add_to_output=True)
            message.set("intent_ranking", ranking, add_to_output=True)
        return messages
