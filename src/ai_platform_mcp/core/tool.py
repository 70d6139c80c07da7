"""What a tool is: a name, parameters, and either ``read`` or ``plan``. Neither can act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, TypeVar, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.principal import Credential, Principal
from ai_platform_mcp.core.redact import redact

if TYPE_CHECKING:
    from ai_platform_mcp.core.plan import Draft
    from ai_platform_mcp.core.ports import Readers


class Params(BaseModel):
    """Parameters of a tool: flat, no unions at the root, ``Literal`` rather than Enum, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class WriteParams(Params):
    """What every mutating tool takes beside its own parameters."""

    mode: Annotated[Literal["plan", "apply"], Field(description="plan shows what apply changes")] = "plan"
    plan_id: Annotated[str | None, Field(description="apply exactly this plan")] = None
    idempotency_key: Annotated[str | None, Field(description="same key, same effect once", max_length=128)] = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that define the change: defaults filled in, the call's own mechanics left out."""
        return self.model_dump(mode="json", exclude={"mode", "plan_id", "idempotency_key"})


class Result(Value):
    """What a call answers: complete as text, and complete as data."""

    text: str
    data: dict[str, Any]
    is_error: bool = False


@dataclass(frozen=True)
class Caller:
    """Who calls, and what a plan may know of the moment.

    ``credential`` is the token they came in with, None where there was none: over stdio, or when somebody else's process
    takes up what they began.
    """

    principal: Principal
    request_id: str
    credential: Credential | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class PlanContext:
    """What a tool knows while planning beside its readers. Names of new objects derive from ``operation_id``."""

    caller: Caller
    operation_id: str
    now: datetime

    @property
    def suffix(self) -> str:
        """Eight characters for object names, unique per operation."""
        return self.operation_id.removeprefix("op-")[:8]


@runtime_checkable
class ReadTool(Protocol):
    """A tool that changes nothing."""

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    params: ClassVar[type[Params]]

    async def read(self, params: Any, readers: Readers, caller: Caller) -> Result:
        """Answer from the readers."""
        ...


@runtime_checkable
class WriteTool(Protocol):
    """A tool that proposes changes. ``destructive``: may remove or interrupt something that serves."""

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    params: ClassVar[type[WriteParams]]
    destructive: ClassVar[bool]

    async def plan(self, params: Any, readers: Readers, context: PlanContext) -> Draft:
        """Return the draft of what would change. Reads only."""
        ...


@runtime_checkable
class LookingTool(WriteTool, Protocol):
    """A tool that proposes changes, and some of whose actions only look: those never plan, and count as reads."""

    looks: ClassVar[frozenset[str]]
    """Values of the parameter ``action`` that change nothing."""

    async def look(self, params: Any, readers: Readers, caller: Caller) -> Result:
        """Answer from the readers."""
        ...


AnyTool = ReadTool | WriteTool
P = TypeVar("P", bound=Params)


def validate(params: type[P], arguments: Mapping[str, Any]) -> P:
    """Read arguments into the tool's parameters.

    Raises:
        InvalidInput: naming each wrong argument; for an unknown one the valid names are listed.
    """
    valid = sorted(params.model_fields)
    unknown = sorted(set(arguments) - set(valid))
    if unknown:
        raise InvalidInput(
            f"Unknown argument{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}.",
            remedy=f"Valid arguments: {', '.join(valid)}.",
            details={"unknown": unknown, "valid": valid},
        )
    try:
        return params.model_validate(dict(arguments))
    except ValidationError as error:
        raise InvalidInput(
            "; ".join(_sentence(problem) for problem in error.errors()[:8]) + ".",
            remedy="Correct the named arguments and call again; nothing was changed.",
            details={"arguments": sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})},
        ) from None


def refuse_secrets(arguments: Mapping[str, Any]) -> None:
    """Refuse what looks like a secret: plans are kept as they are, and shown to those who approve them.

    Raises:
        InvalidInput: naming the arguments, never their values.
    """
    named = sorted(name for name, value in arguments.items() if redact({name: value}) != {name: value})
    if named:
        raise InvalidInput(
            f"{', '.join(named)} seems to hold a secret.",
            cause="Arguments become part of the plan, which is stored, shown and audited.",
            remedy="Keep the secret in the cluster or in the registry's environment, and name it there.",
            details={"arguments": named},
        )


def _sentence(problem: Any) -> str:
    row = cast("type_json", problem)
    where = ".".join(str(part) for part in row["loc"]) or "arguments"
    given = row.get("input")
    shown = f" (got {redact({where: given})[where]!r:.60})" if row["type"] != "missing" else ""
    return f"{where}: {str(row['msg']).removeprefix('Value error, ')}{shown}"
