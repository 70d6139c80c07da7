"""Questions to policy as the server asks them: a sound one per tool, and ways to vary it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from ai_platform_mcp.core.decision import PolicyInput
from ai_platform_mcp.core.facts import (
    AnalysisFacts,
    ClusterFacts,
    ComputeFacts,
    Facts,
    FleetFacts,
    GateVerdict,
    ModelFacts,
    ObjectChange,
    QuotaFacts,
    RetrainFacts,
    RolloutFacts,
    RouteFacts,
    RoutesFacts,
    SiteFacts,
)
from ai_platform_mcp.core.plan import Cost, Target
from ai_platform_mcp.core.principal import Principal

Document = dict[str, Any]
MONDAY = "2026-11-23T10:00:00Z"
SUNDAY = "2026-11-22T10:00:00Z"
AGENT = Principal(id="local:sam", kind="agent", team="vision", roles=("developer",), auth_method="local")
DIGEST = "sha256:" + "ab" * 32
ACTIONS = {
    "deploy_model": ["deploy"],
    "request_gpu": ["request"],
    "trigger_retraining": ["retrain"],
    "manage_edge_nodes": ["drain", "cordon", "label", "rollout", "pause", "resume", "rollback"],
    "register_model": ["register"],
    "promote_model": ["promote"],
    "route_model": ["route"],
    "control_operation": ["promote", "resume", "pause", "cancel", "rollback"],
}


def model() -> ModelFacts:
    gate = GateVerdict(metric="accuracy", value_milli=950, threshold_milli=900, verdict="pass", age_seconds=3600)
    return ModelFacts(
        name="vision", version="3", aliases=("champion",), source="runs:/r1/model", digest=DIGEST, signed=True, card=True,
        licence="Apache-2.0", owner_team="vision", residency=("eu",), gates=(gate,),
    )  # fmt: skip


def change(**fields: Any) -> ObjectChange:
    plain: dict[str, Any] = {
        "action": "update", "system": "kubernetes", "kind": "InferenceService", "name": "vision",
        "namespace": "vision-prod", "owner_team": "vision",
    }  # fmt: skip
    return ObjectChange(**{**plain, **fields})


def sites(count: int = 2) -> tuple[SiteFacts, ...]:
    return tuple(
        SiteFacts(
            site=f"s{n}",
            region="eu-west-1",
            members=5,
            healthy_before=5,
            healthy_after=4,
            minimum_healthy=3,
            pods_evicted=1,
        )
        for n in range(count)
    )


def _route(target: str, group: str, **fields: Any) -> RouteFacts:
    usual: dict[str, Any] = {"tier": "cloud", "region": "eu-west-1", "spot": False, "critical": False}
    return RouteFacts(target=target, group=group, **{**usual, **fields})


def _facts(tool: str, environment: str) -> tuple[Facts, Cost | None]:
    compute = ComputeFacts(
        purpose="train",
        accelerator="nvidia-a100",
        count=64,
        hours=8,
        spot=True,
        checkpoint=True,
        deadline_seconds=86400,
    )
    cost = Cost(hourly_cents=9600, total_cents=76800, budget_left_cents=4_000_000, basis="list 2026-11-01")
    namespace = "vision-prod" if environment == "production" else "vision"
    train = change(action="create", kind="TrainJob", name="train", namespace=namespace, owner_team=None)
    fleet = FleetFacts(members=47, affected=4, share_percent=8, offline=2, sites=sites())
    rollout = RolloutFacts(
        strategy="canary",
        first_step_percent=10,
        current_version="2",
        replicas_before=2,
        replicas_after=2,
        analysis=AnalysisFacts(checks=("errors", "slow"), tolerated_milli=50, min_samples=100, wait_seconds=1800),
        golden_inputs=True,
    )
    serve = ComputeFacts(purpose="serve", accelerator="nvidia-l4", count=2, hours=None, spot=False, checkpoint=False)
    registry = change(system="registry", kind="set_alias", namespace=None, owner_team=None)
    retrain = RetrainFacts(
        reason="drift", active_runs=0, seconds_since_last=200_000, consecutive_without_gain=0, drift_milli=300,
        performance_drop_milli=40,
    )  # fmt: skip
    quota = QuotaFacts(queue="gpu", flavor="a100-spot", nominal=128, used=0, requested=64, forecast="now")
    config = change(kind="ConfigMap", name="litellm-config", namespace=namespace)
    routes = RoutesFacts(slo_ms=500, breaker=True, routes=(
        _route("edge", "vision", tier="edge", critical=True),
        _route("gcp", "vision-cloud", critical=True),
        _route("gcp-spot", "vision-spot", spot=True),
    ))  # fmt: skip
    node = change(kind="Node", name="edge-1", namespace=None, owner_team=None)
    hourly = Cost(hourly_cents=400, basis="list 2026-11-01")
    by_tool: dict[str, tuple[Facts, Cost | None]] = {
        "deploy_model": (
            Facts(model=model(), compute=serve, rollout=rollout, changes=(change(namespace=namespace),)),
            hourly,
        ),
        "request_gpu": (Facts(compute=compute, quota=quota, changes=(train,)), cost),
        "trigger_retraining": (Facts(model=model(), compute=compute, retrain=retrain, changes=(train,)), cost),
        "manage_edge_nodes": (Facts(model=model(), rollout=rollout, fleet=fleet, changes=(node,)), None),
        "register_model": (Facts(model=model(), changes=(registry,)), None),
        "promote_model": (Facts(model=model(), changes=(registry,)), None),
        "route_model": (Facts(model=model(), routing=routes, changes=(config,)), None),
        "control_operation": (Facts(changes=(change(namespace=namespace),)), None),
    }
    return by_tool[tool]


def question(
    tool: str,
    edit: Callable[[Document], object] | None = None,
    *,
    environment: str = "staging",
    action: str = "",
    time: str = MONDAY,
) -> PolicyInput:
    """Return the tool's sound question, after ``edit`` changed its JSON document in place."""
    facts, cost = _facts(tool, environment)
    registry = tool in ("register_model", "promote_model")
    site = "s0" if tool == "manage_edge_nodes" else ""
    namespace = "vision-prod" if environment == "production" else "vision"
    target = Target(
        environment=environment,
        cluster="gcp",
        namespace=namespace,
        cloud="gcp",
        region="eu-west-1",
        site=site,
        cluster_facts=ClusterFacts(),
    )  # type: ignore[arg-type]
    asked = PolicyInput(
        schema="ai-platform.input/v1",
        request_id="req-1",
        tool=tool,
        action=action or ACTIONS[tool][0],
        dry_run=True,
        time=time,
        principal=AGENT,
        targets=() if registry else (target,),
        args={"alias": "challenger"} if tool in ("promote_model", "register_model") else {},
        cost=cost,
        facts=facts,
        plan_digest="d" * 64,
    )
    if edit is None:
        return asked
    document = asked.model_dump(mode="json", by_alias=True)
    edit(document)
    return PolicyInput.model_validate(document)


