"""What a deployment meets where a canary of the same service is under way: it takes over from it, or has to wait."""

from __future__ import annotations

from dataclasses import dataclass

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.domain.objects import VERSION_LABEL, labels_of, ref_of, rows, section, whole
from ai_platform_mcp.domain.progress import canary_percent
from ai_platform_mcp.manifests.common import OPERATION_LABEL, label_value
from ai_platform_mcp.tools._canaries import under_way
from ai_platform_mcp.tools._cloud import STEPWISE, LiveService, Strategy

_WAIT = "Wait until it is over (inspect_platform), then deploy."


@dataclass(frozen=True)
class Succession:
    """How a deployment takes over. ``superseded`` says that a canary of another version ends by it."""

    superseded: bool = False
    risks: tuple[Risk, ...] = ()


@dataclass(frozen=True)
class _Met:
    """The canary under way: of which version, with which share, and the rollout that moves it, if any does."""

    version: str
    share: int
    moving: type_json | None

    def __str__(self) -> str:
        return f"{ref_of(self.moving)} of {self.version}" if self.moving else f"a canary of {self.version}"

    @property
    def full(self) -> bool:
        """Whether the version has all the traffic, or its steps behind it."""
        step, spec = whole(section(self.moving, "status").get("step")), section(self.moving, "spec")
        green = spec.get("strategy") == "BlueGreen"
        return self.share >= 100 or (self.moving is not None and not green and step >= len(rows(spec, "steps")))

    def steer(self, action: str) -> str:
        """Return how a person ends it."""
        operation = labels_of(self.moving or {}).get(OPERATION_LABEL)
        return f"control_operation action={action}" + (f" operation_id={operation}" if operation else "")


def succession(
    service: LiveService, rollouts: list[type_json], version: str, strategy: Strategy, percent: int
) -> Succession:
    """Return how a deployment of this version takes over from the canary under way, if there is one.

    Two canaries of one service would move the same fields. And in Knative mode whatever ends a canary gives all traffic to the
    newest revision that is ready: the canary's, until the version that is asked for is ready.

    Args:
        service: what serves now.
        rollouts: its CanaryRollouts.
        version: the version to deploy.
        strategy: how traffic would move to it.
        percent: its first share.

    Raises:
        Conflict: the canary has to end first; the remedy says how.
    """
    returning = next((row for row in rollouts if _phase(row) == "RollingBack"), None)
    if returning is not None:
        raise Conflict(f"{ref_of(returning)} is on its way back.", remedy=_WAIT)
    met = _met(service, rollouts)
    if met is None:
        return Succession()
    if met.version == label_value(version):
        if met.moving is None:
            return Succession()  # its share is moved by hand, by deploying it again
        raise Conflict(
            f"{ref_of(met.moving)} brings {version} already: it has {met.share} % of the traffic.",
            remedy=f"Let it go on. {met.steer('promote')} lets it go on at once; action=rollback takes it back.",
        )
    if met.full:
        raise Conflict(
            f"{met} has all the traffic, and it is not the stable version yet.",
            remedy=f"{_WAIT} {met.steer('promote')} ends the wait; action=rollback takes it back.",
        )
    if strategy in STEPWISE:
        return Succession(True, (_superseding(service, met, version, percent),))
    if met.share == 0 and met.moving is None:  # rolled back by hand
        return Succession(True, _after_rollback(service, met, version))
    raise _in_the_way(service, met, version, strategy)


def _phase(rollout: type_json) -> str:
    return str(section(rollout, "status").get("phase") or "")


def _met(service: LiveService, rollouts: list[type_json]) -> _Met | None:
    live = service.live
    if live is None:
        return None
    brings, share = labels_of(live).get(VERSION_LABEL, ""), canary_percent(live)
    same = [row for row in rollouts if label_value(str(section(row, "spec").get("version"))) == brings]
    moving = under_way(same)
    if share is None and not (moving and _phase(moving)):
        return None  # of a rollout that no controller has seen, nothing is left to be done
    return _Met(brings, 100 if share is None else share, moving)


def _superseding(service: LiveService, met: _Met, version: str, percent: int) -> Risk:
    text = f"This ends {met} at {met.share} %: {service.current_version} gets its traffic, until {version} is ready."
    if service.knative and met.moving is None and percent:
        text = f"This ends {met} at {met.share} %: it has {percent} % until {version} is ready, which then gets them."
    return Risk(severity="warning", text=text)


def _after_rollback(service: LiveService, met: _Met, version: str) -> tuple[Risk, ...]:
    if not service.knative:
        return ()
    text = f"Until {version} is ready, all traffic goes to {met.version}, which was rolled back: its revision is the newest."
    return (Risk(severity="danger", text=text),)


def _in_the_way(service: LiveService, met: _Met, version: str, strategy: Strategy) -> Conflict:
    cause = ""
    if service.knative:
        cause = f"Until {version} is ready, all traffic would go to {met.version}, whose revision is the newest."
    if strategy == "none":
        what = f"{version} is the stable version beside {met}, which has {met.share} % of the traffic."
        remedy = f"{met.steer('rollback')} gives {version} all of it again; action=promote goes on with {met.version}."
    else:
        what = f"{met} is under way with {met.share} % of the traffic; {version} would replace both versions at once."
        remedy = (
            f"{met.steer('rollback')} or action=promote first, or let {version} take over with canary_percent 1 to 99."
        )
    return Conflict(f"{what[0].upper()}{what[1:]}", cause=cause, remedy=remedy)
