"""The metrics world: registered series, what changed about them and when, kept in one small SQLite table.

Samples are never stored. A restart reads the table and answers the same history to the last digit.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ai_platform_mcp.sandbox.prometheus.model import (
    NAME,
    Clock,
    Family,
    Growth,
    LabelSet,
    Matcher,
    Sample,
    matches,
)
from ai_platform_mcp.sandbox.prometheus.tracks import Life, Part, SeriesSpec, exposed

_TABLE = """
CREATE TABLE IF NOT EXISTS metric_events (
    id INTEGER PRIMARY KEY, action TEXT NOT NULL, key TEXT NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL
)"""


class MetricsWorld:
    """A `SampleSource` whose series the sandbox's controllers register, change and stop.

    All methods are quick and synchronous (a write is one SQLite transaction); they may be called from any thread.
    Moments are milliseconds since the epoch of the given clock. Samples end at the clock's present.
    """

    def __init__(self, path: Path, clock: Clock, seed: int = 0) -> None:
        self._path = path
        self._clock = clock
        self._seed = seed
        self._lock = threading.RLock()
        self._lives: dict[str, list[Life]] = {}
        self._by_name: dict[str, dict[LabelSet, tuple[str, Part]]] = defaultdict(dict)
        self._families: dict[str, Family] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_TABLE)
            rows = connection.execute("SELECT action, key, at_ms, body FROM metric_events ORDER BY id").fetchall()
        for action, key, at_ms, body in rows:
            self._replay(action, key, at_ms, json.loads(body))

    def now_ms(self) -> int:
        """The clock's present in milliseconds."""
        return int(self._clock.now().timestamp() * 1000)

    def register(self, *specs: SeriesSpec) -> list[str]:
        """Begin series; those that live already are left as they are. Returns the keys of all of them.

        A series that was stopped begins anew: its counter restarts from zero, as after a restart of its process.
        Raises `ValueError` for parameters its type does not have, or a start before its last end; none is begun then.
        """
        with self._lock:
            fresh = {spec.key: spec for spec in specs if self._alive(spec.key) is None}.values()
            lives = [self._life(spec) for spec in fresh]
            for life in lives:
                self._begin(life)
            self._record([("register", spec.key, spec.start_ms, _body(spec)) for spec in fresh])
        return [spec.key for spec in specs]

    def change(self, series_key: str, at: int, **params: float) -> None:
        """Continue a series with other parameters from a moment on; those not named stay.

        Raises:
            KeyError: no such series is alive.
            ValueError: an unknown parameter, or a moment before the last change.
        """
        with self._lock:
            self._living(series_key).change(at, params)
            self._record([("change", series_key, at, json.dumps(params))])

    def become(self, at: int, *specs: SeriesSpec) -> None:
        """Make these series what their specs say from a moment on: those that live change where a parameter differs, the
        others begin. One transaction, however many; the interval of a living series stays. Raises as `register` does.
        """
        with self._lock:
            fresh = [spec for spec in specs if self._alive(spec.key) is None]
            events: list[tuple[str, str, int, str]] = []
            for spec in specs:
                life = self._alive(spec.key)
                told = life.segments[-1].params if life is not None else {}
                changed = {name: value for name, value in spec.params.items() if told.get(name) != value}
                if life is not None and changed:
                    life.change(at, changed)
                    events.append(("change", spec.key, at, json.dumps(changed)))
            self._record(events)
            self.register(*fresh)

    def stop(self, series_key: str, at: int) -> None:
        """End a series: no sample at or after that moment. Raises `KeyError` when no such series is alive."""
        with self._lock:
            self._living(series_key).end_ms = at
            self._record([("stop", series_key, at, "{}")])

    def select(self, **labels: str) -> list[str]:
        """Keys of the living series that carry these labels (`name` is the metric's)."""
        wanted = dict(labels)
        name = wanted.pop("name", None)
        with self._lock:
            return [
                key
                for key in self._lives
                if (life := self._alive(key)) is not None
                and (name is None or life.spec.name == name)
                and all(life.spec.labels.get(label) == value for label, value in wanted.items())
            ]

    def knows(self, series_key: str) -> bool:
        """Whether such a series was ever registered, alive or not."""
        with self._lock:
            return series_key in self._lives

    def families(self) -> list[Family]:
        """Name, type and help of every family, by name."""
        with self._lock:
            return [self._families[name] for name in sorted(self._families)]

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[LabelSet]:
        """Label sets that pass every matcher and may have a sample in the closed interval."""
        with self._lock:
            return [
                labels
                for name in self._names(matchers)
                for labels, (key, _) in self._by_name[name].items()
                if matches(matchers, labels) and any(_lives_in(life, start_ms, end_ms) for life in self._lives[key])
            ]

    def samples(self, labels: LabelSet, start_ms: int, end_ms: int) -> list[Sample]:
        """The samples of one series in the closed interval, oldest first, none of them in the future."""
        with self._lock:
            found = self._by_name.get(dict(labels).get(NAME, ""), {}).get(labels)
            if found is None:
                return []
            key, part = found
            lives = list(self._lives[key])
        last = min(end_ms, self.now_ms())
        return [sample for life in lives for sample in life.samples(part, life.ticks(start_ms, last))]

    def growth(self, labels: LabelSet, start_ms: int, end_ms: int) -> Growth | None:
        """The growth of one series in the closed interval: within a life a counter never falls, so its ends say it all."""
        with self._lock:
            key, part = self._by_name[dict(labels)[NAME]][labels]
            lives = list(self._lives[key])
        if lives[0].spec.type == "gauge":
            samples = self.samples(labels, start_ms, end_ms)
            return Growth.of([moment for moment, _ in samples], [value for _, value in samples]) if samples else None
        last_ms, count, grown = min(end_ms, self.now_ms()), 0, 0.0
        first: Sample | None = None
        last: Sample | None = None
        for life in lives:
            ticks = life.ticks(start_ms, last_ms)
            if not ticks:
                continue
            (begin, end) = life.samples(part, [ticks[0], ticks[-1]])
            grown += end[1] - begin[1]
            if last is not None:
                grown += begin[1] if begin[1] < last[1] else begin[1] - last[1]
            first, last, count = first or begin, end, count + len(ticks)
        return None if first is None or last is None else Growth(first, last, count, grown)

    def latest(self, labels: LabelSet, moments: Sequence[int], lookback_ms: int) -> list[Sample | None]:
        """For each moment, the newest sample of one series not after it and not older than the lookback."""
        with self._lock:
            found = self._by_name.get(dict(labels).get(NAME, ""), {}).get(labels)
            lives = [] if found is None else list(self._lives[found[0]])
        newest: list[Sample | None] = [None] * len(moments)
        if found is None:
            return newest
        now = self.now_ms()
        for life in lives:
            # A moment in the future sees the last scrape before now, if that is not too old for it.
            ticks = life.newest([min(moment, now) for moment in moments], lookback_ms)
            wanted = sorted({tick for tick in ticks if tick is not None})
            values = dict(life.samples(found[1], wanted))
            for index, (moment, tick) in enumerate(zip(moments, ticks, strict=True)):
                if tick is not None and tick >= moment - lookback_ms:
                    newest[index] = (tick, values[tick])
        return newest

    def _names(self, matchers: Sequence[Matcher]) -> Iterable[str]:
        on_name = [matcher for matcher in matchers if matcher.name == NAME]
        for matcher in on_name:
            if matcher.op == "=":
                return [matcher.value] if matcher.value in self._by_name else []
        return [name for name in self._by_name if all(matcher.accepts(name) for matcher in on_name)]

    def _alive(self, key: str) -> Life | None:
        lives = self._lives.get(key)
        return lives[-1] if lives and lives[-1].end_ms is None else None

    def _living(self, key: str) -> Life:
        life = self._alive(key)
        if life is None:
            raise KeyError(f"no living series {key}")
        return life

    def _life(self, spec: SeriesSpec) -> Life:
        earlier = self._lives.get(spec.key)
        if earlier and earlier[-1].end_ms is not None and spec.start_ms < earlier[-1].end_ms:
            raise ValueError(f"{spec.key} was still alive then")
        return Life(spec, self._seed)

    def _begin(self, life: Life) -> None:
        spec = life.spec
        self._lives.setdefault(spec.key, []).append(life)
        self._families.setdefault(spec.name, Family(spec.name, spec.type, spec.help, spec.unit))
        for labels, part in exposed(spec):
            self._by_name[dict(labels)[NAME]][labels] = (spec.key, part)

    def _replay(self, action: str, key: str, at_ms: int, body: dict[str, Any]) -> None:
        if action == "register":
            self._begin(self._life(_spec(body)))
        elif action == "change":
            self._living(key).change(at_ms, body)
        else:
            self._living(key).end_ms = at_ms

    def _record(self, events: Sequence[tuple[str, str, int, str]]) -> None:
        if not events:
            return
        with closing(self._open()) as connection, connection:
            connection.executemany("INSERT INTO metric_events (action, key, at_ms, body) VALUES (?, ?, ?, ?)", events)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)


def _lives_in(life: Life, start_ms: int, end_ms: int) -> bool:
    return life.spec.start_ms <= end_ms and (life.end_ms is None or life.end_ms > start_ms)


def _body(spec: SeriesSpec) -> str:
    return json.dumps({**asdict(spec), "labels": dict(spec.labels), "params": _storable(spec.params)})


def _storable(params: Mapping[str, float]) -> dict[str, float]:
    """Infinite clamps are the defaults and have no JSON form: leave them out."""
    return {name: value for name, value in params.items() if math.isfinite(value)}


def _spec(body: dict[str, Any]) -> SeriesSpec:
    fields: dict[str, Any] = {**body, "buckets": tuple(float(bound) for bound in body["buckets"])}
    return SeriesSpec(**fields)