def document(*args: Any, **kwargs: Any) -> Document:
    return question(*args, **kwargs).model_dump(mode="json", by_alias=True)


def put(path: str, value: Any) -> Callable[[Document], None]:
    """Return an edit that sets the dotted ``path`` (list places as numbers)."""

    def edit(root: Document) -> None:
        *way, last = path.split(".")
        at: Any = root
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at[step]
        at[int(last) if isinstance(at, list) else last] = copy.deepcopy(value)

    return edit


def both(*edits: Callable[[Document], None]) -> Callable[[Document], None]:
    def edit(root: Document) -> None:
        for one in edits:
            one(root)

    return edit


def grant(
    approver: str = "human:kim", *, revision: str, digest: str = "d" * 64, expires: str = "2027-01-01T00:00:00Z"
) -> Document:
    return {
        "id": "apr-1", "approvers": [approver], "action_digest": digest, "policy_revision": revision, "expires_at": expires,
    }  # fmt: skip


# What may vary of a question, kept consistent: a fact that is told twice (namespace of change and target) varies together.
VARIATIONS: list[Callable[[random.Random, Document], None]] = []


def _variation(path: str, *values: Any) -> None:
    def vary(rng: random.Random, root: Document) -> None:
        try:
            put(path, rng.choice(values))(root)
        except (KeyError, TypeError, IndexError):
            return

    VARIATIONS.append(vary)


