"""Distils a teacher into a grouped student, layer by layer, and can be stopped and resumed.

Everything that decides the result (the order of the text, the schedule) follows from the settings and the
step number, so a run that was killed and resumed computes what an undisturbed one does.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from sqz_nlu.encoder.device import fast_bfloat16
from sqz_nlu.errors import SqueezeError
from sqz_nlu.squeeze.convert import copy_teacher, kept_layers, load_teacher, new_student
from sqz_nlu.squeeze.corpus import plan_batches, tokenize
from sqz_nlu.squeeze.losses import BatchSize, Losses, distillation_losses, moments, variances
from sqz_nlu.squeeze.options import Groups, SqueezeOptions
from sqz_nlu.squeeze.ordering import Order, find_order, identity_order, reorder
from sqz_nlu.squeeze.regression import fit_layers
from sqz_nlu.squeeze.student import continue_student, restore_offsets
from sqz_nlu.squeeze.team import Team
from sqz_nlu.squeeze.vocabulary import prune

_HISTORY_POINTS = 200
_ORDER_BATCHES = 8
_FIT_TOKENS = 45_000


class Distillation:
    """One run: holds models, optimiser and position, and knows how to save and restore them.

    Args:
        options: the settings.
        team: the processes that share the work; ``None`` for this one alone.

    Raises:
        SqueezeError: the teacher or the corpus cannot be used.
        EncoderError: the geometry is impossible.
    """

    def __init__(self, options: SqueezeOptions, team: Team | None = None) -> None:
        self.options = options
        self.team = team or Team.join(options.device)
        self.device = self.team.device
        self.teacher, self.tokenizer = load_teacher(options.teacher)
        positions = self.teacher.config.max_position_embeddings
        if options.max_length > positions:
            raise SqueezeError(
                f"--max-length is {options.max_length}, but the teacher has {positions} positions. "
                f"Ask for at most {positions}."
            )
        if options.vocab_size is not None:
            counts = np.bincount(self._tokenize().ids, minlength=self.teacher.config.vocab_size)
            self.teacher, self.tokenizer = prune(self.teacher, self.tokenizer, counts, options.vocab_size)
        if options.student is not None:
            found = continue_student(options.student, self.teacher, self.tokenizer)
            self.student, self.teacher, self.tokenizer = found.student, found.teacher, found.tokenizer
            self.order = found.order
        else:
            self.student = new_student(self.teacher, options.group_counts(), options.layers)
            self.order = identity_order(self.student.config)
        self.corpus = self._tokenize()
        if len(self.corpus.lengths) < self.team.size:
            raise SqueezeError(
                f"The corpus has {len(self.corpus.lengths)} sentences for {self.team.size} processes. "
                "Give more text, or start fewer processes."
            )
        self.batches = plan_batches(self.corpus.lengths, options.tokens, options.batch_tokens, options.seed)
        self.planned_tokens = sum(int(self.corpus.lengths[rows].sum()) for rows in self.batches)
        self.kept = kept_layers(self.teacher.config.num_hidden_layers, self.student.config.num_hidden_layers)
        self.student.embeddings.requires_grad_(False)
        self.teacher.requires_grad_(False).to(self.device)
        self.student.to(self.device).train()
        self.trained = [p for p in self.student.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=options.learning_rate, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.teacher_type, self.student_type = _precisions(options.precision, self.device)
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self._since_point = torch.zeros(len(self.kept) + 1, dtype=torch.float64, device=self.device)
        self._point_step = 0

    def _tokenize(self) -> Any:
        plain = Tokenizer.from_str(self.tokenizer.to_str())
        return tokenize(self.options.corpus, plain, self.options.max_length)

    def begin(self) -> None:
        """Gives the student its first weights: the teacher's, numbered and fitted for its groups.

        A student to go on with has weights; only massive activations are spread, and centring is undone. One
        process computes all this for all.
        """
        if self.team.first:
            self._begin()
        self.order = Order.from_tensors(self._from_first(self.order.tensors()))
        if not self.team.first:
            reorder(self.teacher, self.order, self.kept)
        self._from_first(self.student.state_dict())

    def _begin(self) -> None:
        spread_peaks = self.options.quantization_aware > 0
        if self.options.student is not None:
            reorder(self.teacher, self.order, self.kept)
            sample = self._sample()
            restore_offsets(self.student, self.teacher, self.kept, sample[:_ORDER_BATCHES])
            if spread_peaks:
                layers = range(len(self.kept))
                fit_layers(copy.deepcopy(self.student), self.student, layers, sample, spread_peaks)
        elif self._has_teachers_shape():
            copy_teacher(self.teacher, self.student)  # nothing to make up for: the weights stay to the bit
        else:
            sample = self._sample()
            seed, config = self.options.seed, self.student.config
            self.order = find_order(self.teacher, config, self.kept, sample[:_ORDER_BATCHES], seed)
            reorder(self.teacher, self.order, self.kept)
            copy_teacher(self.teacher, self.student)
            fit_layers(self.teacher, self.student, self.kept, sample, spread_peaks)

    def _has_teachers_shape(self) -> bool:
        same_depth = len(self.kept) == self.teacher.config.num_hidden_layers
        return same_depth and self.options.group_counts() == Groups(1, 1, 1)

    def _sample(self) -> list[tuple[Tensor, Tensor]]:
        """Token ids and masks of some 45,000 tokens: batches as training has them, in another order."""
        options = self.options
        plan = plan_batches(self.corpus.lengths, _FIT_TOKENS, options.batch_tokens, options.seed + 1)
        return [self._tensors(rows) for rows in plan]

    def _tensors(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Token ids and mask of some sentences, ``[batch, tokens]``, on the training device."""
        ids, mask = self.corpus.batch(rows)
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def _from_first(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The first process's values of tensors that all processes have, in place."""
        if self.team.size == 1:
            return tensors
        for name, tensor in tensors.items():
            there = (
                tensor.to(self.device) if self.team.first else torch.zeros_like(tensor, device=self.device)
            )
            tensors[name] = tensor.copy_(self.team.add(there))
        return tensors

    def _rate(self, step: int) -> float:
        steps = len(self.batches)
        warm = max(1, round(steps * self.options.warmup))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    def advance(self) -> None:
        """Takes one optimiser step, together with the other processes.

        Raises:
            SqueezeError: another process has ended.
        """
        steps, rows = len(self.batches), self.batches[self.step]
        self.student.set_rounding(self.step >= round(steps * (1.0 - self.options.quantization_aware)))
        whole = BatchSize(int(self.corpus.lengths[rows].sum()), len(rows))
        losses = self._gradients(rows[self.team.rank :: self.team.size], whole)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.schedule.step()
        self._since_point += torch.cat([losses.layers, losses.pooled[None]]).double()
        self.step += 1
        self.tokens += whole.tokens
        if self.step % max(1, len(self.batches) // _HISTORY_POINTS) == 0 or self.step == len(self.batches):
            self._add_point()

    def _gradients(self, rows: npt.NDArray[np.int64], whole: BatchSize) -> Losses:
        """Leaves the gradients of the whole batch in the parameters; ``rows`` is this process's share."""
        self.optimizer.zero_grad(set_to_none=True)
        if len(rows):
            ids, mask = self._tensors(rows)
            with torch.no_grad(), self._autocast(self.teacher_type):
                states = self.teacher.hidden_states(ids, mask)
            targets = [states[layer + 1].float() for layer in self.kept]
            sums = moments(targets, mask)
        else:  # a batch of fewer sentences than processes
            sums = torch.zeros(len(self.kept), 2, dtype=torch.float64, device=self.device)
        variance = variances(self.team.add(sums), whole.tokens * self.teacher.config.hidden_size)
        if len(rows):
            with self._autocast(self.student_type):
                states = self.student.hidden_states(ids, mask)[1:]
            states = [state.float() for state in states]
            losses = distillation_losses(states, targets, mask, variance, whole)
            losses.total(self.options.pooled_weight).backward()
            losses = Losses(losses.layers.detach(), losses.pooled.detach())
        else:
            losses = Losses(variance.new_zeros(len(self.kept)), variance.new_zeros(()))
        return losses if self.team.size == 1 else self._add_up(losses)

    def _add_up(self, losses: Losses) -> Losses:
        """Sums gradients and losses over the processes, in one message."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.trained]
        flat = torch.cat([part.reshape(-1) for part in [*parts, losses.layers, losses.pooled]])
        *summed, layers, pooled = self.team.add(flat).split([*(p.numel() for p in parts), len(self.kept), 1])
        for parameter, gradient in zip(self.trained, summed, strict=True):
            parameter.grad = gradient.view_as(parameter).clone()
        return Losses(layers, pooled[0])

    def _autocast(self, kind: torch.dtype) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=kind == torch.bfloat16)

    def _add_point(self) -> None:
        """Adds the mean losses since the last point to the history."""
        means = (self._since_point / (self.step - self._point_step)).tolist()
        layers, pooled = means[:-1], means[-1]
        point = {"step": self.step, "tokens": self.tokens, "layers": [round(loss, 5) for loss in layers]}
        self.history.append({**point, "pooled": round(pooled, 5)})
        self._since_point.zero_()
        self._point_step = self.step

    def save(self, path: Path) -> None:
        """Writes a checkpoint; a crash while writing leaves the previous one.

        Raises:
            SqueezeError: it cannot be written.
        """
        content = io.BytesIO()  # written by Python, a full disk is an OSError
        torch.save(self._state(), content)
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SqueezeError(
                f"The checkpoint {path} could not be written ({error}). Free some disk space and "
                "run the same command again: it goes on from the previous checkpoint."
            ) from error

    def _state(self) -> dict[str, Any]:
        return {
            "record": json.dumps(self.options.record(), sort_keys=True),
            "order": self.order.tensors(),
            "text": self._fingerprint(),
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "history": self.history,
            "since_point": self._since_point,
            "point_step": self._point_step,
        }

    def _fingerprint(self) -> str:
        """Tells whether the text is still the same."""
        digest = hashlib.sha256(self.corpus.ids.tobytes())
        digest.update(self.corpus.starts.tobytes())
        return digest.hexdigest()

    def restore(self, path: Path) -> None:
        """Goes back to a checkpoint.

        Raises:
            SqueezeError: the file is damaged or was written with other settings.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            record, text = state["record"], state["text"]
        except Exception as error:
            raise SqueezeError(
                f"The checkpoint {path} cannot be read ({error!r}). Delete it to start anew."
            ) from error
        ours = json.dumps(self.options.record(), sort_keys=True)
        if record != ours:
            raise SqueezeError(
                f"The checkpoint {path} was written with other settings: {record}; this run "
                f"has {ours}. Use the same settings, another --out, or delete the checkpoint."
            )
        if text != self._fingerprint():
            raise SqueezeError(
                f"The text has changed since the checkpoint {path} was written. Give the same text, another "
                "--out, or delete the checkpoint."
            )
        self.order = Order.from_tensors(state["order"])
        reorder(self.teacher, self.order, self.kept)
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.tokens = state["step"], state["tokens"]
        self.seconds, self.history = state["seconds"], state["history"]
        self._since_point, self._point_step = state["since_point"].to(self.device), state["point_step"]


def _precisions(name: str, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """Types in which the products of teacher and student are computed.

    On CPUs with instructions for bfloat16 the teacher's large products gain by it, narrow groups do not.
    """
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return chosen, chosen
    chosen = torch.bfloat16 if fast_bfloat16(device) else torch.float32
    return chosen, torch.float32 if device.type == "cpu" else chosen
