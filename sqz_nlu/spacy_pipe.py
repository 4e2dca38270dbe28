"""A bundle as a component of a spaCy pipeline: ``nlp.add_pipe("sqz_nlu", config={"model": "my-bundle"})``.

It sets ``doc.ents``, ``doc.cats`` (confidences by intent), ``doc._.sqz`` (the parse as Rasa's JSON) and, on
each of its entities, ``span._.sqz`` (that entity of the parse: exact offsets, value, role, group).
"""

# No postponed annotations here: spaCy reads those of the factory.
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span
from spacy.util import filter_spans, minibatch
from spacy.vocab import Vocab

from sqz_nlu.errors import BundleError
from sqz_nlu.runtime.archive import model_path, open_model
from sqz_nlu.runtime.bundle import (
    MANIFEST,
    Bundle,
    canonical_json,
    describe,
    read_bundle,
    verify_files,
    write_bundle,
)
from sqz_nlu.runtime.interpreter import Interpreter
from sqz_nlu.runtime.results import ParseResult

EXTENSION = "sqz"


class SqzPipe(Pipe):
    """Intents and entities of a bundle, in spaCy's documents. Made by `create_pipe`."""

    def __init__(
        self, vocab: Vocab, name: str, model: str, bundle: Bundle | None, overwrite_ents: bool, threads: int
    ) -> None:
        self.vocab = vocab
        self.name = name
        self.model = model
        self.overwrite_ents = overwrite_ents
        self.threads = threads
        for kind in (Doc, Span):
            if not kind.has_extension(EXTENSION):
                kind.set_extension(EXTENSION, default=None)
        self._use(bundle)

    def _use(self, bundle: Bundle | None) -> None:
        self._bundle = bundle
        self._interpreter = Interpreter(bundle, self.threads) if bundle is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles without the ONNX Runtime session, for the workers of ``nlp.pipe(n_process=2)``."""
        settings = (self.name, self.model, self._bundle, self.overwrite_ents, self.threads)
        return SqzPipe, (self.vocab, *settings)

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers.

        Raises:
            BundleError: there was nothing at ``model``, and none came with a saved pipeline either.
        """
        if self._bundle is None:
            raise BundleError(
                f"The spaCy component '{self.name}' has no bundle: there is no '{self.model}'. Set 'model' "
                "to a bundle's folder or to a model archive of `rasa train`."
            )
        return self._bundle

    @property
    def interpreter(self) -> Interpreter:
        """What answers.

        Raises:
            BundleError: as `bundle` does.
        """
        return self._interpreter or Interpreter(self.bundle, self.threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity types; none before a saved pipeline has brought its bundle."""
        return self._interpreter.labels.entities if self._interpreter is not None else ()

    def __call__(self, doc: Doc) -> Doc:
        """Understands one document."""
        try:
            return self._annotate(doc, self.interpreter.parse(doc.text))
        except Exception as error:
            self.get_error_handler()(self.name, self, [doc], error)
            return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Understands documents, those of equal length together; see `Interpreter.parse_batch`."""
        handle: Callable[..., None] = self.get_error_handler()
        for docs in minibatch(stream, size=batch_size):
            try:
                results = self.interpreter.parse_batch([doc.text for doc in docs])
                for doc, result in zip(docs, results, strict=True):
                    self._annotate(doc, result)
                yield from docs
            except Exception as error:
                handle(self.name, self, docs, error)

    def _annotate(self, doc: Doc, result: ParseResult) -> Doc:
        parse = result.to_dict()
        doc._.set(EXTENSION, parse)
        doc.cats.update({i.name: i.confidence for i in result.intent_ranking if i.name is not None})
        _set_entities(doc, parse["entities"], self.overwrite_ents)
        return doc

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """The bundle, in one piece."""
        bundle = self.bundle
        files = {**bundle.contents, MANIFEST: canonical_json(bundle.manifest)}
        content: bytes = srsly.msgpack_dumps(files)
        return content

    def from_bytes(self, content: bytes, *, exclude: Sequence[str] = ()) -> "SqzPipe":
        """Takes the bundle that `to_bytes` wrote; raises `BundleError` where it is damaged."""
        self._use(verify_files(Path(self.name), srsly.msgpack_loads(content)))
        return self

    def to_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> None:
        """Writes the bundle into the folder of a pipeline."""
        write_bundle(path, self.bundle.contents, describe(self.bundle.manifest))

    def from_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> "SqzPipe":
        """Reads the bundle from the folder of a pipeline; raises `BundleError` where it is damaged."""
        self._use(read_bundle(path))
        return self


@Language.factory(
    "sqz_nlu",
    assigns=["doc.ents", "doc.cats", "doc._.sqz", "token.ent_iob", "token.ent_type"],
    default_config={"overwrite_ents": False, "threads": 1},
)
def create_pipe(nlp: Language, name: str, model: str, overwrite_ents: bool, threads: int) -> SqzPipe:
    """Makes the component, as ``nlp.add_pipe`` asks for it.

    Args:
        nlp: the pipeline.
        name: of the component in it.
        model: a bundle's folder or the model archive of ``rasa train``. It may be missing where a saved
            pipeline is loaded: that brings its bundle along.
        overwrite_ents: whether entities replace those of earlier components where they overlap.
        threads: threads for one text or batch.

    Raises:
        BundleError: what is at ``model`` is damaged or no bundle.
    """
    bundle = open_model(model) if model_path(model).exists() else None
    return SqzPipe(nlp.vocab, name, model, bundle, overwrite_ents, threads)


def _set_entities(doc: Doc, entities: Sequence[dict[str, Any]], overwrite: bool) -> None:
    """Adds entities to ``doc.ents``, widened to whole tokens where spaCy cuts words otherwise."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    ours = []
    for entity in entities:
        span = doc.char_span(entity["start"], entity["end"], entity["entity"], alignment_mode="expand")
        if span is not None:
            found.setdefault((span.start, span.end), entity)
            ours.append(span)
    ours = filter_spans(ours)
    first, second = (ours, doc.ents) if overwrite else (doc.ents, ours)
    taken = {token for span in first for token in range(span.start, span.end)}
    kept = [span for span in second if taken.isdisjoint(range(span.start, span.end))]
    doc.ents = sorted([*first, *kept])
    for span in ours if overwrite else kept:
        span._.set(EXTENSION, found[span.start, span.end])
