"""The cyclic garbage collector of a server that keeps much and must answer soon.

A full pass looks at everything that is alive, and nothing else runs meanwhile: with the objects of 10,000 nodes and 100,000
pods in the caches it takes longer than a ping may. What a long pass has just found to be alive is therefore not looked at
again. It is freed as ever when nobody refers to it any more; only a cycle among such objects would stay, and what is kept in
quantity, decoded JSON, has none.
"""

from __future__ import annotations

import gc
import time
from typing import Any

LONG = 0.01
"""Seconds; a fifth of the time within which a ping is answered."""

YOUNG, MIDDLE, OLD = 700, 10, 3
"""Thresholds of the generations: a full pass may come after 21,000 new objects instead of 70,000, and is as much shorter."""


class _Watch:
    """Told by the collector of each pass."""

    def __init__(self) -> None:
        self._began = 0.0

    def __call__(self, phase: str, about: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif about["generation"] == 2 and time.perf_counter() - self._began > LONG:
            gc.freeze()


def collect_from_here_on() -> None:
    """Let the collector work, and leave out what was imported: it stays as long as the process."""
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    gc.callbacks.append(_Watch())
    gc.enable()
