"""A mutating tool whose one call touches the cluster and the registry, and tools that try to act on their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ai_platform_mcp.core.plan import Apply, CreateVersion, Draft, Precondition, SetTag, Step, Submit, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import Caller, Params, PlanContext, Result, WriteParams


class SundryParams(WriteParams):
    """What to make."""

    name: str
    model: str = ""
    text: str = "hello"
    copies: Annotated[int, Field(ge=1)] = 1


def config_map(name: str, text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "vision-dev"},
        "data": {"text": text},
    }


def submitted(name: str) -> dict[str, Any]:
    return config_map(name, "submitted once")


class Sundry:
    """Plans a ConfigMap; with ``model`` also a version, a tag of it, and an object that is created once."""

    name: ClassVar[str] = "sundry"
    title: ClassVar[str] = "Sundry"
    description: ClassVar[str] = "Makes things."
    params: ClassVar[type[WriteParams]] = SundryParams
    destructive: ClassVar[bool] = False

    async def plan(self, params: SundryParams, readers: Readers, context: PlanContext) -> Draft:
        live = await readers.clusters.get("sandbox", "v1", "ConfigMap", params.name, "vision-dev")
        subject = f"v1 ConfigMap vision-dev/{params.name}"
        absent = (Precondition(kind="absent", subject=subject, expected=""),) if live is None else ()
        steps: list[Step] = [
            Apply(
                title=f"Apply {params.name}",
                cluster="sandbox",
                manifest=config_map(params.name, params.text * params.copies),
                preconditions=absent,
            )
        ]
        if params.model:
            once = submitted(f"{params.name}-{context.suffix}")
            steps += [
                CreateVersion(title="Create a version", model=params.model, source="oci://x@sha256:0", run_id=None),
                SetTag(title="Tag the first", model=params.model, version="1", key="touched", value=context.suffix),
                Submit(title="Submit an object", cluster="sandbox", manifest=once),
            ]
        return Draft(
            action="make",
            summary=f"Make {params.name}",
            steps=tuple(steps),
            targets=(Target(environment="dev", cluster="sandbox", namespace="vision-dev"),),
        )


Act = Callable[[], Awaitable[Any]]


class Acting(Sundry):
    """A tool that got hold of something that writes, and uses it while planning."""

    def __init__(self) -> None:
        self.act: Act | None = None

    async def plan(self, params: SundryParams, readers: Readers, context: PlanContext) -> Draft:
        assert self.act is not None
        await self.act()
        return await super().plan(params, readers, context)


class NameParams(Params):
    """A name."""

    name: str = ""


class ActingReader:
    """A tool that claims to read."""

    name: ClassVar[str] = "peek"
    title: ClassVar[str] = "Peek"
    description: ClassVar[str] = "Looks."
    params: ClassVar[type[Params]] = NameParams

    def __init__(self) -> None:
        self.act: Act | None = None

    async def read(self, params: NameParams, readers: Readers, caller: Caller) -> Result:
        if self.act is not None:
            await self.act()
        return Result(text="seen", data={"seen": True})
