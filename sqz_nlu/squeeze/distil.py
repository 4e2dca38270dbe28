"""Distils a teacher into a grouped student, layer by layer, and can be stopped and resumed.

The loss of a batch is the mean over the layers of the squared distance between student and teacher states,
divided by the variance of the teacher's, plus the cosine distance of the mean-pooled embeddings.
Everything that decides the result (the order of the text, the schedule) follows from the settings and the
step number, so a run that was killed and resumed computes what an undisturbed one does.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from sqz_nlu._version import __version__
from sqz_nlu.encoder.device import choose_device
from sqz_nlu.encoder.load import save_encoder
from sqz_nlu.encoder.model import mean_pool
from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.convert import copy_teacher, kept_layers, load_teacher, new_student
from sqz_nlu.squeeze.corpus import plan_batches, tokenize
from sqz_nlu.squeeze.options import Groups, SqueezeOptions
from sqz_nlu.squeeze.ordering import Order, find_order, identity_order, reorder
from sqz_nlu.squeeze.regression import fit_layers

CHECKPOINT = "checkpoint.pt"
RECORD = "squeeze.json"
_HISTORY_POINTS = 200
_ORDER_BATCHES = 8
_FIT_TOKENS = 45_000


@dataclass
class Losses:
    """Losses of one step: per layer ``[layers]`` and of the pooled embedding ``[]``."""

    layers: Tensor
    pooled: Tensor

    def total(self, pooled_weight: float) -> Tensor:
        """What training minimises."""
        return self.layers.mean() + pooled_weight * self.pooled


def distillation_losses(student: list[Tensor], teacher: list[Tensor], attention_mask: Tensor) -> Losses:
    """Compares the states of student layers with those of the teacher's layers they follow.

    Args:
        student: one ``[batch, tokens, hidden]`` tensor a layer.
        teacher: likewise.
        attention_mask: ``[batch, tokens]``.
    """
    real = attention_mask.bool()
    layers = []
    for ours, theirs in zip(student, teacher, strict=True):
        target = theirs[real]
        layers.append(F.mse_loss(ours[real], target) / target.var())
    similarity = F.cosine_similarity(
        mean_pool(student[-1], attention_mask), mean_pool(teacher[-1], attention_mask)
    )
    return Losses(torch.stack(layers), 1.0 - similarity.mean())


class Distillation:
    """One run: holds models, optimiser and position, and knows how to save and restore them."""

    def __init__(self, options: SqueezeOptions) -> None:
        self.options = options
        self.device = choose_device(options.device)
        self.teacher, self.tokenizer = load_teacher(options.teacher)
        self.student = new_student(self.teacher, options.group_counts(), options.layers)
        plain = Tokenizer.from_str(self.tokenizer.to_str())
        self.corpus = tokenize(options.corpus, plain, options.max_length)
        self.batches = plan_batches(self.corpus.lengths, options.tokens, options.batch_tokens, options.seed)
        self.kept = kept_layers(self.teacher.config.num_hidden_layers, self.student.config.num_hidden_layers)
        self.student.embeddings.requires_grad_(False)
        self.teacher.requires_grad_(False).to(self.device)
        self.student.to(self.device).train()
        trained = [p for p in self.student.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.order = identity_order(self.student.config)

    def begin(self) -> None:
        """Gives the student its first weights: the teacher's, numbered and fitted for its groups."""
        same_depth = len(self.kept) == self.teacher.config.num_hidden_layers
        if same_depth and self.options.group_counts() == Groups(1, 1, 1):
            copy_teacher(self.teacher, self.student)  # the teacher's own shape: nothing to make up for
            return
        sample = self._sample()
        order = find_order(
            self.teacher, self.student.config, self.kept, sample[:_ORDER_BATCHES], self.options.seed
        )
        self._renumber(order)
        copy_teacher(self.teacher, self.student)
        fit_layers(self.teacher, self.student, self.kept, sample)

    def _sample(self) -> list[tuple[Tensor, Tensor]]:
        """The first batches of a plan, some 45,000 tokens however long the training is."""
        lengths, options = self.corpus.lengths, self.options
        tokens = min(_FIT_TOKENS, int(lengths.sum()))
        return [
            self._move(rows) for rows in plan_batches(lengths, tokens, options.batch_tokens, options.seed)
        ]

    def _renumber(self, order: Order) -> None:
        self.order = order
        reorder(self.teacher, order, self.kept)

    def _rate(self, step: int) -> float:
        steps = len(self.batches)
        warm = max(1, round(steps * self.options.warmup))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    def tensors(self, step: int) -> tuple[Tensor, Tensor]:
        """Token ids and mask of a step, ``[batch, tokens]``, on the training device."""
        return self._move(self.batches[step])

    def _move(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        ids, mask = self.corpus.batch(rows)
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def advance(self) -> Losses:
        """Takes one optimiser step."""
        ids, mask = self.tensors(self.step)
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            states = self.teacher.hidden_states(ids, mask)
        targets = [states[layer + 1].float() for layer in self.kept]
        losses = distillation_losses(self.student.hidden_states(ids, mask)[1:], targets, mask)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total(self.options.pooled_weight).backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self.tokens += int(mask.sum())
        return losses

    def save(self, path: Path) -> None:
        """Writes a checkpoint; a crash while writing leaves the previous one."""
        state = {
            "record": json.dumps(self.options.record(), sort_keys=True),
            "order": self.order.tensors(),
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "history": self.history,
        }
        partial = path.with_suffix(".partial")
        try:
            torch.save(state, partial)
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            raise SqueezeError(
                f"The checkpoint {path} could not be written ({error}). Free some disk space and "
                "run the same command again: it goes on from the previous checkpoint."
            ) from error
        os.replace(partial, path)

    def restore(self, path: Path) -> None:
        """Goes back to a checkpoint.

        Raises:
            SqueezeError: the file is damaged or was written with other settings.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:
            raise SqueezeError(
                f"The checkpoint {path} cannot be read ({error}). Delete it to start anew."
            ) from error
        ours = json.dumps(self.options.record(), sort_keys=True)
        if state["record"] != ours:
            raise SqueezeError(
                f"The checkpoint {path} was written with other settings: {state['record']}; this run "
                f"has {ours}. Use the same settings, another --out, or delete the checkpoint."
            )
        self._renumber(Order.from_tensors(state["order"]))
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.tokens = state["step"], state["tokens"]
        self.seconds, self.history = state["seconds"], state["history"]

    def record(self) -> dict[str, Any]:
        """What was done, as JSON values: settings, text, losses, time, versions."""
        return {
            "settings": self.options.record(),
            "sqz_nlu": __version__,
            "torch": torch.__version__,
            "corpus_lines": self.corpus.lines,
            "steps": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "history": self.history,
        }


def squeeze(options: SqueezeOptions, progress: bool = True) -> Path:
    """Runs or resumes a distillation and writes the finished encoder to ``options.out``.

    Returns:
        The folder with ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``squeeze.json``.

    Raises:
        SqueezeError: the teacher, the corpus or a checkpoint cannot be used.
        EncoderError: the geometry is impossible.
        OptionError: the device is not there.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / CHECKPOINT
    run = Distillation(options)
    if checkpoint.is_file():
        run.restore(checkpoint)
    else:
        run.begin()
    try:
        _train(run, checkpoint, progress)
    except KeyboardInterrupt:
        run.save(checkpoint)
        raise
    save_encoder(run.student.cpu(), run.tokenizer, options.out)
    text = json.dumps(run.record(), indent=1) + "\n"
    (options.out / RECORD).write_text(text, "utf-8")
    checkpoint.unlink(missing_ok=True)
    return options.out


def _train(run: Distillation, checkpoint: Path, progress: bool) -> None:
    steps = len(run.batches)
    every = max(1, steps // _HISTORY_POINTS)
    saved = started = time.monotonic()
    before = run.seconds
    bar = tqdm(total=steps, initial=run.step, unit="step", disable=not progress, smoothing=0.05)
    with bar:
        while run.step < steps:
            losses = run.advance()
            bar.update()
            now = time.monotonic()
            run.seconds = before + now - started
            if run.step % every == 0 or run.step == steps:
                point = _point(run, losses)
                run.history.append(point)
                speed = run.tokens / max(run.seconds, 1e-9)
                bar.set_postfix_str(
                    f"{speed:,.0f} tok/s, last layer {point['layers'][-1]:.3f}, pooled {point['pooled']:.4f}"
                )
            if now - saved > 60 * run.options.checkpoint_minutes:
                run.save(checkpoint)
                saved = now


def _point(run: Distillation, losses: Losses) -> dict[str, Any]:
    return {
        "step": run.step,
        "tokens": run.tokens,
        "layers": [round(loss, 5) for loss in losses.layers.tolist()],
        "pooled": round(losses.pooled.item(), 5),
    }
