from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from sqz_nlu.encoder.device import choose_device
from sqz_nlu.encoder.load import load_encoder, load_tokenizer
from sqz_nlu.encoder.model import GroupedLinear
from sqz_nlu.encoder.rounding import round_weight
from sqz_nlu.encoder.source import find_encoder
from sqz_nlu.errors import OptionError
from sqz_nlu.events import EventLog
from sqz_nlu.fit import fit
from sqz_nlu.runtime.bundle import read_bundle
from sqz_nlu.runtime.text import TextEncoder
from sqz_nlu.training import fallback, trainer
from sqz_nlu.training.dataset import IGNORE, Row, encode_examples
from sqz_nlu.training.evaluation import Best, Evaluation, evaluate, stratified_split
from sqz_nlu.training.examples import label_space
from sqz_nlu.training.fallback import recommend_threshold
from sqz_nlu.training.network import JointNetwork, Sentences
from sqz_nlu.training.options import TrainingOptions
from sqz_nlu.training.randomness import private_randomness
from sqz_nlu.training.schedule import Schedule, make_plan, new_optimizer

CPU = torch.device("cpu")


def rows_of(*sizes: int) -> list[Row]:
    """As many rows of each intent as asked."""
    return [Row([2, 3], intent, [], [], []) for intent, size in enumerate(sizes) for _ in range(size)]


@pytest.fixture
def network(tiny_examples, tiny_options):
    source = find_encoder(tiny_options.model)
    labels = label_space(tiny_examples, True, True, True)
    rows = encode_examples(tiny_examples, labels, TextEncoder(load_tokenizer(source), 48))
    return JointNetwork(load_encoder(source), labels, 0.0, 0.0), rows


def test_held_out_examples_mirror_the_intents() -> None:
    rows = rows_of(50, 30, 20, 3, 2, 1)
    held = stratified_split(rows, range(len(rows)), 20, np.random.default_rng(0))
    counts = Counter(rows[index].intent for index in held)
    assert len(held) == len(set(held)) == 20
    assert (counts[0], counts[1], counts[2]) == (pytest.approx(9.5, abs=1), pytest.approx(6, abs=1), 4)
    assert counts[3] <= 1
    assert counts[4] == counts[5] == 0


def test_two_of_each_intent_stay_and_only_candidates_go() -> None:
    rows = rows_of(3, 3, 3)
    held = stratified_split(rows, range(len(rows)), 8, np.random.default_rng(0))
    assert Counter(rows[index].intent for index in held) == {0: 1, 1: 1, 2: 1}
    rows = rows_of(20, 20)
    assert set(stratified_split(rows, [1, 2, 30], 8, np.random.default_rng(0))) == {1, 2, 30}


def test_plans() -> None:
    rng = np.random.default_rng(0)
    rows, options = rows_of(60, 40), TrainingOptions(epochs=8)
    plan = make_plan(rows, options, rng)
    assert (len(plan.held), plan.late_epochs, plan.batch_size) == (10, 2, 10)
    assert plan.steps == 6 * 9 + 2 * 10
    assert sorted([*plan.kept, *plan.held]) == list(range(100))
    asked = make_plan(rows, dataclasses.replace(options, evaluate_on_number_of_examples=30), rng)
    assert (len(asked.held), asked.late_epochs, asked.on_request) == (30, 0, True)
    few = make_plan(rows, dataclasses.replace(options, epochs=3), rng)
    assert (few.held, few.late_epochs) == ((), 0)
    seen = [index < 40 for index in range(100)]
    continued = make_plan(rows, options, rng, seen)
    assert len(continued.held) == 6
    assert min(continued.held) >= 40
    assert make_plan(rows, options, rng, [index < 60 for index in range(100)]).held == ()
    assert (plan.refit, plan.way, asked.refit, asked.way) == (0.5, 0.7, 0.5, 0.7)
    assert (few.refit, few.way, continued.refit, continued.way) == (0.0, 1.0, 0.0, 1.0)
    tagged = make_plan([dataclasses.replace(row, tags=[IGNORE, 1]) for row in rows], options, rng)
    assert (tagged.refit, tagged.way) == (0.5, 0.85)
    joined = make_plan(rows, options, rng, joined=True)  # the intent head is not fitted to another encoder
    assert (plan.frozen, joined.frozen, joined.way) == (0.5, 0.0, 1.0)
    assert make_plan(rows_of(*[20] * 5), options, rng, joined=True).way == 1.0


