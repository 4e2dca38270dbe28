"""Prometheus metrics of one app."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sqz_nlu._version import __version__
from sqz_nlu.serving.model import ModelSource

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ServerMetrics:
    """What an app counts. Each app has its own registry: several may live in one process.

    Args:
        source: the served model is read from it when metrics are.
    """

    def __init__(self, source: ModelSource) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sqz_nlu_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "sqz_nlu_request_seconds",
            "From a request's headers to the end of its response.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("sqz_nlu_requests_in_flight", "Requests being answered.", registry=registry)
        self.parse_seconds = Histogram(
            "sqz_nlu_parse_seconds",
            "Understanding one text or batch, without waiting for a thread.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.texts = Counter("sqz_nlu_texts", "Texts understood.", registry=registry)
        self.refused = Counter("sqz_nlu_overloads", "Requests refused: queue full.", registry=registry)
        self.reloads = Counter("sqz_nlu_reloads", "Loads of a newer model.", ["result"], registry=registry)
        for result in ("loaded", "refused"):
            self.reloads.labels(result)
        registry.register(_ModelCollector(source))
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _ModelCollector(Collector):
    def __init__(self, source: ModelSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "sqz_nlu_model_info", "The served model.", labels=("fingerprint", "path", "version")
        )
        loaded = GaugeMetricFamily(
            "sqz_nlu_model_loaded_timestamp_seconds",
            "When the served model was loaded.",
        )
        model = self._source.current
        if model is not None:
            info.add_metric((model.fingerprint, str(model.path), __version__), 1)
            loaded.add_metric((), model.loaded)
        yield info
        yield loaded
