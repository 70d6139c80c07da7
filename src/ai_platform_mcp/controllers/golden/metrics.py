"""What the check has measured, as a Prometheus scrapes it; the library that keeps it is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from ai_platform_mcp.domain.golden.agreement import Result, Round

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what ``generate_latest`` writes, in every release of the library."""
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds."""


class Metrics:
    """Counts answers by result and how long they took, under the labels that say whose they are."""

    def __init__(self, labels: Mapping[str, str]):
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # the moments at which this process began to count: series that nobody asks for
        self._registry = registry = CollectorRegistry()
        self._labels = dict(labels)
        what = "Answers of the model to golden inputs, by whether they agree with what is expected."
        self._answers = Counter("aiplatform_golden_answers", what, (*labels, "result"), registry=registry)
        for result in get_args(Result):
            self._answers.labels(
                **labels, result=result
            )  # nought is told from the beginning, so that rates see the first
        what = "Time to the answer of one golden input."
        took = Histogram("aiplatform_golden_answer_seconds", what, (*labels,), buckets=BUCKETS, registry=registry)
        self._took = took.labels(**labels)
        what = "Agreement in the last round."
        self._agreement = Gauge("aiplatform_golden_agreement_ratio", what, (*labels,), registry=registry)
        what = "When the last round ended."
        self._ended = Gauge("aiplatform_golden_asked_timestamp_seconds", what, (*labels,), registry=registry)

    def took(self, seconds: float) -> None:
        """Count how long one request took, answered or not."""
        self._took.observe(seconds)

    def asked(self, round_: Round, at: float) -> None:
        """Count a round that ended at a moment (seconds since 1970)."""
        for row in round_.answers:
            self._answers.labels(**self._labels, result=row.result).inc()
        self._agreement.labels(**self._labels).set(round_.count("agree") / len(round_.answers))
        self._ended.labels(**self._labels).set(at)

    def text(self) -> str:
        """Return the metrics as they are scraped."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry).decode()