def test_few_examples_are_those_of_which_every_one_counts() -> None:
    rng, options = np.random.default_rng(0), TrainingOptions()
    few = make_plan(rows_of(*[20] * 5), options, rng)
    assert (few.rehearsal_epochs, few.late_epochs, len(few.held), few.way) == (8, 0, 10, 0.5)
    assert few.performance().steps == 16 * 10
    assert few.performance().kept == tuple(range(100))
    assert few.rehearsal().kept == few.kept
    assert few.rehearsal().steps == 8 * 9
    tagged = [dataclasses.replace(row, tags=[IGNORE, 1]) for row in rows_of(*[20] * 5)]
    assert (make_plan(tagged, options, rng).way, make_plan(tagged, options, rng).refit) == (1.0, 1.0)
    continued = make_plan(rows_of(*[20] * 5), options, rng, [True] * 30 + [False] * 70)
    assert (continued.way, continued.refit) == (1.0, 1.0)
    assert not make_plan(rows_of(*[20] * 5, 21), options, rng).rehearsal_epochs
    asked = dataclasses.replace(options, evaluate_on_number_of_examples=30)
    assert not make_plan(rows_of(*[20] * 5), asked, rng).rehearsal_epochs
    assert not make_plan(rows_of(20, 20), options, rng).rehearsal_epochs  # nothing is held out


class Notes:
    """What a training did, in order."""

    def __init__(self, joint: JointNetwork, monkeypatch) -> None:
        self.seen: list[tuple[int, torch.Tensor]] = []
        self.fitted: list[tuple[int, bool]] = []
        self.passes: list[int] = []
        self.calibrated: list[tuple[int, int]] = []
        look, fit_intents = trainer.sentences_of, joint.fit_intents
        calibrate, one_pass = trainer._Run.calibrate, trainer._Run._pass

        def note_look(network, rows, device) -> Sentences:
            found = look(network, rows, device)
            weights = network.encoder.encoder.layers[0].output.conv1d.weight.detach().clone()
            self.seen.append((len(rows), weights))
            return found

        def note_fit(sentences: Sentences) -> None:
            self.fitted.append(
                (len(sentences.intents), joint.encoder.encoder.layers[0].output.conv1d.rounded)
            )
            fit_intents(sentences)

        def note_pass(run, rows) -> None:
            self.passes.append(len(rows))
            one_pass(run, rows)

        def note_calibration(run, result) -> None:
            self.calibrated.append((len(run.plan.held), len(self.passes)))
            calibrate(run, result)

        monkeypatch.setattr(trainer, "sentences_of", note_look)
        monkeypatch.setattr(joint, "fit_intents", note_fit)
        monkeypatch.setattr(trainer._Run, "_pass", note_pass)
        monkeypatch.setattr(trainer._Run, "calibrate", note_calibration)


def test_a_tenth_joins_late_and_the_heads_are_fitted_to_each_text_twice(network, monkeypatch) -> None:
    joint, rows = network
    monkeypatch.setattr("sqz_nlu.training.schedule._FEW_EXAMPLES", 0)
    monkeypatch.setattr(Evaluation, "score", 1.0)
    notes = Notes(joint, monkeypatch)
    result = trainer.train(joint, (rows * 60)[:60], TrainingOptions(epochs=4, device="cpu"))
    assert result.epochs == 4
    assert result.held_out["examples"] == 6
    assert notes.passes == [54, 54, 54, 60]
    assert notes.calibrated == [(6, 3)]  # what is calibrated has not seen the tenth
    assert [count for count, _ in notes.seen] == [54, 6]
    assert torch.equal(notes.seen[0][1], notes.seen[1][1])  # both before training
    assert notes.fitted == [(54, False), (108, True), (120, True)]


