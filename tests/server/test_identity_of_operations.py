"""What a crash interrupted goes on for its owner: by record where callers are impersonated, in person where tokens count."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from ai_platform_mcp.core.plan import Apply, Draft
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Credential, Principal
from ai_platform_mcp.core.tool import Caller, PlanContext, WriteParams
from kubernetes_servers import Server, existing
from support.engines import Engine
from support.identities import account, grant, group, rule
from support.world import HandClock, World


class NoteParams(WriteParams):
    namespace: Annotated[str, Field()]


class Note:
    """Writes one ConfigMap."""

    name: ClassVar[str] = "note"
    title: ClassVar[str] = "Note"
    description: ClassVar[str] = "Write a note."
    params: ClassVar[type[WriteParams]] = NoteParams
    destructive: ClassVar[bool] = False

    async def plan(self, params: NoteParams, readers: Readers, context: PlanContext) -> Draft:
        meta = {"name": f"note-{context.suffix}", "namespace": params.namespace}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}}
        step = Apply(id="s1", title="write", cluster="sandbox", manifest=manifest)
        return Draft(action="note", summary="Write a note", targets=(), steps=(step,))


def home(server: Server, name: str) -> str:
    """A namespace whose ConfigMaps are its service account's and its team's; return a token of the account."""
    server.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    subject, token = account(server, name, "owner")
    rights = rule("", "configmaps", "get create patch")
    grant(server, name, subject, rights)
    grant(server, name, group(f"aiplatform:team:{name}"), rights)
    return token


def notes(server: Server, namespace: str) -> list[str]:
    found = (server.get(f"/api/v1/namespaces/{namespace}/configmaps") or {})["items"]
    return [row["metadata"]["name"] for row in found if row["metadata"]["name"].startswith("note-")]


@pytest.mark.parametrize("access", ["impersonate", "token"])
async def test_an_interrupted_operation_goes_on_as_its_owner_whoever_resumes_it(
    world: World, tmp_path: Path, access: str
) -> None:
    server, name = existing(Path(world.status.kubeconfig)), world.fresh("owner")
    token = home(server, name)
    owner = Principal(id="https://i#ada", issuer="https://i", team=name, auth_method="oidc")
    stranger = Principal(id="https://i#eve", issuer="https://i", team="strangers", auth_method="oidc")
    here = Caller(owner, "req-1", Credential(token))
    other = Caller(stranger, "req-2", Credential(home(server, world.fresh("stranger"))))
    clusters = [{"name": "sandbox", "kubeconfig": world.status.kubeconfig, "access": access}]
    clock = HandClock()
    options: dict[str, Any] = {"tools": (Note(),), "policy": Engine(), "clock": clock, "clusters": clusters}

    async with world.platform(tmp_path, **options) as platform:
        planned = await platform.app.call("note", {"namespace": name}, here)
        journal = (await platform.app.readers()).journal
        stored = await journal.plan(planned.data["plan_id"])
        assert stored is not None and await journal.begin(stored, None) is None  # and here the process dies
    clock.forward(minutes=3)

    async with world.platform(tmp_path, **options) as platform:
        guard = (await platform.app.wiring()).guard  # which resumes at start
        readers = await platform.app.readers()
        resumed = await readers.journal.operation(stored.plan.operation_id)
        assert resumed is not None
        if access == "token":
            await guard.resume(other)
            resumed = await readers.journal.operation(stored.plan.operation_id)
            assert resumed is not None and resumed.state == "unknown" and resumed.error is not None
            assert resumed.error["code"] == "credential_missing" and "owner calls again" in resumed.error["remedy"]
            assert notes(server, name) == []
            done = await platform.app.call("note", {"namespace": name, "mode": "apply"}, here)
            assert done.data["status"] == "applied" and done.data["operation_id"] == stored.plan.operation_id
        else:
            assert resumed.state == "applied"
        assert notes(server, name) == [f"note-{stored.plan.operation_id[3:11]}"]

    for file in tmp_path.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file
