"""A whole run of ``sqz-nlu squeeze``: distil or resume, then write the encoder, its figures and its card."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from safetensors import SafetensorError  # type: ignore[attr-defined]
from tqdm import tqdm

from sqz_nlu._version import __version__
from sqz_nlu.encoder.load import save_encoder
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import SqueezeError
from sqz_nlu.events import EventLog
from sqz_nlu.export.encoder import export_encoder
from sqz_nlu.runtime.bundle import CARD
from sqz_nlu.squeeze.card import encoder_card
from sqz_nlu.squeeze.convert import find_teacher, load_teacher
from sqz_nlu.squeeze.distil import Distillation
from sqz_nlu.squeeze.options import SqueezeOptions
from sqz_nlu.squeeze.probe import Task, probe_encoder, read_tasks, torch_embedder
from sqz_nlu.squeeze.team import Team

CHECKPOINT = "checkpoint.pt"
RECORD = "squeeze.json"


def squeeze(options: SqueezeOptions, progress: bool = True) -> Path | None:
    """Runs or resumes a distillation and writes the finished encoder to ``options.out``.

    Under ``torchrun`` every process calls this; they share the work.

    Returns:
        The folder with ``config.json``, ``model.safetensors``, ``tokenizer.json``, ``squeeze.json`` and
        ``README.md``; ``None`` in all processes but the first.

    Raises:
        SqueezeError: the teacher, the text, the data of the probe, a checkpoint or the disk cannot be used.
        EncoderError: the geometry is impossible.
        OptionError: the device is not there, or TensorBoard's log cannot be written.
        KeyboardInterrupt: a signal ended the run; a checkpoint was written.
    """
    team = Team.join(options.device)
    try:
        with team.together():
            _make_folder(options.out)
            tasks = read_tasks(options.eval) if options.eval else []
            log = options.tensorboard / options.out.resolve().name if options.tensorboard else None
            events = EventLog(log if team.first else None, "--tensorboard", fresh=False)
            run = Distillation(options, team)
            if (options.out / CHECKPOINT).is_file():
                run.restore(options.out / CHECKPOINT)
            else:
                run.begin()
        with team.together():
            _agree(run)
        with events:
            _train(run, events, progress and team.first)
    finally:
        team.leave()
    if not team.first:
        return None
    run.save(options.out / CHECKPOINT)  # whatever happens from here on, the training is not lost
    try:
        _write(run, tasks, progress)
    except (OSError, SafetensorError) as error:
        raise SqueezeError(
            f"The result could not be written to {options.out} ({error}). Free some disk space and run the "
            "same command again: the training is done and is not repeated."
        ) from error
    return options.out


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SqueezeError(f"The folder {folder} cannot be made ({error}). Choose another --out.") from error


def _agree(run: Distillation) -> None:
    """Makes sure that all processes go on from the same step."""
    total = int(run.team.add(torch.tensor(run.step)).item())
    if total != run.step * run.team.size:
        raise SqueezeError(
            f"The processes do not see the same checkpoint: one is at step {run.step}, others elsewhere. "
            "Give an --out on a disk that all machines share."
        )


def _train(run: Distillation, events: EventLog, progress: bool) -> None:
    """Advances to the end; a signal ends it early, after a checkpoint."""
    started = saved = time.monotonic()
    before, steps = run.seconds, len(run.batches)
    bar = tqdm(
        total=run.planned_tokens,
        initial=run.tokens,
        unit="tok",
        unit_scale=True,
        disable=not (progress and steps),
    )
    with _StopSignals() as stop, bar:
        while run.step < steps:
            if run.team.any(stop.asked):
                _interrupt(run)
            tokens, points = run.tokens, len(run.history)
            run.advance()
            now = time.monotonic()
            run.seconds = before + now - started
            bar.update(run.tokens - tokens)
            if len(run.history) > points:
                figures = _figures(run)
                bar.set_postfix(layers=f"{figures['layers']:.3f}", pooled=f"{figures['pooled']:.4f}")
                events.write("squeeze", figures, run.step)
            if run.team.first and now - saved > 60 * run.options.checkpoint_minutes:
                run.save(run.options.out / CHECKPOINT)
                saved = time.monotonic()


def _interrupt(run: Distillation) -> None:
    if not run.team.first:
        raise SystemExit(130)
    run.save(run.options.out / CHECKPOINT)
    raise KeyboardInterrupt


def _figures(run: Distillation) -> dict[str, float]:
    """The last point of the history, as scalars."""
    point = run.history[-1]
    figures = {f"layer_{number}": loss for number, loss in enumerate(point["layers"], 1)}
    figures["layers"] = sum(point["layers"]) / len(point["layers"])
    figures["pooled"] = point["pooled"]
    figures["learning_rate"] = run.schedule.get_last_lr()[0]
    figures["tokens_per_second"] = run.tokens / max(run.seconds, 1e-9)
    return figures


class _StopSignals:
    """Notes Ctrl-C and SIGTERM instead of dying between two halves of a step."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _write(run: Distillation, tasks: list[Task], progress: bool) -> None:
    out, options = run.options.out, run.options
    save_encoder(run.student.cpu(), run.tokenizer, out)
    source = find_teacher(options.teacher)
    stated = {"language": source.language(), "license": source.card_metadata().get("license")}
    record = _record(run) | {"teacher": stated}
    if tasks:
        whole, tokenizer = load_teacher(options.teacher)  # with all its word pieces
        teacher = torch_embedder(whole.to(run.device), tokenizer, run.device)
        record["probe"] = probe_encoder(out, teacher, tasks, _say if progress else None)
    (out / CARD).write_text(encoder_card(record, run.student.config), "utf-8")
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    if options.bundle is not None:
        export_encoder(find_encoder(out), options.bundle, out.name, stated["language"])
    (out / CHECKPOINT).unlink(missing_ok=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _record(run: Distillation) -> dict[str, Any]:
    """What was done, as JSON values: settings, text, order, losses, time, versions.

    ``order.channels`` holds the teacher's number of each of the encoder's channels, so that their vectors can
    be compared; ``order.kept`` is the share of the grouped projections' energy that lies inside the groups.
    ``started_from`` is the record of the student that the run went on with, without its history.
    """
    record: dict[str, Any] = {
        "settings": run.options.record(),
        "sqz_nlu": __version__,
        "torch": torch.__version__,
        "machine": _machine(run.team),
        "corpus_lines": run.corpus.lines,
        "order": {"kept": round(run.order.kept, 5), "channels": run.order.channels.tolist()},
        "steps": run.step,
        "tokens": run.tokens,
        "seconds": round(run.seconds, 1),
        "history": run.history,
    }
    if run.options.student is not None:
        record["started_from"] = _record_of(find_encoder(run.options.student).folder)
    return record


def _record_of(student: Path) -> dict[str, Any]:
    """What is recorded of a student's own making."""
    try:
        record: dict[str, Any] = json.loads((student / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in record.items() if name not in ("history", "probe")}


def _machine(team: Team) -> dict[str, Any]:
    if team.device.type == "cuda":
        return {"device": torch.cuda.get_device_name(team.device), "processes": team.size}
    return {
        "device": platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": team.size,
        "cores": os.cpu_count(),
    }