def test_with_few_examples_a_rehearsal_is_calibrated_and_all_of_them_are_learned(
    network, monkeypatch
) -> None:
    joint, rows = network
    notes = Notes(joint, monkeypatch)
    monkeypatch.setattr(Evaluation, "score", 1.0)
    result = trainer.train(joint, (rows * 60)[:60], TrainingOptions(epochs=4, device="cpu"))
    assert result.epochs == 4
    assert result.held_out["examples"] == 6
    assert notes.passes == [54, 54, 60, 60, 60, 60]
    assert notes.calibrated == [(6, 2), (0, 6)]
    assert [count for count, _ in notes.seen] == [54, 60]
    assert torch.equal(notes.seen[0][1], notes.seen[1][1])  # the rehearsal left nothing behind
    assert notes.fitted == [(54, False), (108, True), (60, False), (120, True)]


@pytest.mark.parametrize("few", [True, False])
def test_heads_that_are_worse_when_fitted_anew_stay_as_they_were(network, monkeypatch, few: bool) -> None:
    joint, rows = network
    if not few:
        monkeypatch.setattr("sqz_nlu.training.schedule._FEW_EXAMPLES", 0)
    scores = iter([1.0, 0.5])
    monkeypatch.setattr(Evaluation, "score", property(lambda evaluation: next(scores)))
    notes, ended = Notes(joint, monkeypatch), []
    fit_rows = trainer._Run.fit

    def note(run, rows, epochs, evaluated=()) -> None:
        fit_rows(run, rows, epochs, evaluated)
        ended.append(_weights(joint))

    monkeypatch.setattr(trainer._Run, "fit", note)
    options = TrainingOptions(epochs=4, device="cpu", quantization="none")
    trainer.train(joint, (rows * 60)[:60], options)
    assert [rounded for _, rounded in notes.fitted] == [False] * len(notes.fitted)
    assert [count for count, _ in notes.fitted] == ([54, 108, 60] if few else [54, 108])
    now = _weights(joint)
    assert all(torch.equal(now[name], ended[-1][name]) for name in now)
    assert next(scores, None) is None


