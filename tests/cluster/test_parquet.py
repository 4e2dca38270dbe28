"""Parquet, and places that are reached by URL."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqz_nlu import Interpreter
from sqz_nlu.errors import AnnotateError
from sqz_nlu.serving.annotate.files import locate
from sqz_nlu.serving.annotate.plan import Job, cut, find_shards
from sqz_nlu.serving.annotate.rows import ANSWER, CHUNK
from sqz_nlu.serving.annotate.run import annotate


@pytest.fixture
def table() -> pa.Table:
    texts = ["hello", "turn on the light in the kitchen", None, "", "fly from paris to london"] * 700
    return pa.table(
        {
            "id": pa.array(range(3500), pa.int16()),
            "text": pa.array(texts).dictionary_encode(),
            "nested": pa.array([{"a": [1.5, None]}] * 3500),
        },
        metadata={"made": "by hand"},
    )


@pytest.mark.parametrize("as_url", [False, True])
def test_all_columns_and_types_stay(tiny_bundle, table, tmp_path, as_url):
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet", row_group_size=900)
    pq.write_table(table.slice(0, 3), tmp_path / "in" / "b.parquet")
    places = [tmp_path / "in", tmp_path / "out"]
    source, output = [place.as_uri() if as_url else str(place) for place in places]

    summary = annotate(source, output, tiny_bundle, workers=1)

    parts = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("part-*.parquet"))]
    result = pa.concat_tables(parts)
    assert len(parts) == summary["parts"] == 5
    assert (summary["rows"], summary["failed"]) == (3503, 701)
    wanted = pa.concat_tables([table, table.slice(0, 3)])
    assert result.select(wanted.column_names).to_pylist() == wanted.to_pylist()
    assert result.schema.names == [*table.schema.names, *ANSWER]
    assert [result.schema.field(name).type for name in table.schema.names] == table.schema.types
    assert result.schema.metadata[b"made"] == b"by hand"
    first = result.slice(0, 3).to_pylist()
    expected = Interpreter.load(tiny_bundle).parse(first[1]["text"])
    assert [row["sqz_intent"] for row in first] == ["greet", expected.intent.name, None]
    assert [e["value"] for e in first[1]["sqz_entities"]] == [e.value for e in expected.entities]
    assert first[2]["sqz_error"] == "'text' is None; expected a string"
    assert annotate(source, output, tiny_bundle, workers=1)["parts_kept"] == 5


def test_a_row_group_is_decoded_for_few_parts_and_no_further_than_they_go(tmp_path, monkeypatch):
    numbers = [str(number) for number in range(40_000)]
    pq.write_table(pa.table({"text": numbers}), tmp_path / "a.parquet", row_group_size=40_000)
    job = Job(str(tmp_path / "a.parquet"), str(tmp_path / "out"), "parquet", "text")
    parts = cut(find_shards(job), job.kind)
    assert [part.start for part in parts] == list(range(0, 40_000, 2_500))
    decoded = 0
    iter_batches = pq.ParquetFile.iter_batches

    def counting(*arguments, **options):
        nonlocal decoded
        for batch in iter_batches(*arguments, **options):
            decoded += batch.num_rows
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counting)
    texts = []
    for part in parts:
        decoded = 0
        with (tmp_path / "a.parquet").open("rb") as file:
            texts += [text for chunk in job.kind.read(file, part.start, part.stop) for text in chunk.texts]
        assert decoded < part.stop + CHUNK
    assert texts == numbers


def test_what_is_not_parquet_is_one_clear_error(tiny_bundle, tmp_path):
    (tmp_path / "a.parquet").touch()
    with pytest.raises(AnnotateError, match=r"'a.parquet' cannot be read as Parquet"):
        annotate(tmp_path / "a.parquet", tmp_path / "out", tiny_bundle)
    pq.write_table(pa.table({"txt": ["hello"]}), tmp_path / "a.parquet")
    with pytest.raises(AnnotateError, match="Did you mean 'txt'"):
        annotate(tmp_path / "a.parquet", tmp_path / "out", tiny_bundle)


def test_a_file_of_a_url_appears_complete_or_not_at_all(tmp_path):
    place = locate(tmp_path.as_uri())

    def fail_half_way():
        with place.write("x/part") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert place.sizes() == {}
    with place.write("x/part") as file:
        file.write(b"whole")
    assert place.sizes() == {"x/part": 5}
    (tmp_path / "x" / ".part.0.partial").write_bytes(b"left by a crash")
    place.sweep("x")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["part"]


def test_text_of_a_url(tiny_bundle, tmp_path):
    (tmp_path / "in.txt").write_text("hello\nbye\n")
    summary = annotate((tmp_path / "in.txt").as_uri(), tmp_path / "out", tiny_bundle, workers=1)
    assert summary["rows"] == 2
