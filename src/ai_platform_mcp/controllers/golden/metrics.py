"""What the check has measured, in Prometheus' text format (version 0.0.4). A handful of lines needs no library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import get_args

from ai_platform_mcp.domain.golden.agreement import Result, Round

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ANSWERS = "aiplatform_golden_answers_total"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds."""


class Metrics:
    """Counts answers by result and how long they took, under the labels that say whose they are."""

    def __init__(self, labels: Mapping[str, str]):
        self._labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        self._results: Counter[str] = Counter({str(name): 0 for name in get_args(Result)})
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0
        self._timed = 0
        self._last: tuple[Round, float] | None = None

    def took(self, seconds: float) -> None:
        """Count how long one request took, answered or not."""
        self._timed += 1
        self._seconds += seconds
        self._buckets.update(bound for bound in BUCKETS if seconds <= bound)

    def asked(self, round_: Round, at: float) -> None:
        """Count a round that ended at a moment (seconds since 1970)."""
        self._results.update(row.result for row in round_.answers)
        self._last = round_, at

    def text(self) -> str:
        """Return the metrics as they are scraped."""
        lines = [
            f"# HELP {ANSWERS} Answers of the model to golden inputs, by whether they agree with what is expected.",
            f"# TYPE {ANSWERS} counter",
            *(self._line(ANSWERS, count, f'result="{name}"') for name, count in self._results.items()),
        ]
        name = "aiplatform_golden_answer_seconds"
        lines += [f"# HELP {name} Time to the answer of one golden input.", f"# TYPE {name} histogram"]
        lines += [self._line(f"{name}_bucket", self._buckets[bound], f'le="{bound:g}"') for bound in BUCKETS]
        lines += [self._line(f"{name}_bucket", self._timed, 'le="+Inf"')]
        lines += [self._line(f"{name}_sum", round(self._seconds, 6)), self._line(f"{name}_count", self._timed)]
        if self._last is not None:
            found, at = self._last
            share = found.count("agree") / len(found.answers)
            lines += self._gauge("aiplatform_golden_agreement_ratio", "Agreement in the last round.", round(share, 6))
            lines += self._gauge(
                "aiplatform_golden_asked_timestamp_seconds", "When the last round ended.", round(at, 3)
            )
        return "\n".join(lines) + "\n"

    def _gauge(self, name: str, told: str, value: float) -> list[str]:
        return [f"# HELP {name} {told}", f"# TYPE {name} gauge", self._line(name, value)]

    def _line(self, name: str, value: float, label: str = "") -> str:
        return f"{name}{{{','.join(filter(None, (self._labels, label)))}}} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
