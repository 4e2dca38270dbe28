"""The training loop."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from tqdm import tqdm

from sqz_nlu.encoder.device import choose_device, fast_bfloat16
from sqz_nlu.encoder.gptq import round_weights
from sqz_nlu.errors import OptionError
from sqz_nlu.events import EventLog
from sqz_nlu.training.calibration import expected_calibration_error, fit_temperature, top_confidences
from sqz_nlu.training.dataset import Row, rounding_batches, shuffled_batches
from sqz_nlu.training.evaluation import Best, Evaluation, MeanLosses, Scores, evaluate
from sqz_nlu.training.fallback import FallbackThreshold, recommend_threshold
from sqz_nlu.training.frozen import FrozenLayers
from sqz_nlu.training.joining import join_some
from sqz_nlu.training.network import JointNetwork, Sentences
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.randomness import private_randomness
from sqz_nlu.training.schedule import Plan, Schedule, frozen_layers, make_plan, new_optimizer
from sqz_nlu.training.settling import fit_heads, sentences_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """What is known of the training that this one continues.

    Attributes:
        temperature: its calibration.
        seen: for each example, whether it was trained on.
    """

    temperature: float
    seen: Sequence[bool]


@dataclass
class Training:
    """What came out of training.

    Attributes:
        temperature: for the intent logits.
        epochs: passes made.
        held_out: figures on the examples held out of training, empty when there were none.
        fallback: a threshold for Rasa's FallbackClassifier; ``None`` where too little was held out.
        never_trained_on: indices of the examples that were only evaluated on.
    """

    temperature: float = 1.0
    epochs: int = 0
    held_out: dict[str, float] = field(default_factory=dict)
    fallback: FallbackThreshold | None = None
    never_trained_on: frozenset[int] = frozenset()


def train(
    network: JointNetwork,
    rows: Sequence[Row],
    options: TrainingOptions,
    events: EventLog | None = None,
    earlier: Earlier | None = None,
    names: Sequence[Row] = (),
) -> Training:
    """Trains ``network`` in place.

    What is held out, and when it joins the rest, see `make_plan`. The confidences are calibrated on it; where
    nothing is held out they keep the earlier training's calibration, or none.

    Args:
        network: encoder and heads.
        rows: the examples; at least one.
        options: training options.
        events: receives losses, scores and rates.
        earlier: what is known of the training whose weights ``network`` holds; ``None`` starts the intent
            head as logistic regression on the encoder as it is.
        names: intents' names as rows. The intent head is fitted to them, too; the encoder does not train on
            them, so that they say something of texts that it has not seen.

    Raises:
        OptionError: the device is not there, or learning rates are so high that losses became infinite.
    """
    device = choose_device(options.device)
    with private_randomness(options.random_seed, device) as seed:
        rng = np.random.default_rng(seed)
        plan = make_plan(rows, options, rng, earlier.seen if earlier else (), bool(network.joined_intents))
        result = Training(temperature=earlier.temperature if earlier else 1.0)
        network.to(device).eval()
        _announce(
            plan, len(rows), options, frozen_layers(network, options, plan), device, earlier is not None
        )
        try:
            if plan.rehearsal_epochs:
                weights = _copy_of(network)
                rehearsal = _Run(network, options, plan.rehearsal(), rng, device, EventLog(None), names)
                with rehearsal.bar:
                    rehearsal.perform(rows, begin=earlier is None)
                    rehearsal.calibrate(result)
                network.load_state_dict(weights)
                network.encoder.set_rounding(False)
                found = rehearsal.plan
                plan = replace(plan.performance(), refit=found.refit, way=found.way)
            run = _Run(network, options, plan, rng, device, events or EventLog(None), names)
            with run.bar:
                run.perform(rows, begin=earlier is None)
                run.calibrate(result)
                run.conclude(rows)
        finally:
            network.eval().cpu()
            network.encoder.set_rounding(False)
    result.epochs = run.epoch
    result.never_trained_on = frozenset(plan.held if plan.on_request else ())
    return result


class _Run:
    """Optimiser, schedule, progress bar and records of one training."""

    def __init__(
        self,
        network: JointNetwork,
        options: TrainingOptions,
        plan: Plan,
        rng: np.random.Generator,
        device: torch.device,
        events: EventLog,
        names: Sequence[Row] = (),
    ) -> None:
        self.network, self.options, self.plan, self.names = network, options, plan, names
        self.rng, self.device, self.events = rng, device, events
        layers = frozen_layers(network, options, plan)
        self.schedule = Schedule(
            new_optimizer(network, options, plan.learning_rate, layers), plan.steps, options.warmup
        )
        self.frozen = None
        if layers and options.freeze_embeddings:
            self.frozen = FrozenLayers(network.encoder, layers)
        self.bfloat16 = uses_bfloat16(options.precision, device)
        self.epoch = 0
        self.began: dict[str, torch.Tensor] = {}
        self.trained: dict[str, torch.Tensor] = {}
        self.before: Sentences | None = None
        self.before_of_held: Sentences | None = None
        self.held_out: Evaluation | None = None
        self.by_batch = options.tensorboard_log_level == "batch"
        self.bar = tqdm(total=plan.epochs, unit="epoch", desc="SqueezeBERT", file=sys.stderr, leave=False)

    def perform(self, rows: Sequence[Row], begin: bool) -> None:
        """Trains on the kept rows for all but the late epochs, settles, and looks at the held-out ones.

        Args:
            rows: all examples.
            begin: whether the intent head starts from the encoder as it is.
        """
        plan = self.plan
        kept, held = [rows[index] for index in plan.kept], [rows[index] for index in plan.held]
        if plan.way < 1.0:
            self.began = _copy_of(self.network.encoder)
        if begin or plan.refit:
            self.before = sentences_of(self.network, kept, self.device)
        if plan.refit and plan.late_epochs:
            self.before_of_held = sentences_of(self.network, held, self.device)
        if begin and self.before:
            self.network.fit_intents(Sentences.together([self.before, *self._of_names()]))
        self.fit(kept, plan.epochs - plan.late_epochs, held if plan.on_request else [])
        if not held:
            self._settle(kept, [self.before])
            return
        self.trained = _copy_of(self.network)
        needed = -math.inf
        if plan.refit:
            needed = evaluate(self.network, held, self.device).score - 1.0 / math.sqrt(len(held))
        self._settle(kept, [self.before])
        self.held_out = evaluate(self.network, held, self.device)
        if self.held_out.score < needed:
            logger.info("The heads stay as they were trained: fitted anew they understood less.")
            self.plan = replace(plan, way=1.0, refit=0.0)
            self._go_back()
            self._settle(kept, [])
            self.held_out = evaluate(self.network, held, self.device)

    def _go_back(self) -> None:
        """Undoes what settling did."""
        self.network.load_state_dict(self.trained)
        self.network.encoder.set_rounding(False)

    def conclude(self, rows: Sequence[Row]) -> None:
        """Goes back to before it settled, makes the late epochs on all examples, and settles anew."""
        plan = self.plan
        if not plan.late_epochs:
            return
        self._go_back()
        every = [rows[index] for index in (*plan.kept, *plan.held)]
        self.fit(every, plan.late_epochs)
        self._settle(every, [self.before, self.before_of_held])

    def _settle(self, rows: Sequence[Row], before: Sequence[Sentences | None]) -> None:
        """Makes the encoder what will ship, and fits the heads to it.

        Where the plan says so the encoder goes a part of the way back: Wortsman et al., 2022, "Robust
        fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903. Its weights are put on the grid on
        which they ship, by what it makes of these rows.
        """
        encoder = self.network.encoder
        if self.frozen:
            self.frozen.forget()
        if self.plan.way < 1.0:
            ended = encoder.state_dict()
            encoder.load_state_dict({n: self.began[n].lerp(ended[n], self.plan.way) for n in self.began})
        if self.options.quantization != "none":
            batches = (batch.to(self.device) for batch in rounding_batches(rows))
            round_weights(encoder, [(batch.ids, batch.mask) for batch in batches])
        if self.plan.refit:
            seen_before = [sentences for sentences in before if sentences is not None]
            besides = [*seen_before, *self._of_names()]
            fit_heads(self.network, rows, besides, self.plan.refit, self.device, self.rng)

    def _of_names(self) -> list[Sentences]:
        """What the intent head sees of the names, by the encoder as it is."""
        return [sentences_of(self.network, self.names, self.device)] if self.names else []

    def fit(self, rows: Sequence[Row], epochs: int, evaluated: Sequence[Row] = ()) -> None:
        """Makes passes over the rows; with ``evaluated``, keeps the best and stops early where asked."""
        best, patience = Best(), self.options.early_stopping_patience
        for left in range(epochs - 1, -1, -1):
            self._pass(rows)
            if not evaluated or (left and not self._is_due()):
                continue
            score = self._evaluate(evaluated)
            if self.options.checkpoint_model or patience:
                best.update(self.network, score, self.epoch)
            if patience and best.waited >= patience:
                logger.info("No improvement in %d evaluations; stopped after epoch %d.", patience, self.epoch)
                break
        if best.weights:
            best.restore(self.network)
            logger.info("Kept the weights of epoch %d, the best on the held-out examples.", best.epoch)

    def _is_due(self) -> bool:
        every = self.options.evaluate_every_number_of_epochs
        return every > 0 and self.epoch % every == 0

    def _evaluate(self, rows: Sequence[Row]) -> float:
        """The score."""
        evaluation = evaluate(self.network, rows, self.device)
        figures = _named(evaluation.losses, evaluation.scores)
        self.events.write("test", figures, self.schedule.step if self.by_batch else self.epoch)
        logger.info("Epoch %d, %d held-out examples: %s", self.epoch, len(rows), shown(figures))
        return evaluation.score

    def _pass(self, rows: Sequence[Row]) -> None:
        self.network.train()
        means, scores = MeanLosses(), Scores()
        rows = join_some(rows, self.network, self.rng)
        for batch in shuffled_batches(rows, self.plan.batch_size, self.rng):
            on_device = batch.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                states = (self.frozen or self.network.encoder)(on_device.ids, on_device.mask)
            output = self.network.heads(states.float(), on_device.mask, on_device.patterns, on_device.swapped)
            losses = self.network.losses(
                output, on_device, self.options.label_smoothing, self.options.contrastive_weight
            )
            if not losses:
                continue
            optimizer = self.schedule.optimizer
            self.schedule.advance()
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimizer.step()
            values = means.add(losses)
            scores.add(self.network, output, on_device)
            if self.by_batch:
                self.events.write("train", {**_named(values, {}), **self._rates()}, self.schedule.step)
        self.epoch += 1
        figures = _named(means.result(), scores.result())
        self._check(figures)
        step = self.schedule.step if self.by_batch else self.epoch
        self.events.write("train", figures if self.by_batch else {**figures, **self._rates()}, step)
        self.bar.update()
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in figures.items()})

    def _check(self, figures: dict[str, float]) -> None:
        if all(map(math.isfinite, figures.values())):
            return
        raise OptionError(
            f"Training went astray in epoch {self.epoch}: {shown(figures)}. The learning rates are "
            f"{self.plan.learning_rate:g} (learning_rate) and {self.options.head_learning_rate:g} "
            "(head_learning_rate); expected ones with which losses stay finite. Lower or remove them."
        )

    def _rates(self) -> dict[str, float]:
        return {f"learning_rate/{name}": rate for name, rate in self.schedule.rates().items()}

    def calibrate(self, result: Training) -> None:
        """Fits the temperature on the held-out rows, and notes their figures."""
        evaluation = self.held_out
        if evaluation is None:
            return
        result.held_out = {"examples": float(len(self.plan.held)), **evaluation.scores}
        logits, intents = evaluation.logits, evaluation.intents
        if not len(intents) or logits.shape[1] < 2:
            return
        result.temperature = fit_temperature(logits, intents, result.temperature)
        confidences = top_confidences(logits, result.temperature, self.options)
        correct = logits.argmax(-1) == intents
        result.held_out["expected_calibration_error"] = expected_calibration_error(confidences, correct)
        result.fallback = recommend_threshold(confidences, correct)


def uses_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether the encoder's products are computed in bfloat16, by the option ``precision``."""
    if precision == "auto":
        return device.type == "cpu" and fast_bfloat16(device)
    return precision == "bfloat16"


