"""What the rules see and what they answer: the canary as asked for, its InferenceService as seen, and what is to be done."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value

Phase = Literal["Ready", "Running", "Paused", "Promoting", "Succeeded", "RollingBack", "RolledBack", "Stopped"]
OVER: frozenset[str] = frozenset({"Succeeded", "RolledBack", "Stopped"})
"""Phases after which nothing moves any more."""
Strategy = Literal["Canary", "BlueGreen"]
Verdict = Literal["none", "pending", "pass", "fail", "inconclusive"]
"""``none``: no analysis is asked for."""
Change = Literal["move", "withdraw", "restore", "promote", "finish"]
"""What to do to the InferenceService.

* ``move``: give the new version its step's share.
* ``withdraw``: take its traffic away; in Standard mode the canary goes, and with it everything that was changed.
* ``restore``: make the stable version's predictor the one that is asked for again; it gets no traffic of its own yet.
* ``promote``: make the new version the predictor; the canary beside it keeps answering (Standard mode).
* ``finish``: take away what is left of the canary: all traffic goes to the predictor that is asked for.
"""


class Step(Value):
    """A share of the traffic, how long it is held once it flows, and whether analysis has a say in it."""

    percent: int = Field(ge=0, le=100)
    hold: int = Field(default=0, ge=0)
    judged: bool = True


class Canary(Value):
    """A CanaryRollout as the rules read it. All times are seconds; versions are label values, since services say them so.

    ``accepted_step`` is the index (from 0) of the last step that a person let pass: it is neither held nor judged.
    """

    version: str
    stable: str
    steps: tuple[Step, ...] = Field(min_length=1)
    on_failure: Literal["RollBack", "Pause"] = "RollBack"
    progress_deadline: int = 1800
    observed: int = 1
    """``metadata.generation``: which state of the spec this is."""
    digest: str = ""
    paused: bool = False
    roll_back: bool = False
    """A person wants the stable version back."""
    restorable: bool = True
    """Whether the stable version's predictor is known."""
    accepted_step: int = -1


class Seen(Value):
    """The InferenceService as observed.

    ``percent`` is what its spec gives the new version, None where it names no canary. ``applied`` says whether the traffic is
    split so, ``ready`` whether the new version can answer, ``settled`` whether the predictor that is asked for now has replaced
    the one before. ``predictor`` is the version whose predictor is asked for (Standard mode).
    """

    version: str = ""
    digest: str = ""
    knative: bool = True
    percent: int | None = None
    applied: bool = False
    ready: bool = False
    settled: bool = False
    predictor: str = ""
    revision: str = ""
    """Name of the newest Knative revision."""
    failure: str = ""
    """Why the new version cannot be loaded, in the cluster's words; empty where nothing says so."""
    kept_by: str = ""
    """The GitOps tool that would put back what is changed here, empty where there is none."""


class Progress(Value):
    """The part of ``status`` that one look hands to the next. ``step`` equals the number of steps while promoting."""

    observed: int = 0
    phase: Phase = "Ready"
    reason: str = ""
    message: str = ""
    step: int = 0
    percent: int | None = None
    """The share that the InferenceService was last seen to ask for."""
    moved: datetime | None = None
    """When what is under way was decided: its deadline counts from here."""
    started: datetime | None = None
    """Since when the step's share has flowed without a break."""
    revision: str = ""
    """The new version's Knative revision."""


class Next(Value):
    """What follows from one look: how the canary stands, what to do, and when to look again at the latest (seconds)."""

    progress: Progress
    change: Change | None = None
    percent: int = 0
    """The share of the change ``move``."""
    look_again: float = 30.0
