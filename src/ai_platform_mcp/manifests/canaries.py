"""CanaryRollout: how a new version of an InferenceService gets its traffic, for the controller to move.

Speaks ``serving.aiplatform.dev/v1alpha1`` (ours, ``controllers/crds``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import Capabilities, Origin, compact, manifest

API = "serving.aiplatform.dev/v1alpha1"
KIND = "CanaryRollout"
_DIGEST = r"^sha256:[0-9a-f]{64}$"

Strategy = Literal["Canary", "BlueGreen"]


class Version(Value):
    """A version of the model; ``predictor`` is what it is made of, empty where that is not known."""

    version: str = Field(min_length=1, max_length=63)
    digest: str | None = Field(default=None, pattern=_DIGEST)
    predictor: type_json = Field(default_factory=dict)


class Step(Value):
    """A share of the traffic, and how long it must have flowed before the next."""

    percent: int = Field(ge=0, le=100)
    hold_seconds: int = Field(default=600, ge=0)


class CanaryRollout(Value):
    """One CanaryRollout. ``analysis`` is the block as ``domain.analysis.asked`` writes it, empty for none."""

    name: str
    namespace: str
    model: str
    new: Version
    stable: Version
    inference_service: str
    strategy: Strategy = "Canary"
    steps: tuple[Step, ...] = Field(min_length=1)
    keep_seconds: int = Field(default=600, ge=0)
    on_failure: Literal["RollBack", "Pause"] = "RollBack"
    progress_deadline_seconds: int = Field(default=1800, ge=1)
    analysis: type_json = Field(default_factory=dict)


def canary_rollout(rollout: CanaryRollout, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a CanaryRollout. Fields with defaults are written out; what a person sets while it runs is left out.

    Raises:
        CapabilityMissing: our CRD is not installed.
        InvalidInput: what the CRD's rules would refuse.
    """
    capabilities.require(API, KIND, remedy="kubectl apply --server-side -f canaryrollouts.yaml")
    shares = [step.percent for step in rollout.steps]
    if shares != sorted(set(shares)):
        raise InvalidInput("a step's percent does not rise", remedy="list steps in rising order")
    if (rollout.strategy == "BlueGreen") != (shares == [0]) or (0 in shares and shares != [0]):
        raise InvalidInput("BlueGreen has one step, of 0 percent; Canary has none of it", remedy="change the steps")
    stable = {"version": rollout.stable.version, "digest": rollout.stable.digest, "predictor": rollout.stable.predictor}
    spec = {
        **compact(
            {
                "model": rollout.model,
                "version": rollout.new.version,
                "digest": rollout.new.digest,
                "inferenceService": rollout.inference_service,
                "stable": compact(stable),
                "analysis": rollout.analysis,
            }
        ),
        "strategy": rollout.strategy,
        "steps": [{"percent": step.percent, "holdSeconds": step.hold_seconds} for step in rollout.steps],
        **({"keepSeconds": rollout.keep_seconds} if rollout.strategy == "BlueGreen" else {}),
        "onFailure": rollout.on_failure,
        "progressDeadlineSeconds": rollout.progress_deadline_seconds,
    }
    return manifest(API, KIND, rollout.name, rollout.namespace, origin, {"spec": spec}, component="predictor")
