"""Whom a cluster sees, proven by the cluster itself: SelfSubjectReview, RBAC, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.from_thread import run

from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.errors import CredentialMissing, Forbidden, Misconfigured
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Apply, Delete, Draft, ObjectRef, Patch, Step, Submit
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.refine import refine
from ai_platform_mcp.core.tool import Caller
from kubernetes_servers import Server
from support.identities import (
    API_AUDIENCE,
    ISSUER,
    RBAC,
    account,
    admin_token,
    caller,
    documented_caller_role,
    documented_roles,
    grant,
    group,
    kubeconfig,
    rule,
)

from .conftest import WallClock, config_for, stamp

_numbers = itertools.count(1)
CONFIG_MAPS = rule("", "configmaps", "get list create patch delete")
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


@dataclass
class Teams:
    """Two namespaces, each open to one team alone."""

    server: Server
    vision: str
    nlp: str


@pytest.fixture
def teams(server: Server) -> Teams:
    number = next(_numbers)
    names = {team: f"{team}-id{number}" for team in ("vision", "nlp")}
    for team, name in names.items():
        server.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        grant(server, name, group(f"aiplatform:team:{team}"), CONFIG_MAPS)
    return Teams(server, **names)


@asynccontextmanager
async def adapter(path: Path, access: str = "impersonate", **options: Any) -> AsyncIterator[Kubernetes]:
    opened = kubernetes_adapter([config_for(path, access=access, **options)], WallClock())
    try:
        yield opened
    finally:
        await opened.aclose()


def settings_map(namespace: str, name: str = "settings", value: str = "1") -> Apply:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
    return Apply(id="s1", title=f"apply {name}", cluster="c1", manifest={**manifest, "data": {"a": value}})


async def test_the_cluster_sees_the_caller_with_team_roles_subject_and_request(teams: Teams) -> None:
    async with adapter(teams.server.kubeconfig) as kubernetes:
        with acting_for(caller("ada", "vision")):
            seen = await kubernetes.reader.whoami("c1")
    assert seen.user == f"aiplatform:{ISSUER}#ada"
    assert seen.uid == "ada"
    assert set(seen.groups) == {"aiplatform:team:vision", "aiplatform:role:developer", "system:authenticated"}
    assert seen.extra == {"aiplatform.dev/issuer": (ISSUER,), "aiplatform.dev/request-id": ("req-ada",)}


async def test_a_team_reads_and_changes_its_own_namespace_and_no_other(teams: Teams) -> None:
    own, other = settings_map(teams.vision), settings_map(teams.nlp)
    async with adapter(teams.server.kubeconfig) as kubernetes:
        with acting_for(caller("ada", "vision")), open_permit(Permit("op-1", "s1")):
            assert (await kubernetes.reader.dry_run(own)).diff.action == "create"
            assert (await kubernetes.writer.execute(own, stamp())).state == "applied"
            assert await kubernetes.writer.read_back(own, stamp())
            page = await kubernetes.reader.list("c1", "v1", "ConfigMap", namespace=teams.vision)
            assert "settings" in {row["metadata"]["name"] for row in page.items}
            attempts: list[Callable[[], Awaitable[Any]]] = [
                lambda: kubernetes.reader.dry_run(other),
                lambda: kubernetes.writer.execute(other, stamp()),
                lambda: kubernetes.writer.read_back(other, stamp()),
                lambda: kubernetes.reader.list("c1", "v1", "ConfigMap", namespace=teams.nlp),
                lambda: kubernetes.reader.get("c1", "v1", "ConfigMap", "settings", teams.nlp),
            ]
            for attempt in attempts:
                with pytest.raises(Forbidden) as caught:
                    await attempt()
                assert "#ada" in caught.value.cause
    assert teams.server.get(f"/api/v1/namespaces/{teams.nlp}/configmaps/settings") is None
    assert teams.server.get(f"/api/v1/namespaces/{teams.vision}/configmaps/settings") is not None


async def test_a_watch_is_the_callers_own(teams: Teams) -> None:
    async with adapter(teams.server.kubeconfig) as kubernetes:
        with acting_for(caller("ada", "vision")), pytest.raises(Forbidden):
            async for _ in kubernetes.reader.watch("c1", "v1", "ConfigMap", namespace=teams.nlp, seconds=2):
                pytest.fail("something of another team was seen")


async def test_the_documented_roles_are_enough_and_no_more(teams: Teams, tmp_path: Path) -> None:
    subject, token = account(teams.server, teams.vision, "platform")
    for role in documented_roles():
        bind(teams, role, subject)
    async with adapter(kubeconfig(teams.server, tmp_path / "config", token=token)) as kubernetes:
        with acting_for(caller("ada", "vision")), open_permit(Permit("op-1", "s1")):
            outcome = await kubernetes.writer.execute(settings_map(teams.vision), stamp())
            found = await kubernetes.inventory.inventory("c1")
        with acting_for(caller("eve", "audit")), pytest.raises(Forbidden) as caught:
            await kubernetes.reader.whoami("c1")
    assert outcome.state == "applied"
    assert "may not list" not in found.problem.replace(
        "you may not list", ""
    )  # the service identity may list everything
    assert "aiplatform:team:audit" in caught.value.cause
    assert "docs/identity.md" in caught.value.remedy


def bind(teams: Teams, role: dict[str, Any], subject: dict[str, Any]) -> None:
    name = f"{role['metadata']['name']}-{teams.vision}"
    teams.server.post(f"{RBAC}/clusterroles", {**role, "metadata": {"name": name}})
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    teams.server.post(f"{RBAC}/clusterrolebindings", {**binding, "subjects": [subject], "roleRef": reference})


async def test_a_caller_with_the_documented_role_sees_prices_and_the_fleet(teams: Teams, tmp_path: Path) -> None:
    subject, token = account(teams.server, teams.vision, "priced")
    path = kubeconfig(teams.server, tmp_path / "config", token=admin_token(teams.server))
    kinds = [("kueue.x-k8s.io/v1beta2", "ResourceFlavor"), ("kueue.x-k8s.io/v1beta2", "ClusterQueue"), ("v1", "Node")]
    async with adapter(path, "token") as kubernetes:
        with acting_for(caller("ada", "vision", token=token)):
            for api_version, kind in kinds:
                with pytest.raises(Forbidden):
                    await kubernetes.reader.list("c1", api_version, kind)
            bind(teams, documented_caller_role(), subject)
            for api_version, kind in kinds:
                await kubernetes.reader.list("c1", api_version, kind)


@pytest.mark.parametrize("access", ["service", "impersonate", "token"])
async def test_whom_a_kubeconfig_says_to_act_as_counts_only_where_callers_are_not_impersonated(
    teams: Teams, tmp_path: Path, access: str
) -> None:
    named = {"as": "robot", "as-groups": ["robots"], "as-uid": "r2", "as-user-extra": {"example.org/why": ["test"]}}
    path = kubeconfig(teams.server, tmp_path / "config", token=admin_token(teams.server), **named)
    token = account(teams.server, teams.vision, "ada")[1]
    async with adapter(path, access) as kubernetes:
        with acting_for(caller("ada", "vision", token=token)):
            seen = await kubernetes.reader.whoami("c1")
    if access == "service":
        assert (seen.user, seen.uid, seen.extra) == ("robot", "r2", {"example.org/why": ("test",)})
        assert set(seen.groups) == {"robots", "system:authenticated"}
    else:
        own = f"system:serviceaccount:{teams.vision}:ada"
        assert seen.user == (f"aiplatform:{ISSUER}#ada" if access == "impersonate" else own)
        assert not {"robots", "system:masters"} & set(seen.groups)
        assert "example.org/why" not in seen.extra


async def test_groups_to_act_as_without_a_user_are_a_mistake_that_is_told(teams: Teams, tmp_path: Path) -> None:
    path = kubeconfig(
        teams.server, tmp_path / "config", **{"token": admin_token(teams.server), "as-groups": ["robots"]}
    )
    async with adapter(path, "service") as kubernetes:
        with pytest.raises(Misconfigured) as caught:
            await kubernetes.reader.whoami("c1")
    assert "`as:`" in caught.value.remedy


@pytest.mark.parametrize("access", ["impersonate", "token"])
async def test_nobody_reaches_a_cluster_that_wants_to_know_its_caller(teams: Teams, access: str) -> None:
    async with adapter(teams.server.kubeconfig, access) as kubernetes:
        with pytest.raises(Forbidden) as caught:
            await kubernetes.reader.list("c1", "v1", "Namespace")
        assert "for nobody" in caught.value.message
        with pytest.raises(Forbidden):
            await kubernetes.reader.whoami("c1")


async def test_fifty_calls_at_once_never_share_an_identity(teams: Teams) -> None:
    people = [caller(f"p{number}", ("vision", "nlp")[number % 2]) for number in range(50)]
    seen: dict[str, set[str]] = {}
    threads = anyio.CapacityLimiter(len(people))  # their own: those of the client must stay free

    async with adapter(teams.server.kubeconfig) as kubernetes:

        async def look(name: str) -> None:
            await anyio.sleep(0)
            seen[name].add((await kubernetes.reader.whoami("c1")).user)

        async def call(who: Caller) -> None:
            name = who.principal.id
            seen[name] = set()
            with acting_for(who):
                async with anyio.create_task_group() as group:
                    group.start_soon(look, name)
                    group.start_soon(partial(anyio.to_thread.run_sync, limiter=threads), partial(run, look, name))
                    await look(name)
                own = teams.vision if who.principal.team == "vision" else teams.nlp
                other = teams.nlp if own == teams.vision else teams.vision
                await kubernetes.reader.list("c1", "v1", "ConfigMap", namespace=own)
                with pytest.raises(Forbidden):
                    await kubernetes.reader.list("c1", "v1", "ConfigMap", namespace=other)

        async with anyio.create_task_group() as group:
            for who in people:
                group.start_soon(call, who)
    assert seen == {who.principal.id: {f"aiplatform:{who.principal.id}"} for who in people}


# --- the caller's own token ------------------------------------------------------------------------------------------


async def test_a_token_makes_the_caller_who_it_says_and_our_credentials_stay_out_of_it(
    teams: Teams, tmp_path: Path
) -> None:
    subject, token = account(teams.server, teams.vision, "ada")
    grant(teams.server, teams.vision, subject, CONFIG_MAPS)
    async with adapter(teams.server.kubeconfig, "token") as kubernetes:
        with acting_for(caller("ada", "vision", token=token)), open_permit(Permit("op-1", "s1")):
            seen = await kubernetes.reader.whoami("c1")
            done = await kubernetes.writer.execute(settings_map(teams.vision), stamp())
            with pytest.raises(Forbidden):
                await kubernetes.writer.execute(settings_map(teams.nlp), stamp())
    assert (seen.access, seen.user) == ("token", f"system:serviceaccount:{teams.vision}:ada")
    assert "system:masters" not in seen.groups
    assert done.state == "applied"


async def test_without_a_token_nothing_is_sent_and_the_remedies_are_named(teams: Teams) -> None:
    async with adapter(teams.server.kubeconfig, "token") as kubernetes:
        local = Caller(Principal(id="local:ada"), "req-1")
        with acting_for(local), open_permit(Permit("op-1", "s1")):
            with pytest.raises(CredentialMissing) as caught:
                await kubernetes.writer.execute(settings_map(teams.vision), stamp())
            found = await kubernetes.inventory.inventory("c1")
    assert "impersonate" in caught.value.remedy and "kubeconfig user of your own" in caught.value.remedy
    assert found.nodes == () and found.queues == () and "there is none" in found.problem
    assert teams.server.get(f"/api/v1/namespaces/{teams.vision}/configmaps/settings") is None


@pytest.mark.parametrize("audience", ["", "https://elsewhere.example"])
async def test_a_token_that_the_cluster_does_not_accept_says_so_and_ours_is_not_tried_instead(
    teams: Teams, audience: str
) -> None:
    token = account(teams.server, teams.vision, "ada", (audience,))[1] if audience else "not.a.token"
    async with adapter(teams.server.kubeconfig, "token") as kubernetes:
        with acting_for(caller("ada", "vision", token=token)), pytest.raises(Forbidden) as caught:
            await kubernetes.reader.whoami("c1")
    assert "does not accept your token" in caught.value.message
    assert "issuer" in caught.value.remedy
    assert token not in str(caught.value.as_dict())


async def test_a_token_for_several_audiences_is_taken_where_one_of_them_is_the_clusters(teams: Teams) -> None:
    token = account(teams.server, teams.vision, "ada", ("https://platform.example", API_AUDIENCE))[1]
    async with adapter(teams.server.kubeconfig, "token") as kubernetes:
        with acting_for(caller("ada", "vision", token=token)):
            assert (await kubernetes.reader.whoami("c1")).user.endswith(":ada")


# --- refused while planning ------------------------------------------------------------------------------------------

DEPLOYMENT = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace="")
POD = ObjectRef(api_version="v1", kind="Pod", name="web-1", namespace="")
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web-1"}}


def in_(ref: ObjectRef, namespace: str) -> ObjectRef:
    return ref.model_copy(update={"namespace": namespace})


def scale(namespace: str) -> Step:
    patch = {"spec": {"replicas": 2}}
    return Patch(id="s1", title="scale", cluster="c1", ref=in_(DEPLOYMENT, namespace), patch=patch, subresource="scale")


def status(namespace: str) -> Step:
    patch = {"status": {"observedGeneration": 1}}
    return Patch(
        id="s1", title="status", cluster="c1", ref=in_(DEPLOYMENT, namespace), patch=patch, subresource="status"
    )


def eviction(namespace: str) -> Step:
    manifest = {**EVICTION, "metadata": {"name": "web-1", "namespace": namespace}}
    return Submit(
        id="s1", title="evict", cluster="c1", manifest=manifest, parent=in_(POD, namespace), subresource="eviction"
    )


def deletion(namespace: str) -> Step:
    return Delete(id="s1", title="delete", cluster="c1", ref=in_(DEPLOYMENT, namespace), uid="u")


def submission(namespace: str) -> Step:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new", "namespace": namespace}}
    return Submit(id="s1", title="submit", cluster="c1", manifest=manifest)


CASES = {
    "a new object needs create beside patch": (settings_map, ["configmaps get patch"], "create configmaps"),
    "an apply needs patch": (settings_map, ["configmaps get create"], "patch configmaps"),
    "what is changed is read first": (settings_map, ["configmaps patch create"], "get configmaps"),
    "submitting needs create": (submission, ["configmaps get patch"], "create configmaps"),
    "deleting needs delete": (deletion, ["deployments get patch"], "delete deployments.apps"),
    "scaling is asked for scale": (
        scale,
        ["deployments get patch", "deployments/scale get"],
        "patch deployments.apps/scale",
    ),
    "status is asked for status": (
        status,
        ["deployments get patch", "deployments/status get"],
        "patch deployments.apps/status",
    ),
    "evicting is asked for eviction": (eviction, ["pods get create delete"], "create pods/eviction"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_plan_that_the_cluster_will_refuse_says_verb_resource_namespace_and_identity(
    teams: Teams, case: str
) -> None:
    step, rights, wanted = CASES[case]
    rules = [
        rule("apps" if resource.startswith("deployments") else "", resource, " ".join(verbs))
        for resource, *verbs in (right.split() for right in rights)
    ]
    grant(teams.server, teams.vision, group("aiplatform:role:tester"), *rules)
    who = caller("ada", "", roles=("tester",))
    async with adapter(teams.server.kubeconfig) as kubernetes:
        with acting_for(who), pytest.raises(Forbidden) as caught:
            await refine(Draft(action="x", summary="x", targets=(), steps=(step(teams.vision),)), kubernetes.reader)
    verb, _, resource = wanted.partition(" ")
    assert f"may not {wanted} in namespace '{teams.vision}'" in caught.value.message
    assert "#ada' in 'aiplatform:role:tester'" in caught.value.message
    assert {key: caught.value.details[key] for key in ("verb", "resource", "namespace")} == {
        "verb": verb,
        "resource": resource,
        "namespace": teams.vision,
    }


async def test_an_object_that_is_there_is_changed_without_the_right_to_create(teams: Teams) -> None:
    teams.server.post(f"/api/v1/namespaces/{teams.vision}/configmaps", {**CONFIG_MAP, "metadata": {"name": "settings"}})
    grant(teams.server, teams.vision, group("aiplatform:role:tester"), rule("", "configmaps", "get patch"))
    async with adapter(teams.server.kubeconfig) as kubernetes:
        with acting_for(caller("ada", "", roles=("tester",))):
            refined = await refine(
                Draft(action="x", summary="x", targets=(), steps=(settings_map(teams.vision),)), kubernetes.reader
            )
    assert refined.steps[0].diff is not None and refined.steps[0].diff.action == "update"
