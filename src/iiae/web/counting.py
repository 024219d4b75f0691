"""Counts and times in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iiae.web.batching import Batcher


class Counts(Collector):
    """Requests by route and status, the time of each route, and the work of the batchers.

    The registry is its own, so that servers in one process count apart.
    """

    def __init__(self, batchers: Sequence[Batcher[Any, Any]] = ()):
        self.batchers, self.registry = batchers, CollectorRegistry()
        self.requests = Counter(
            "iiae_requests", "Answered requests.", ("route", "method", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "iiae_request_seconds", "Time to the last byte.", ("route",), registry=self.registry
        )
        self.registry.register(self)

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answered request; `route` is a pattern, so that names are few."""
        self.requests.labels(route, method, status).inc()
        self.seconds.labels(route).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """What the batchers count themselves."""
        all_ = self.batchers
        yield CounterMetricFamily("iiae_batched_jobs", "Jobs done.", sum(b.jobs for b in all_))
        yield CounterMetricFamily("iiae_batches", "Batches done.", sum(b.batches for b in all_))
        yield GaugeMetricFamily("iiae_waiting", "Jobs waiting.", sum(len(b.waiting) for b in all_))