def _weights(network: JointNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(("examples", "epochs"), [(30, 16), (1000, 16), (3000, 16), (4500, 12), (15000, 8)])
def test_more_examples_need_fewer_epochs_unless_the_user_says(examples: int, epochs: int) -> None:
    rows, rng = rows_of(examples // 2, examples // 2), np.random.default_rng(0)
    assert make_plan(rows, TrainingOptions(), rng).epochs == epochs
    assert make_plan(rows, TrainingOptions(epochs=16), rng).epochs == 16


@pytest.mark.parametrize(("examples", "epochs"), [(100, 32), (360, 32), (640, 20), (1600, 16), (15000, 8)])
def test_few_examples_with_entities_get_more_epochs(examples: int, epochs: int) -> None:
    rows = rows_of(examples // 2, examples // 2)
    rows[0] = dataclasses.replace(rows[0], tags=[IGNORE, 1])
    assert make_plan(rows, TrainingOptions(), np.random.default_rng(0)).epochs == epochs


@pytest.mark.parametrize(("few", "way"), [(True, 0.5), (False, 0.7)])
def test_the_encoder_goes_part_of_the_way_back(network, monkeypatch, few: bool, way: float) -> None:
    joint, rows = network
    if not few:
        monkeypatch.setattr("sqz_nlu.training.schedule._FEW_EXAMPLES", 0)
    monkeypatch.setattr(Evaluation, "score", 1.0)
    rows = [dataclasses.replace(row, tags=[IGNORE] * len(row.tags)) for row in (rows * 60)[:60]]
    before = {name: value.clone() for name, value in joint.encoder.state_dict().items()}
    ended = []
    fit_rows = trainer._Run.fit

    def note(run, rows, epochs, evaluated=()) -> None:
        fit_rows(run, rows, epochs, evaluated)
        ended.append({name: value.clone() for name, value in joint.encoder.state_dict().items()})

    monkeypatch.setattr(trainer._Run, "fit", note)
    trainer.train(joint, rows, TrainingOptions(epochs=4, device="cpu", quantization="none"))
    weight = "encoder.layers.1.output.conv1d.weight"
    now, trained = joint.encoder.state_dict(), ended[1]  # after the rehearsal, or the late epoch
    assert not torch.allclose(trained[weight], before[weight], atol=1e-5)
    for name in before:
        assert torch.allclose(now[name], before[name] + way * (trained[name] - before[name]), atol=1e-7)


@pytest.mark.parametrize("frozen", [0, 1])
def test_products_of_bfloat16_learn_nearly_the_same(network, monkeypatch, frozen: int) -> None:
    joint, rows = network
    weights, kinds = _weights(joint), set()
    product = torch.nn.functional.linear

    def note(x, weight, bias=None) -> torch.Tensor:
        result = product(x, weight, bias)
        kinds.add((joint.training, result.dtype))
        return result

    monkeypatch.setattr(torch.nn.functional, "linear", note)
    ended = {}
    for precision in ("float32", "bfloat16"):
        joint.load_state_dict(weights)
        kinds.clear()
        settings = {"random_seed": 1, "frozen_layers": frozen, "quantization": "none"}
        options = TrainingOptions(epochs=2, device="cpu", precision=precision, **settings)
        trainer.train(joint, (rows * 4)[:40], options)
        ended[precision] = _weights(joint)
        training, evaluating = ({kind for mode, kind in kinds if mode is which} for which in (True, False))
        assert training == {torch.float32, *([torch.bfloat16] if precision == "bfloat16" else [])}
        assert evaluating == {torch.float32}
    name = "encoder.encoder.layers.1.output.conv1d.weight"
    exact, rounded = (ended[precision][name] - weights[name] for precision in ended)
    assert rounded.dtype == torch.float32
    assert torch.cosine_similarity(exact.flatten(), rounded.flatten(), 0) > 0.9
    assert not torch.equal(exact, rounded)


@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_is_for_processors_with_instructions_for_it(monkeypatch, fast: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert trainer.uses_bfloat16("auto", CPU) is fast
    assert not trainer.uses_bfloat16("float32", CPU)
    assert trainer.uses_bfloat16("bfloat16", CPU)


def test_rates_that_are_too_high_are_named(network) -> None:
    joint, rows = network
    options = TrainingOptions(epochs=4, device="cpu", learning_rate=1e6, head_learning_rate=1e30)
    with pytest.raises(
        OptionError, match=r"astray in epoch \d.*loss nan.* 1e\+06 \(learning_rate\) and 1e\+30"
    ):
        trainer.train(joint, rows, options)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("quantization", ["auto", "none"])
def test_weights_end_on_the_grid_on_which_they_ship(
    network, monkeypatch, few: bool, quantization: str
) -> None:
    joint, rows = network
    if not few:
        monkeypatch.setattr("sqz_nlu.training.schedule._FEW_EXAMPLES", 0)
    options = TrainingOptions(epochs=4, device="cpu", quantization=quantization)
    trainer.train(joint, (rows * 60)[:60], options)
    for name, module in joint.encoder.named_modules():
        if isinstance(module, GroupedLinear):
            weight = torch.cat(module.group_weights())
            assert not module.rounded
            same = torch.allclose(round_weight(weight), weight, atol=1e-6)
            assert same == (quantization == "auto"), name


def test_few_examples_are_learned_more_slowly_unless_the_user_says() -> None:
    rng = np.random.default_rng(0)

    def rate(rows: list[Row], **options) -> float:
        return make_plan(rows, TrainingOptions(**options), rng).learning_rate

    few, many = rows_of(*[20] * 5), rows_of(*[21] * 5)
    assert 0 < rate(few) < rate(many)
    tagged = [dataclasses.replace(row, tags=[IGNORE, 0, 3, IGNORE]) for row in few]
    assert rate(few) < rate(tagged) < rate(many)
    assert rate([dataclasses.replace(row, tags=[IGNORE, 0, IGNORE]) for row in few]) == rate(few)
    assert rate(few, learning_rate=1e-3) == rate(many, learning_rate=1e-3) == 1e-3


def test_rates_rise_and_fall(network) -> None:
    options = TrainingOptions(freeze_embeddings=False, layer_learning_rate_decay=0.5)
    schedule = Schedule(new_optimizer(network[0], options, 1e-3), 100, 0.1)
    heads = []
    for _ in range(100):
        schedule.advance()
        heads.append(schedule.rates()["heads"])
    assert heads[9] == max(heads) == options.head_learning_rate
    assert heads[0] == pytest.approx(options.head_learning_rate / 10)
    assert heads[-1] == pytest.approx(0.01 * options.head_learning_rate)
    names = ["heads", "layer_1", "layer_0", "embeddings"]
    assert list(schedule.rates()) == names
    assert [schedule.peaks[1] / peak for peak in schedule.peaks[1:]] == [1, 2, 4]


def test_the_best_weights_come_back(network) -> None:
    net, rows = network
    new_optimizer(net, TrainingOptions(freeze_embeddings=False), 1e-3)
    best = Best()
    best.update(net, 0.5, 1)
    before = evaluate(net, rows, CPU)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    best.update(net, 0.5, 2)
    best.update(net, 0.4, 3)
    assert (best.epoch, best.waited) == (1, 2)
    best.restore(net)
    after = evaluate(net, rows, CPU)
    np.testing.assert_array_equal(before.logits, after.logits)
    assert before.losses == after.losses


def test_checkpoint_model_keeps_the_best_of_the_evaluations(network, monkeypatch) -> None:
    net, rows = network
    scores = iter([0.2, 0.9, 0.1, 0.3])
    kept = {}

    def score(run, held) -> float:
        kept[run.epoch] = net.intent_head.weight.detach().clone()
        return next(scores)

    monkeypatch.setattr(trainer._Run, "_evaluate", score)
    scores_of_settling = iter([1.0, 0.0])
    monkeypatch.setattr(Evaluation, "score", property(lambda evaluation: next(scores_of_settling)))
    options = TrainingOptions(
        epochs=4, evaluate_on_number_of_examples=5, checkpoint_model=True, random_seed=1
    )
    result = trainer.train(net, rows, options)
    assert result.epochs == 4
    torch.testing.assert_close(net.intent_head.weight.detach(), kept[2], rtol=0.0, atol=0.0)
    assert not torch.equal(kept[2], kept[4])


def test_what_was_decided_is_logged(network, caplog) -> None:
    net, rows = network
    options = TrainingOptions(
        epochs=1, evaluate_on_number_of_examples=500, evaluate_every_number_of_epochs=9, device="cpu"
    )
    with caplog.at_level("INFO"):
        trainer.train(net, rows, options)
    assert f"Training on {len(rows)} examples, " in caplog.text
    assert "1 epochs of batches of 4" in caplog.text
    assert "device cpu" in caplog.text
    assert "is 500, but only" in caplog.text
    assert "only the last is evaluated" in caplog.text
    with caplog.at_level("INFO"):
        trainer.train(net, rows, TrainingOptions(epochs=1, checkpoint_model=True))
    assert "checkpoint_model is set, but" in caplog.text


def test_nobody_elses_randomness_changes(tiny_examples, tiny_options, tmp_path: Path) -> None:
    def states() -> tuple:
        threads = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(), threads

    before = states()
    for seed in (3, None):
        options = dataclasses.replace(tiny_options, epochs=1, random_seed=seed, drop_rate=0.5)
        fit(tiny_examples, options, tmp_path / "bundle")
    assert states() == before


def test_private_randomness_is_seeded_and_ends_with_an_error() -> None:
    before = torch.get_rng_state()
    drawn = []

    def draw() -> None:
        with private_randomness(5, CPU):
            drawn.append(torch.rand(3).tolist())
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            draw()
    assert drawn[0] == drawn[1]
    assert torch.equal(before, torch.get_rng_state())


def test_parsing_beside_training_stays_right(
    interpreter, tiny_examples, tiny_options, tmp_path: Path
) -> None:
    texts = [example.text for example in tiny_examples]
    expected = [interpreter.parse(text).to_dict() for text in texts]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            fit(tiny_examples, dataclasses.replace(tiny_options, epochs=2), tmp_path / "bundle")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    rounds = 0
    while thread.is_alive() or not rounds:
        assert [interpreter.parse(text).to_dict() for text in texts] == expected
        rounds += 1
    thread.join()
    assert not failures
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_an_interrupted_training_leaves_nothing(tiny_examples, tiny_options, tmp_path, monkeypatch) -> None:
    steps = iter(range(30))
    step = torch.optim.AdamW.step

    def interrupted(self, *arguments):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_examples, tiny_options, tmp_path / "bundle", checkpoint=tmp_path / "weights")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    options = dataclasses.replace(tiny_options, epochs=1)
    fit(tiny_examples, options, tmp_path / "bundle", checkpoint=tmp_path / "weights")
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "weights"}


def test_a_fallback_threshold_keeps_the_right_answers() -> None:
    rng = np.random.default_rng(0)
    confidences = np.concatenate([rng.beta(8, 2, 900), rng.beta(3, 4, 100)])
    correct = np.arange(1000) < 900
    found = recommend_threshold(confidences, correct)
    assert found is not None
    right, wrong = confidences[:900], confidences[900:]
    assert (right >= found.threshold).mean() == found.kept >= 0.97
    assert (right >= found.threshold + 0.01).mean() < 0.97
    assert found.turned_away == (wrong < found.threshold).mean() > 0.3
    assert f"threshold {found.threshold:.2f} would have kept 97% of the right and turned away" in str(found)
    certain = recommend_threshold(np.full(60, 0.9), np.ones(60, bool))
    assert certain is not None
    assert (certain.threshold, certain.kept, certain.turned_away) == (0.9, 1.0, None)
    assert "none wrong" in str(certain)
    assert recommend_threshold(confidences[:49], correct[:49]) is None


def test_the_threshold_is_kept_in_the_bundle(tiny_examples, tiny_options, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fallback, "_FEWEST_RIGHT", 3)
    options = dataclasses.replace(tiny_options, epochs=6, evaluate_on_number_of_examples=10)
    report = fit(tiny_examples, options, tmp_path / "bundle")
    found = report.training.fallback
    assert found is not None
    bundle = read_bundle(report.bundle)
    assert bundle.manifest["fallback"] == found.to_dict()
    assert f"threshold of {found.threshold:.2f} would have kept" in bundle.contents["README.md"].decode()


def test_event_files_need_no_tensorflow(tmp_path: Path) -> None:
    script = f"""
import sys
from sqz_nlu.events import EventLog
with EventLog({str(tmp_path)!r}) as first, EventLog({str(tmp_path)!r}) as second:
    first.write("train", {{"loss": 0.5}}, 1)
    second.write("train", {{"loss": 0.25}}, 1)
print([name for name in ("tensorflow", "torch") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
    files = list(tmp_path.glob("*/train/events.out.tfevents.*"))
    assert len({file.parent for file in files}) == 2


def test_a_log_that_cannot_be_written(tmp_path: Path, caplog) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="cannot be written"):
        EventLog(tmp_path / "file")
    with EventLog(tmp_path / "folder") as events:
        assert events.folder is not None
        (events.folder / "train").touch()  # where a folder should be
        events.write("train", {"loss": 0.5}, 1)
        events.write("train", {"loss": 0.5}, 2)
    assert caplog.text.count("cannot be written on") == 1


def test_devices(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(OptionError, match=r"'device' is 'cuda', but torch .* sees no GPU"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cpu") == CPU
