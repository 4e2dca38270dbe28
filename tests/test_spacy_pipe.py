from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from golden_set import BUNDLE, CONFIDENCE_IN_BATCHES, as_expected, assert_golden, golden_parses
from spacy import displacy
from spacy.tokens import DocBin, Span

from sqz_nlu import Interpreter
from sqz_nlu.errors import BundleError
from sqz_nlu.spacy_pipe import SqzPipe  # registers it; how a wheel does without is tested below

TEXT = "move the music from the office to the garden"
SCRIPT = """
import json, sys, spacy
nlp = spacy.blank("en")
nlp.add_pipe("sqz_nlu", config={"model": sys.argv[1]})
print(json.dumps({"parse": nlp(sys.argv[2])._.sqz, "file": sys.modules["sqz_nlu"].__file__}))
"""


def pipeline(model: Path = BUNDLE, language: str = "en", **config):
    nlp = spacy.blank(language)
    nlp.add_pipe("sqz_nlu", config={"model": str(model), **config})
    return nlp


@pytest.fixture(scope="module")
def nlp():
    return pipeline()


def spans(doc) -> list[tuple[str, str]]:
    return [(span.text, span.label_) for span in doc.ents]


def test_the_pipe_gives_the_golden_parses(nlp) -> None:
    expected = golden_parses()
    docs = [nlp(parse["text"]) for parse in expected]
    assert_golden([doc._.sqz for doc in docs], expected)
    for doc, parse in zip(docs, expected, strict=True):
        assert doc.cats == {i["name"]: pytest.approx(i["confidence"]) for i in doc._.sqz["intent_ranking"]}
        if doc.cats:
            assert max(doc.cats, key=doc.cats.get) == parse["intent"]["name"]
        found = [span._.sqz for span in doc.ents]
        assert all(entity in doc._.sqz["entities"] for entity in found)
        assert all(span.start_char <= span._.sqz["start"] < span.end_char for span in doc.ents)


@pytest.mark.parametrize("processes", [1, 2])
def test_streams_give_the_golden_parses(nlp, processes: int) -> None:
    expected = golden_parses()
    pairs = [(parse["text"], index) for index, parse in enumerate(expected)]
    answers = list(nlp.pipe(pairs, as_tuples=True, batch_size=64, n_process=processes))
    assert [index for _, index in answers] == list(range(len(expected)))
    assert_golden([doc._.sqz for doc, _ in answers], expected, CONFIDENCE_IN_BATCHES)
    assert multiprocessing.active_children() == []


def test_entities_carry_their_type_role_and_value(nlp) -> None:
    doc = nlp(TEXT)
    assert spans(doc) == [("office", "room"), ("garden", "room")]
    assert [span._.sqz["role"] for span in doc.ents] == ["from", "to"]
    doc = nlp("turn on the lounge light")
    assert (doc.ents[0].text, doc.ents[0]._.sqz["value"]) == ("lounge", "living room")
    assert doc[3].ent_type_ == "room"


def test_an_entity_inside_a_token_is_widened_to_it() -> None:
    nlp = pipeline()
    nlp.tokenizer.infix_finditer = None
    doc = nlp("turn-on-the-kitchen-light")
    assert [doc.text[e["start"] : e["end"]] for e in doc._.sqz["entities"]] == ["kitchen"]
    assert spans(doc) == [("turn-on-the-kitchen-light", "room")]
    assert doc.ents[0]._.sqz["start"] == 12


@pytest.mark.parametrize(("overwrite", "label"), [(False, "PLACE"), (True, "room")])
def test_entities_of_earlier_components(overwrite: bool, label: str) -> None:
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PLACE", "pattern": "the office"}, {"label": "WHAT", "pattern": "music"}])
    nlp.add_pipe("sqz_nlu", config={"model": str(BUNDLE), "overwrite_ents": overwrite})
    doc = nlp(TEXT)
    assert [span.label_ for span in doc.ents] == ["WHAT", label, "room"]
    assert len(doc._.sqz["entities"]) == 2


def test_scores_of_earlier_components_stay(nlp) -> None:
    doc = nlp.make_doc("hello")
    doc.cats["POSITIVE"] = 0.75
    doc = nlp.get_pipe("sqz_nlu")(doc)
    assert doc.cats["POSITIVE"] == 0.75
    assert doc.cats["greet"] > 0.5


