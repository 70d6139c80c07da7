"""Planning as somebody whose rights end at a namespace: what they may not read is left out with a reason, or asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import strict_manifests as s
from ai_platform_mcp.adapters.kubernetes.build import kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.errors import Forbidden, InvalidInput
from ai_platform_mcp.core.plan import Draft, Submit
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.sandbox.kube.clock import WallClock
from ai_platform_mcp.tools.request_gpu import RequestGpu, RequestGpuParams
from kubernetes_servers import Server
from support.clusters import flavor, furnished
from support.identities import caller, grant, group, rule
from support.in_memory import NOW, readers

KUEUE = "kueue.x-k8s.io"
TEAM = group("aiplatform:team:vision")
OWN = (rule("", "namespaces", "get"), rule(KUEUE, "localqueues", "list"))
QUOTA = rule(KUEUE, "clusterqueues resourceflavors", "list")


@dataclass
class Desk:
    """Where ada of the team vision asks for accelerators."""

    readers: Readers

    async def plan(self, **arguments: Any) -> Draft:
        who = caller("ada", "vision")
        asked = {"purpose": "batch", "accelerator": "a100", "hours": 1, **arguments}
        with acting_for(who):
            context = PlanContext(caller=who, operation_id="op-0123456789abcdef", now=NOW)
            return await RequestGpu().plan(RequestGpuParams.model_validate(asked), self.readers, context)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with furnished(tmp_path_factory.mktemp("c") / "c1", flavor("a100", "aws", "us-east-1", cents=343)) as server:
        priority = {"apiVersion": f"{KUEUE}/v1beta2", "kind": "WorkloadPriorityClass", "value": 1}
        path = f"/apis/{KUEUE}/v1beta2/workloadpriorityclasses"
        server.post(path, {**priority, "metadata": {"name": "standard"}})
        yield server


@pytest.fixture
async def desk(server: Server) -> AsyncIterator[Desk]:
    grant(server, "vision-dev", TEAM, *OWN)
    grant(server, "", TEAM, QUOTA)
    config = ClusterConfig(ClusterInfo(name="c1"), kubeconfig=Path(server.kubeconfig), access="impersonate")
    opened = kubernetes_adapter([config], WallClock())
    yield Desk(replace(readers(s.EVERYTHING), clusters=opened.reader, inventory=opened.inventory))
    await opened.aclose()


def labels(draft: Draft) -> dict[str, str]:
    [step] = draft.steps
    assert isinstance(step, Submit)
    return step.manifest["metadata"]["labels"]


async def test_a_named_namespace_is_read_alone_and_an_unreadable_priority_left_out_with_its_reason(desk: Desk) -> None:
    draft = await desk.plan(namespace="vision-dev")
    assert draft.targets[0].namespace == "vision-dev"
    assert f"{KUEUE}/queue-name" in labels(draft) and f"{KUEUE}/priority-class" not in labels(draft)
    assert any("may not read" in reason and "'standard'" in reason for reason in draft.reasons)


async def test_who_may_read_the_class_gets_the_priority(server: Server, desk: Desk) -> None:
    grant(server, "", TEAM, QUOTA, rule(KUEUE, "workloadpriorityclasses", "get"))
    draft = await desk.plan(namespace="vision-dev")
    assert labels(draft)[f"{KUEUE}/priority-class"] == "standard"
    assert not any("may not read" in reason for reason in draft.reasons)


async def test_without_a_name_the_refusal_says_that_one_would_do(desk: Desk) -> None:
    with pytest.raises(Forbidden) as caught:
        await desk.plan()
    assert caught.value.remedy.startswith("Pass namespace")


async def test_a_namespace_that_may_not_be_read_stays_closed(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        await desk.plan(namespace="nlp-dev")


async def test_a_namespace_of_another_environment_is_refused_as_for_everybody(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="is dev, and the call says production"):
        await desk.plan(namespace="vision-dev", environment="production")
