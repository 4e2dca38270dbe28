"""The training loop."""

from __future__ import annotations

import logging
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from sqz_nlu.errors import OptionError
from sqz_nlu.training.calibration import expected_calibration_error, fit_temperature
from sqz_nlu.training.dataset import IGNORE, Row, ordered_batches, shuffled_batches
from sqz_nlu.training.network import JointNetwork
from sqz_nlu.training.options import TrainingOptions

logger = logging.getLogger(__name__)

_CALIBRATION_SHARE = 0.1
_CALIBRATION_MINIMUM = 50
_LATE_SHARE = 4  # one epoch in four, at the end, sees the held-out examples too
_EVALUATION_BATCH = 64
_STEPS_PER_EPOCH = 24


@dataclass
class Training:
    """What came out of training.

    Attributes:
        temperature: for the intent logits.
        epochs: passes made.
        held_out: figures on the examples held out of training, empty when there were none.
    """

    temperature: float = 1.0
    epochs: int = 0
    held_out: dict[str, float] = field(default_factory=dict)


def train(network: JointNetwork, rows: Sequence[Row], options: TrainingOptions) -> Training:
    """Trains ``network`` in place.

    Unless examples are held out on request, a tenth of them stays out for the first three quarters of the
    epochs: the confidences are calibrated on it, then it joins the rest. No example is lost. Without
    four epochs or 50 examples nothing is held out, and confidences stay uncalibrated.

    Args:
        network: encoder and heads.
        rows: the examples; at least one.
        options: training options.

    Raises:
        OptionError: the device is not there.
    """
    seed = random.randrange(2**31) if options.random_seed is None else options.random_seed
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    run = _Run(network, options, rng, _device(options.device))
    asked = min(options.evaluate_on_number_of_examples, len(rows) // 2)
    late = options.epochs // _LATE_SHARE
    held, kept = _split(rows, asked or (_calibration_size(len(rows)) if late else 0), rng)
    network.to(run.device).eval()
    network.initialise_intents(b.to(run.device) for b in ordered_batches(kept, _EVALUATION_BATCH))
    result = Training()
    if asked or not held:
        run.fit(kept, options.epochs, result, held if asked else [])
        run.calibrate(held, result)
    else:
        run.schedule_for(len(kept), options.epochs)
        run.fit(kept, options.epochs - late, result)
        run.calibrate(held, result)
        run.fit([*kept, *held], late, result)
    run.close()
    network.eval().cpu()
    return result


class _Run:
    """Optimiser, schedule and progress bar of one training."""

    def __init__(
        self,
        network: JointNetwork,
        options: TrainingOptions,
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        self.network, self.options, self.rng, self.device = network, options, rng, device
        self.optimizer = torch.optim.AdamW(
            parameter_groups(network, options), weight_decay=options.weight_decay
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.step, self.steps = 0, 0
        self.bar = tqdm(total=options.epochs, unit="epoch", desc="SqueezeBERT", file=sys.stderr, leave=False)

    def batch_size(self, examples: int) -> int:
        """Small data sets get smaller batches, so that an epoch has enough steps."""
        return max(1, min(self.options.batch_size, math.ceil(examples / _STEPS_PER_EPOCH)))

    def schedule_for(self, examples: int, epochs: int) -> None:
        """Lays the learning-rate schedule over this many epochs."""
        self.steps = epochs * math.ceil(examples / self.batch_size(examples))

    def fit(
        self,
        rows: Sequence[Row],
        epochs: int,
        result: Training,
        evaluate: Sequence[Row] = (),
    ) -> None:
        """Makes passes over the rows; with ``evaluate``, stops early where asked."""
        if not self.steps:
            self.schedule_for(len(rows), epochs)
        best: tuple[float, dict[str, Any]] | None = None
        waited = 0
        for epoch in range(1, epochs + 1):
            losses = self._epoch(rows)
            result.epochs += 1
            self.bar.update()
            self.bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            every = self.options.evaluate_every_number_of_epochs
            if not evaluate or not (epoch == epochs or (every > 0 and epoch % every == 0)):
                continue
            score = sum(self._evaluate(evaluate).values())
            if best is None or score > best[0]:
                best, waited = (score, _copy(self.network)), 0
            else:
                waited += 1
            if self.options.early_stopping_patience and waited >= self.options.early_stopping_patience:
                logger.info("No improvement in %d evaluations; stopped at epoch %d.", waited, epoch)
                break
        if best is not None and self.options.early_stopping_patience:
            self.network.load_state_dict(best[1])

    def _epoch(self, rows: Sequence[Row]) -> dict[str, float]:
        self.network.train()
        totals: dict[str, float] = {}
        batches = 0
        for batch in shuffled_batches(rows, self.batch_size(len(rows)), self.rng):
            on_device = batch.to(self.device)
            output = self.network(on_device.ids, on_device.mask)
            losses = self.network.losses(output, on_device, self.options.label_smoothing)
            if not losses:
                continue
            self._set_rates()
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            batches += 1
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0.0) + float(loss.detach())
        return {name: total / batches for name, total in totals.items()}

    def _set_rates(self) -> None:
        warm = max(1, round(self.steps * self.options.warmup))
        if self.step < warm:
            factor = (self.step + 1) / warm
        else:
            done = min(1.0, (self.step - warm) / max(1, self.steps - warm))
            factor = 0.5 * (1.0 + math.cos(math.pi * done))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * max(factor, 0.01)
        self.step += 1

    def _evaluate(self, rows: Sequence[Row]) -> dict[str, float]:
        """Accuracy of intents and of words' tags."""
        self.network.eval()
        right: dict[str, float] = {}
        count: dict[str, float] = {}
        tags = self.network.sizes[0]
        with torch.no_grad():
            for batch in ordered_batches(rows, _EVALUATION_BATCH):
                on_device = batch.to(self.device)
                output = self.network(on_device.ids, on_device.mask)
                pairs = {
                    "intent": (output.intents, on_device.intents),
                    "entity": (output.words[..., :tags], on_device.tags),
                }
                for name, (logits, target) in pairs.items():
                    known = target != IGNORE
                    if not logits.shape[-1] or not bool(known.any()):
                        continue
                    hits = logits.argmax(-1)[known] == target[known]
                    right[name] = right.get(name, 0.0) + float(hits.sum())
                    count[name] = count.get(name, 0.0) + len(hits)
        return {f"{name}_accuracy": right[name] / count[name] for name in right}

    def calibrate(self, rows: Sequence[Row], result: Training) -> None:
        """Fits the temperature on rows that were not trained on, and measures them."""
        if not rows:
            return
        result.held_out = {"examples": float(len(rows)), **self._evaluate(rows)}
        logits, intents = self._intent_logits(rows)
        result.temperature = fit_temperature(logits, intents)
        if len(intents) and logits.shape[1] > 1:
            scaled = torch.softmax(torch.from_numpy(logits / result.temperature), -1).numpy()
            correct = scaled.argmax(-1) == intents
            error = expected_calibration_error(scaled.max(-1).astype(np.float64), correct)
            result.held_out["expected_calibration_error"] = error

    def _intent_logits(self, rows: Sequence[Row]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        logits, intents = [], []
        with torch.no_grad():
            for batch in ordered_batches(rows, _EVALUATION_BATCH):
                output = self.network(batch.ids.to(self.device), batch.mask.to(self.device))
                known = batch.intents != IGNORE
                logits.append(output.intents.cpu()[known].numpy())
                intents.append(batch.intents[known].numpy())
        return np.concatenate(logits), np.concatenate(intents)

    def close(self) -> None:
        """Ends the progress bar."""
        self.bar.close()


def parameter_groups(network: JointNetwork, options: TrainingOptions) -> list[dict[str, Any]]:
    """Parameters with their learning rates: heads, then encoder layers from the last down."""
    encoder, decay = network.encoder, options.layer_learning_rate_decay
    heads = [*network.intent_head.parameters(), *network.word_head.parameters()]
    groups: list[dict[str, Any]] = [{"params": heads, "lr": options.head_learning_rate}]
    rate = options.learning_rate
    layers = list(encoder.encoder.layers)
    for index in range(len(layers) - 1, -1, -1):
        trained = index >= options.frozen_layers
        layers[index].requires_grad_(trained)
        if trained:
            groups.append({"params": list(layers[index].parameters()), "lr": rate})
        rate *= decay
    encoder.embeddings.requires_grad_(not options.freeze_embeddings)
    if not options.freeze_embeddings:
        groups.append({"params": list(encoder.embeddings.parameters()), "lr": rate})
    return groups


def _calibration_size(examples: int) -> int:
    return round(examples * _CALIBRATION_SHARE) if examples >= _CALIBRATION_MINIMUM else 0


def _split(rows: Sequence[Row], size: int, rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Holds out ``size`` rows, never the last two of an intent."""
    left: dict[int, int] = {}
    for row in rows:
        left[row.intent] = left.get(row.intent, 0) + 1
    held: list[Row] = []
    kept: list[Row] = []
    for index in rng.permutation(len(rows)):
        row = rows[index]
        if len(held) < size and left[row.intent] > 2:
            left[row.intent] -= 1
            held.append(row)
        else:
            kept.append(row)
    return held, kept


def _copy(network: JointNetwork) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("The option 'device' is 'cuda', but torch sees no GPU. Use auto or cpu.")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