_variation("principal.team", "nlp", "ghosts", "vision", "platform")
_variation("principal.roles", [], ["viewer"], ["platform-engineer"], ["edge-operator"], ["developer", "ml-engineer"])
_variation("principal.kind", "human", "agent", "service")
_variation("time", SUNDAY, MONDAY, "2026-01-02T10:00:00Z", "2024-02-29T23:59:59.5Z", "2026-11-27T12:00:00Z")
_variation("targets.0.environment", "dev", "staging", "production")
_variation("targets.0.region", "us-east-1", "eu-north-1", "")
_variation("targets.0.cluster_facts.protected", True)
_variation("targets.0.cluster_facts.allowed_teams", ["nlp"], ["vision", "nlp"])
_variation("facts.changes.0.owner_team", "vision")
_variation("facts.changes.0.namespace", "nlp", "edge", "vision", "visionary")
_variation("facts.changes.0.forced", True)
_variation("facts.changes.0.gitops", "reverted", "kept", "paused", "committed")
_variation("facts.changes.0.replicas_removed", 0, 2, 3, 30)
_variation("facts.model.aliases", [], ["challenger"], ["champion", "x"])
_variation("facts.model.digest", "sha256:12", "latest", DIGEST)
_variation("facts.model.signed", False, True)
_variation("facts.model.card", False, True)
_variation("facts.model.licence", "GPL-3.0", "MIT", "")
_variation("facts.model.owner_team", "nlp", "vision")
_variation("facts.model.residency", [], ["us"], ["eu", "us"])
_variation("facts.model.gates", [])
_variation("facts.model.gates.0.verdict", "fail", "pass")
_variation("facts.model.gates.0.age_seconds", 0, 1209600, 1209601)
_variation("facts.rollout.strategy", "new", "canary", "blue_green", "all_at_once", "none")
_variation("facts.rollout.first_step_percent", 0, 10, 11, 100)
_variation("facts.rollout.replicas_after", 0, 3, 4, 51)
_variation("facts.rollout.analysis.min_samples", 1, 99, 100)
_variation("facts.rollout.analysis.tolerated_milli", 50, 51, 999)
_variation("facts.rollout.analysis.checks", [], ["slow"], ["errors"])
_variation("facts.compute.accelerator", "NVIDIA-H100-80GB-HBM3", "tpu-v5e", "a10", "nvidia.com/gpu", "H200")
_variation("facts.compute.count", 0, 1, 64, 128, 129)
_variation("facts.compute.hours", 1, 12, 13, 72, 73)
_variation("facts.compute.purpose", "train", "batch", "dev")
_variation("facts.compute.spot", True, False)
_variation("facts.compute.checkpoint", True, False)
_variation("cost.total_cents", 0, 99_999, 100_000, 1_000_000, 2_500_001, 5_000_000)
_variation("cost.hourly_cents", 0, 2000, 2001, 20_001)
_variation("cost.budget_left_cents", -1, 0, 76_800, 4_000_000)
_variation("facts.fleet.share_percent", 0, 10, 11, 100)
_variation("facts.fleet.affected", 0, 4, 5, 47)
_variation("facts.fleet.sites.0.healthy_after", 0, 2, 3, 5)
_variation("facts.fleet.sites.0.healthy_before", 2, 5)
_variation("facts.fleet.sites.1.region", "us-east-1", "eu-west-4")
_variation("facts.retrain.reason", "manual", "drift", "performance", "schedule", "data")
_variation("facts.retrain.active_runs", 0, 1)
_variation("facts.retrain.seconds_since_last", 0, 86399, 86400)
_variation("facts.retrain.consecutive_without_gain", 0, 2, 3)
_variation("facts.retrain.drift_milli", 0, 199, 200)
_variation("facts.retrain.performance_drop_milli", -10, 19, 20)
_variation("facts.quota.forecast", "now", "queued", "never")
_variation("args.alias", "champion", "challenger")
_variation("dry_run", False)


def _edge_as_well(rng: random.Random, root: Document) -> None:
    """Make a deployment reach the edge, alone or beside the cloud."""
    if root["tool"] == "deploy_model" and rng.random() < 0.4:
        share = rng.choice([5, 40, 100])
        fleet = FleetFacts(members=47, affected=47 * share // 100, share_percent=share, offline=3, sites=sites())
        root["facts"]["fleet"] = fleet.model_dump(mode="json")
        rollout = change(action="create", kind="EdgeRollout", namespace="edge", owner_team=None).model_dump(mode="json")
        root["facts"]["changes"] = [rollout] if rng.random() < 0.3 else [*root["facts"]["changes"], rollout]


def _other_owner(rng: random.Random, root: Document) -> None:
    """Let an object belong to another team; registry objects are owned through their model."""
    row = root["facts"]["changes"][0]
    if row["system"] == "kubernetes" and row["action"] != "create" and row["kind"] != "Node":
        row["owner_team"] = rng.choice(["nlp", None])


def _through_git(rng: random.Random, root: Document) -> None:
    """Change the cluster by a commit, with both groups of facts that then must be there."""
    if root["tool"] == "deploy_model" and rng.random() < 0.2:
        row = change(system="git", kind="commit", name="deploys", namespace=None, owner_team=None).model_dump(
            mode="json"
        )
        fleet = FleetFacts(members=0, affected=0, share_percent=0, offline=0)
        root["facts"] |= {"changes": [row], "fleet": fleet.model_dump(mode="json")}


def _already_running(rng: random.Random, root: Document) -> None:
    """Let a retraining find the active run, so that it starts nothing."""
    if root["tool"] == "trigger_retraining" and rng.random() < 0.5:
        root["facts"]["changes"][0] |= {"action": "none", "owner_team": "vision"}


def _for_health(rng: random.Random, root: Document) -> None:
    """Take nodes out for their hardware's health, with findings for all of them or for some."""
    if root["tool"] == "manage_edge_nodes" and root["action"] in ("cordon", "drain"):
        proposed = rng.choice([0, 3, 4, 47])
        root["args"] = {"reason": "health"}
        root["facts"]["fleet"]["health"] = {"proposed": proposed, "hardware": rng.choice([0, 3, proposed])}


VARIATIONS += [_edge_as_well, _other_owner, _through_git, _already_running, _for_health]


def sample(seed: int, count: int) -> list[Document]:
    """Return sound questions of every tool, each with none to five things varied."""
    rng = random.Random(seed)
    rows: list[Document] = []
    for n in range(count):
        tool = list(ACTIONS)[n % len(ACTIONS)]
        environment = rng.choice(["dev", "staging", "production", "production"])
        root = document(tool, environment=environment, action=rng.choice(ACTIONS[tool]))
        root["request_id"] = f"req-{n}"
        for vary in rng.sample(VARIATIONS, rng.choice([0, 1, 2, 2, 3, 5])):
            vary(rng, root)
        rows.append(root)
    return rows