def _copy_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _named(losses: dict[str, float], scores: dict[str, float]) -> dict[str, float]:
    return {**{f"{name}_loss": value for name, value in losses.items()}, **scores}


def shown(figures: dict[str, float]) -> str:
    """Figures in a line of the log."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())


def _announce(
    plan: Plan, examples: int, options: TrainingOptions, frozen: int, device: torch.device, continues: bool
) -> None:
    """Logs what was decided, once, and what was asked for and cannot be had."""
    if not plan.held:
        held = "none held out"
    elif plan.on_request:
        held = f"{len(plan.held)} held out"
    elif plan.rehearsal_epochs:
        held = f"{len(plan.held)} held out of a rehearsal of {plan.rehearsal_epochs} epochs"
    else:
        held = f"{len(plan.held)} held out until epoch {plan.epochs - plan.late_epochs}"
    logger.info(
        "%s on %d examples, %s: %d epochs of batches of %d, %d steps; learning rates %g (encoder '%s', its "
        "lowest %d layers as they are) and %g (heads); the encoder ends at %g of its way; device %s, %s, "
        "%d threads.",
        "Continuing to train" if continues else "Training",
        examples,
        held,
        plan.epochs,
        plan.batch_size,
        (plan.performance() if plan.rehearsal_epochs else plan).steps,
        plan.learning_rate,
        options.model,
        frozen,
        options.head_learning_rate,
        plan.way,
        device,
        "bfloat16" if uses_bfloat16(options.precision, device) else "float32",
        torch.get_num_threads(),
    )
    if options.checkpoint_model and not plan.on_request:
        logger.warning(
            "checkpoint_model is set, but evaluate_on_number_of_examples is 0: the last weights are kept. "
            "Hold out examples to keep the best."
        )
    if len(plan.held) < options.evaluate_on_number_of_examples:
        logger.warning(
            "evaluate_on_number_of_examples is %d, but only %d examples can be held out: two of each intent "
            "are always trained on, no more than half is held out, and none that was trained on before.",
            options.evaluate_on_number_of_examples,
            len(plan.held),
        )
    every = options.evaluate_every_number_of_epochs
    if plan.on_request and every > plan.epochs:
        logger.warning(
            "evaluate_every_number_of_epochs is %d, but there are %d epochs: only the last is evaluated.",
            every,
            plan.epochs,
        )
