"""What lint says, and what it may know: findings, edits, and what surrounds a document."""

from __future__ import annotations

from typing import Any, Literal

from ai_platform_mcp.core.model import Value, type_json

Severity = Literal["error", "warning", "info"]
Fix = Literal["certain", "suggested", "none"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""From the gravest: refused or without effect; works worse than meant; worth knowing."""


class Edit(Value):
    """One change of a document, by JSON pointer (RFC 6901).

    ``set`` writes ``value``, making what is missing above it; ``remove`` takes a field away; ``rename`` gives the key the name
    ``to`` at its place; ``move`` takes a field to the pointer ``to``. An object that a removal or move leaves empty goes too.
    """

    op: Literal["set", "remove", "rename", "move"]
    path: str
    to: str = ""
    value: Any = None


class Hit(Value):
    """One place where a rule found its defect. ``edits`` are the fix; with ``certain`` they keep what the author meant."""

    path: str
    message: str
    remedy: str
    edits: tuple[Edit, ...] = ()
    certain: bool = True
    severity: Severity | None = None
    """Where this place is graver or lighter than the rule's own severity."""
    example: str = ""
    """The whole document as it is written today (YAML), where it becomes another kind."""


class Finding(Value):
    """One defect of one object."""

    code: str
    severity: Severity
    kind: str
    name: str
    path: str
    """JSON pointer in the document."""
    message: str
    """What is wrong, and why it matters."""
    remedy: str
    source: str
    """Where that can be read: a release, a KEP, an issue, a measurement."""
    fix: Fix
    edits: tuple[Edit, ...] = ()
    example: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what programs read; edits are how a fix is made, not part of the answer."""
        body = self.model_dump(mode="json", exclude={"edits"})
        return body if self.example else {key: value for key, value in body.items() if key != "example"}


class Around(Value):
    """What is known beside the document itself.

    Without a cluster (``kinds`` None) documents are judged against the versions that this product speaks.
    """

    kinds: frozenset[str] | None = None
    """Every kind that the target serves, as ``group/version/Kind``; None where no target is named."""
    kubernetes_minor: int | None = None
    standard_canary: bool | None = None
    """Whether the target's InferenceService has ``spec.canary`` (KServe 0.20 and later)."""
    training_overrides: str = "runtimePatches"
    """How the target's TrainJob calls what a run changes of its runtime's pods (Trainer 2.0, 2.1 and 2.2 differ)."""
    runtimes: frozenset[str] | None = None
    """Names of the ServingRuntimes and ClusterServingRuntimes that are there."""
    peers: tuple[type_json, ...] = ()
    """The other objects of the same input."""

    def serves(self, api_version: str, kind: str) -> bool:
        """Tell whether the target serves the kind; without a target, whatever this product speaks is taken as served."""
        return self.kinds is None or f"{api_version}/{kind}" in self.kinds

    def lacks(self, api_version: str, kind: str) -> bool:
        """Tell whether a target is named and does not serve the kind."""
        return not self.serves(api_version, kind)

    def at_least(self, minor: int) -> bool:
        """Tell whether the target is Kubernetes 1.``minor`` or later; an unknown target is."""
        return self.kubernetes_minor is None or self.kubernetes_minor >= minor