@pytest.mark.parametrize("language", ["de", "xx", "zh"])
def test_other_languages_cut_words_otherwise(language: str) -> None:
    nlp = pipeline(language=language)
    doc = nlp("weather in 東京 tomorrow")
    assert doc.text == doc._.sqz["text"]
    assert [span.label_ for span in doc.ents] == ["city", "date"]


def test_a_saved_pipeline_brings_its_bundle(tmp_path: Path) -> None:
    here = tmp_path / "bundle"
    shutil.copytree(BUNDLE, here)
    nlp = pipeline(here, overwrite_ents=True)
    expected = nlp(TEXT)._.sqz
    nlp.to_disk(tmp_path / "saved")
    content = nlp.to_bytes()
    shutil.rmtree(here)  # another machine has no such folder

    assert spacy.load(tmp_path / "saved")(TEXT)._.sqz == expected
    assert (tmp_path / "saved" / "sqz_nlu" / "manifest.json").is_file()
    assert Interpreter.load(tmp_path / "saved" / "sqz_nlu").parse(TEXT).to_dict() == expected
    loaded = spacy.blank("en", config=nlp.config).from_bytes(content)
    assert loaded(TEXT)._.sqz == expected
    assert loaded.get_pipe("sqz_nlu").overwrite_ents is True


def test_a_saved_bundle_that_was_changed_is_refused(nlp, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path)
    model = tmp_path / "sqz_nlu" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    with pytest.raises(BundleError, match="SHA-256"):
        spacy.load(tmp_path)


def test_it_pickles(nlp) -> None:
    pipe = pickle.loads(pickle.dumps(nlp.get_pipe("sqz_nlu")))
    assert isinstance(pipe, SqzPipe)
    assert pipe(nlp.make_doc(TEXT))._.sqz == nlp(TEXT)._.sqz


def test_a_missing_bundle_is_named_at_first_use(tmp_path: Path) -> None:
    nlp = pipeline(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"nowhere.*Set 'model'"):
        nlp("hello")
    (tmp_path / "wrong").mkdir()
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        pipeline(tmp_path / "wrong")


@pytest.mark.parametrize("batch", [False, True])
def test_errors_go_to_the_handler_of_the_pipeline(batch: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp, seen = pipeline(), []
    nlp.set_error_handler(lambda name, pipe, docs, error: seen.append((name, len(docs), str(error))))

    def fails(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(nlp.get_pipe("sqz_nlu").interpreter, "parse_batch" if batch else "parse", fails)
    assert (list(nlp.pipe(["hello", "bye"])) == []) if batch else nlp("hello").text == "hello"
    assert seen == [("sqz_nlu", 2 if batch else 1, "no memory")]


def test_documents_are_stored_with_their_parses(nlp) -> None:
    stored = DocBin(store_user_data=True, docs=[nlp(TEXT)]).to_bytes()
    (doc,) = DocBin().from_bytes(stored).get_docs(nlp.vocab)
    assert json.dumps(doc._.sqz) == json.dumps(nlp(TEXT)._.sqz)  # spaCy gives tuples back for lists
    assert isinstance(doc.ents[1], Span)
    assert doc.ents[1]._.sqz["role"] == "to"


def test_displacy_draws_it(nlp) -> None:
    page = displacy.render(nlp(TEXT), style="ent", page=True, jupyter=False)
    assert page.count("room</span>") == 2


def test_spacy_knows_what_it_does(nlp) -> None:
    assert nlp.pipe_labels["sqz_nlu"] == list(Interpreter.load(BUNDLE).labels.entities)
    assert nlp.analyze_pipes()["problems"]["sqz_nlu"] == []
    assert "doc.cats" in nlp.get_pipe_meta("sqz_nlu").assigns


def test_the_installed_package_needs_no_import(uv: str, wheel: Path, tmp_path: Path) -> None:
    from wheels import run

    run(uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--target", tmp_path, wheel)
    command = [sys.executable, "-c", SCRIPT, str(BUNDLE), TEXT]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    there = json.loads(done.stdout)
    assert tmp_path in Path(there["file"]).parents
    expected = Interpreter.load(BUNDLE).parse(TEXT).to_dict()
    assert_golden([there["parse"]], [as_expected(expected)])
