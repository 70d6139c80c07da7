"""A plan is data: the exact effects, each as a step, bound together by one digest."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from ai_platform_mcp.core.facts import ClusterFacts, Facts
from ai_platform_mcp.core.model import Value, digest_of


class ObjectRef(Value):
    """A Kubernetes object by name."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        """Return ``Kind namespace/name``, as people write it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Target(Value):
    """Where a plan acts."""

    environment: Literal["dev", "staging", "production"]
    cluster: str
    namespace: str | None = None
    cloud: str = ""
    region: str = ""
    site: str = ""
    cluster_facts: ClusterFacts | None = None
    """Filled in by the guard from the platform file, whatever a tool says; None where no such cluster is configured."""


class Precondition(Value):
    """What must still hold when the plan is applied. Part of the digest.

    ``absent``: the subject does not exist. ``owned``: the digest of the fields we own, or of the fields the step replaces.
    ``generation``: the object's generation. ``uid``: the very object. ``alias``: the version an alias points at.
    """

    kind: Literal["absent", "owned", "generation", "uid", "alias", "version"]
    subject: str
    expected: str


class Change(Value):
    """One field that differs, by JSON pointer (RFC 6901)."""

    path: str
    before: Any = None
    after: Any = None


class Diff(Value):
    """What a step changes, as the backend's own dry run reports it. Never part of the digest."""

    action: Literal["create", "update", "delete", "none"]
    changes: tuple[Change, ...] = ()
    omitted: int = 0
    """How many further changed fields are left out of ``changes``."""


class BaseStep(Value):
    """What every step has. ``id`` is its place in the plan (``s1`` …)."""

    id: str = ""
    title: str
    preconditions: tuple[Precondition, ...] = ()
    diff: Diff | None = None

    def effect(self) -> dict[str, Any]:
        """Return what the digest covers: everything but titles and diffs."""
        return self.model_dump(mode="json", exclude={"title", "diff"})


class Apply(BaseStep):
    """Server-side apply of one object with our field manager."""

    kind: Literal["apply"] = "apply"
    cluster: str
    manifest: dict[str, Any]
    force: bool = False


class Patch(BaseStep):
    """A patch of one object."""

    kind: Literal["patch"] = "patch"
    cluster: str
    ref: ObjectRef
    patch: Any
    patch_type: Literal["merge", "json", "strategic"] = "merge"
    subresource: str | None = None


class Delete(BaseStep):
    """Deletion of exactly the object with this uid."""

    kind: Literal["delete"] = "delete"
    cluster: str
    ref: ObjectRef
    uid: str
    propagation: Literal["Background", "Foreground", "Orphan"] = "Background"


class Submit(BaseStep):
    """Creation of one object by POST, under a name that derives from the operation; ``subresource`` for evictions."""

    kind: Literal["submit"] = "submit"
    cluster: str
    manifest: dict[str, Any]
    parent: ObjectRef | None = None
    subresource: str | None = None


class CreateVersion(BaseStep):
    """A new model version in the registry, created once per operation (the tag of the operation makes it so)."""

    kind: Literal["create_version"] = "create_version"
    model: str
    source: str
    run_id: str | None
    description: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    model_tags: dict[str, str] = Field(default_factory=dict)
    """Tags for the registered model itself, written only when it does not exist yet."""
    aliases: tuple[str, ...] = ()


class SetAlias(BaseStep):
    """Move an alias. ``expected`` is the version it points at now, None where it does not exist."""

    kind: Literal["set_alias"] = "set_alias"
    model: str
    alias: str
    version: str
    expected: str | None


class SetTag(BaseStep):
    """Set one tag of a model or, with ``version``, of a version."""

    kind: Literal["set_tag"] = "set_tag"
    model: str
    version: str | None = None
    key: str
    value: str


class Commit(BaseStep):
    """Commit files to a branch, for platforms that change their clusters through Git."""

    kind: Literal["commit"] = "commit"
    repository: str
    branch: str
    base: str
    files: dict[str, str]
    message: str


class CancelOperation(BaseStep):
    """Ask an operation whose steps still run to stop before its next one. What its earlier steps did stays."""

    kind: Literal["cancel_operation"] = "cancel_operation"
    operation_id: str


ClusterStep = Apply | Patch | Delete | Submit
RegistryStep = CreateVersion | SetAlias | SetTag
AnyStep = Apply | Patch | Delete | Submit | CreateVersion | SetAlias | SetTag | Commit | CancelOperation
Step = Annotated[AnyStep, Field(discriminator="kind")]


class Cost(Value):
    """Money, in whole cents. ``basis`` names the price list and its date.

    With ``at_most`` the amounts are the most that it can cost: the work may be admitted on something cheaper.
    """

    currency: Literal["USD"] = "USD"
    hourly_cents: int
    total_cents: int | None = None
    budget_left_cents: int | None = None
    basis: str
    at_most: bool = False


class Risk(Value):
    """Something a person should weigh before saying yes."""

    severity: Literal["info", "warning", "danger"]
    text: str


class Evidence(Value):
    """Something that was read to make the plan, and how old it was."""

    source: str
    subject: str
    version: str = ""
    """resourceVersion, model version or revision."""
    age_seconds: int = 0


class Follow(Value):
    """An object whose status tells how the long work goes on."""

    cluster: str
    ref: ObjectRef


class Draft(Value):
    """What a tool proposes. The guard dry-runs, seals and judges it; a tool never acts."""

    action: str
    summary: str
    steps: tuple[Step, ...]
    targets: tuple[Target, ...]
    facts: Facts = Facts()
    cost: Cost | None = None
    risks: tuple[Risk, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why this place, size or order was chosen, one sentence each."""
    follow: tuple[Follow, ...] = ()


class Plan(Draft):
    """A sealed draft."""

    tool: str
    arguments: dict[str, Any]
    operation_id: str
    created_at: datetime
    expires_at: datetime
    digest: str = ""

    @property
    def id(self) -> str:
        """The short form of the digest that callers pass back."""
        return f"plan-{self.digest[:24]}"

    @property
    def changes_anything(self) -> bool:
        """Whether any step has an effect, by the backends' own dry run."""
        return any(step.diff is None or step.diff.action != "none" for step in self.steps)


def seal(
    draft: Draft, *, tool: str, arguments: dict[str, Any], operation_id: str, created_at: datetime, expires_at: datetime
) -> Plan:
    """Number the steps and bind tool, arguments, effects and preconditions together by SHA-256.

    Titles, diffs, costs and evidence stay outside of the digest: they describe, they do not act.
    """
    steps = tuple(step.model_copy(update={"id": f"s{place}"}) for place, step in enumerate(draft.steps, 1))
    body = {
        "tool": tool,
        "action": draft.action,
        "arguments": arguments,
        "operation": operation_id,
        "steps": [step.effect() for step in steps],
        "targets": [target.model_dump(mode="json") for target in draft.targets],
    }
    fields: dict[str, Any] = {name: getattr(draft, name) for name in Draft.model_fields if name != "steps"}
    return Plan(
        **fields,
        steps=steps,
        tool=tool,
        arguments=arguments,
        operation_id=operation_id,
        created_at=created_at,
        expires_at=expires_at,
        digest=digest_of(body),
    )
