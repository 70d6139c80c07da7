"""Reading the parameters of Prometheus' HTTP API: query string and form, times, durations, steps."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.requests import Request

from ai_platform_mcp.sandbox.prometheus.model import BadData

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNITS_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
EARLIEST_MS = -(1 << 62)
LATEST_MS = 1 << 62
MAX_POINTS = 11_000
_TOO_MANY = (
    "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
)


class Params:
    """The parameters of one request; a form body and the query string count alike, the form first."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    @staticmethod
    async def of(request: Request) -> Params:
        """Read the parameters of a GET or of a POSTed form."""
        pairs = list(request.query_params.multi_items())
        if request.method == "POST" and "form-urlencoded" in request.headers.get("content-type", ""):
            body = (await request.body()).decode("utf-8", "replace")
            pairs = parse_qsl(body, keep_blank_values=True) + pairs
        return Params(pairs)

    def get(self, name: str) -> str:
        """The first value, or an empty string."""
        return next((value for key, value in self._pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return [value for key, value in self._pairs if key == name]

    def time(self, name: str, default_ms: int | None = None) -> int:
        """A moment in milliseconds. Raises `BadData` when it is missing without a default, or not a time."""
        text = self.get(name)
        if not text and default_ms is not None:
            return default_ms
        moment = _time_ms(text)
        if moment is None:
            raise BadData(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp')
        return moment

    def duration(self, name: str) -> int:
        """A duration in milliseconds. Raises `BadData` when it is missing or not a duration."""
        text = self.get(name)
        parsed = duration_ms(text)
        if parsed is None:
            raise BadData(f'invalid parameter "{name}": cannot parse "{text}" to a valid duration')
        return parsed

    def steps(self) -> range:
        """The grid of a range query. Raises `BadData` for one that is reversed, still, or finer than 11,000 points."""
        start, end = self.time("start"), self.time("end")
        if end < start:
            raise BadData('invalid parameter "end": end timestamp must not be before start time')
        step = self.duration("step")
        if step <= 0:
            raise BadData(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        if (end - start) // step > MAX_POINTS:
            raise BadData(_TOO_MANY)
        return range(start, end + 1, step)


def _time_ms(text: str) -> int | None:
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return round(seconds * 1000) if math.isfinite(seconds) else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if "T" not in text:
        return None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def duration_ms(text: str) -> int | None:
    """A duration as seconds (`15`, `0.5`) or in Prometheus' notation (`1h30m`); None when it is neither."""
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return round(seconds * 1000) if math.isfinite(seconds) else None
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    return sum(int(amount) * unit for amount, unit in zip(match.groups(), _UNITS_MS, strict=True) if amount)
