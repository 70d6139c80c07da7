"""The edge half of a deployment: one EdgeRollout in waves, and the Service that keeps its clients in their site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ai_platform_mcp.core.errors import Conflict, InvalidInput
from ai_platform_mcp.core.facts import AnalysisFacts, FleetFacts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, Risk, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.domain.analysis.asked import Analysis, analysis_for
from ai_platform_mcp.domain.evidence import golden_inputs
from ai_platform_mcp.domain.fleet import (
    SITES_CONFIG_MAP,
    SITES_NAMESPACE,
    Member,
    fleet_facts,
    members_of,
    share_percent,
    site_rules,
    spelled,
)
from ai_platform_mcp.domain.fleet_text import radius, windows
from ai_platform_mcp.domain.objects import metadata_of, preconditions, section, whole
from ai_platform_mcp.domain.rollout.state import OVER, PASSED
from ai_platform_mcp.domain.targets import allowed_region
from ai_platform_mcp.domain.waves import TOLERATED_PERCENT, Wave, describe, plan_waves, tolerated_failures, usual_canary
from ai_platform_mcp.manifests import edge as edge_manifests
from ai_platform_mcp.manifests.common import MODEL_LABEL, Capabilities, Origin, label_value, object_name
from ai_platform_mcp.manifests.routing import zonal_service
from ai_platform_mcp.tools._cloud import made_by
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place, list_if_served, read_inventory
from ai_platform_mcp.tools._runtimes import runtime_of

PORT = 8080
SOAK_SECONDS = {"dev": 60, "staging": 300, "production": 600}
"""How long a wave must stay healthy before the next, by environment: production gets the CRD's own ten minutes."""


@dataclass(frozen=True)
class Fleet:
    """The whole fleet, and the members that a call is about."""

    everyone: tuple[Member, ...]
    members: tuple[Member, ...]
    rollouts: tuple[type_json, ...]
    """Every EdgeRollout of the model in the namespace, newest first."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions of the members."""
        return tuple(sorted({row.region for row in self.members}))

    @property
    def online(self) -> int:
        """Members that answer."""
        return sum(row.online for row in self.members)

    @property
    def current(self) -> type_json | None:
        """The newest rollout that every wave passed."""
        return next((row for row in self.rollouts if phase_of(row) in PASSED), None)

    @property
    def current_version(self) -> str | None:
        """The version that the fleet runs, None where nothing was rolled out."""
        return str(section(self.current, "spec").get("version")) if self.current else None


@dataclass(frozen=True)
class EdgePart:
    """What the edge half contributes to the draft."""

    steps: tuple[Apply, ...]
    targets: tuple[Target, ...]
    facts: FleetFacts
    first_share: int
    golden: bool
    """Whether every node asks golden inputs of the release before it counts."""
    analysis: AnalysisFacts | None
    reasons: tuple[str, ...]
    risks: tuple[Risk, ...]


def phase_of(rollout: type_json) -> str:
    """Return the phase of an EdgeRollout, ``Draft`` where its controller has not seen it."""
    return str(section(rollout, "status").get("phase") or "Draft")


async def read_fleet(
    readers: Readers, where: Place, inventory: Inventory, chosen: Chosen, sites: Sequence[str], regions: Sequence[str]
) -> Fleet:
    """Return the fleet, narrowed to what was asked for and to regions where the model's data may be served.

    Raises:
        InvalidInput: a site or region asked for does not exist in the fleet.
    """
    everyone = members_of(inventory)
    known = {row.site for row in everyone}
    sites = [spelled(site, known) for site in sites]
    regions = [spelled(region, {row.region for row in everyone}) for region in regions]
    unknown = sorted(set(sites) - known)
    if unknown:
        raise InvalidInput(
            f"There is no site {', '.join(unknown)}.", remedy=f"Sites: {', '.join(sorted(known)) or 'none'}."
        )
    narrowed = members_of(inventory, sites, regions)
    allowed = tuple(row for row in narrowed if allowed_region(row.region, chosen.facts.residency))
    label = f"{MODEL_LABEL}={label_value(chosen.name)}"
    found = await list_if_served(
        readers, where.cluster.name, edge_manifests.API, "EdgeRollout", namespace=where.namespace.name, labels=label
    )
    found.sort(key=_age, reverse=True)
    return Fleet(everyone=everyone, members=allowed, rollouts=tuple(found))


def _age(rollout: type_json) -> tuple[int, str]:
    return generation_of(rollout), str(metadata_of(rollout).get("creationTimestamp", ""))


def generation_of(rollout: type_json) -> int:
    """Return the release counter of an EdgeRollout: the controller's, which may be higher than what was asked for."""
    return max(whole(section(rollout, "status").get("generation")), whole(section(rollout, "spec").get("generationOf")))


async def edge_part(
    readers: Readers,
    where: Place,
    chosen: Chosen,
    fleet: Fleet,
    *,
    percent: int | None,
    runtime: str,
    force: bool,
    can: Capabilities,
    origin: Origin,
) -> EdgePart:
    """Return the EdgeRollout and the Service to apply.

    Raises:
        Conflict: another release of the model is on its way to some of these sites.
        CapabilityMissing: the EdgeRollout CRD is not installed, or no serving runtime for the version's format.
        InvalidInput: the runtime asked for is not installed.
    """
    _refuse_overlap(chosen, fleet)
    name, generation = _name(chosen, fleet, origin)
    live = next((row for row in fleet.rollouts if metadata_of(row).get("name") == name), None)
    had = _sites_of(live) if live else set[str]()
    if live:  # all of it is planned, as it was: the waves of some of its sites would be no waves for the others
        fleet = replace(fleet, members=tuple(row for row in fleet.everyone if not had or row.site in had))
    sites = had if live else {row.site for row in fleet.members}
    waves = plan_waves(fleet.members, usual_canary(len(fleet.members)) if percent is None else percent)
    golden, analysis = _golden(chosen), _analysis(where, chosen, fleet)
    release = _release(chosen, await runtime_of(readers, where, chosen, runtime, edge=True))
    rollout = _asked(where, chosen, fleet, release, waves, golden, analysis).model_copy(
        update={"name": name, "generation": generation, "sites": tuple(sorted(sites))}
    )
    manifest = edge_manifests.edge_rollout(rollout, made_by(live, origin), can)
    title = (
        f"Roll {chosen.name} {chosen.version.version} out to {len(fleet.members)} edge nodes in {_waves(len(waves))}"
    )
    step = Apply(title=title, cluster=where.cluster.name, manifest=manifest, force=force)
    step = step.model_copy(update={"preconditions": (*preconditions(step, live), *chosen.preconditions())})
    service, why = await _service(readers, where, chosen, fleet, can, origin)
    config = await readers.clusters.get(where.cluster.name, "v1", "ConfigMap", SITES_CONFIG_MAP, SITES_NAMESPACE)
    rules = site_rules(config)
    facts = fleet_facts(fleet.everyone, [row.node for row in fleet.members], rules)
    open_when, closed = windows(rules, (row.site for row in fleet.members), readers.clock.now())
    return EdgePart(
        steps=(step, service),
        targets=tuple(where.target(cloud="edge", region=region) for region in fleet.regions),
        facts=facts,
        first_share=_first_share(waves, fleet),
        golden=golden is not None,
        analysis=analysis.facts() if analysis else None,
        reasons=(
            f"Waves: {describe(waves, fleet.members)}; {SOAK_SECONDS[where.environment]} s of health between them.",
            *_tolerance(waves, fleet),
            *open_when,
            *_proofs(golden, analysis),
            why,
            radius(facts),
        ),
        risks=(*_risks(facts, fleet), *closed, *_unproven(where, chosen, fleet, golden, analysis)),
    )


def _asked(
    where: Place,
    chosen: Chosen,
    fleet: Fleet,
    release: edge_manifests.Release,
    waves: Sequence[Wave],
    golden: edge_manifests.GoldenInputs | None,
    analysis: Analysis | None,
) -> edge_manifests.Rollout:
    """Return what is asked of the controller, but for which rollout it is and of which sites."""
    return edge_manifests.Rollout(
        name="",
        namespace=where.namespace.name,
        release=release,
        waves=tuple(edge_manifests.Wave(name=row.name, sites=row.sites, canary=row.canary) for row in waves),
        selector={} if where.cluster.role == "edge" else None,
        soak_seconds=SOAK_SECONDS[where.environment],
        rollback_to=_last_good(chosen, fleet),
        golden_inputs=golden,
        analysis=analysis.manifest() if analysis else None,
        stage=release.fetchable,
        max_failures=tolerated_failures(len(fleet.members)),
        min_memory_mib=chosen.shape.size_mib or None,
    )


def _golden(chosen: Chosen) -> edge_manifests.GoldenInputs | None:
    found = golden_inputs(chosen.version.tags)
    return edge_manifests.GoldenInputs(uri=found[0], digest=found[1]) if found else None


def _analysis(where: Place, chosen: Chosen, fleet: Fleet) -> Analysis | None:
    """Return the analysis of production's waves, None where nothing runs that the release could be compared with.

    Golden answers are compared where both are asked: nodes that are not asked have no share to compare with.
    """
    if where.environment != "production" or fleet.current is None or _runs_already(chosen, fleet):
        return None
    both = _golden(chosen) is not None and bool(section(fleet.current, "spec", "goldenInputs"))
    return analysis_for(("errors", "slow", "disagreement") if both else ("errors", "slow"))


def _runs_already(chosen: Chosen, fleet: Fleet) -> bool:
    return fleet.current_version == chosen.version.version


def _proofs(golden: edge_manifests.GoldenInputs | None, analysis: Analysis | None) -> tuple[str, ...]:
    """Tell what a node and a wave must prove beside being ready."""
    found: list[str] = []
    if golden is not None:
        found.append(f"A node counts once {golden.min_agreement_percent} % of the golden inputs agree ({golden.uri}).")
    if analysis is not None:
        checks = ", ".join(row.check for row in analysis.checks)
        found.append(f"A wave passes once it is no worse than the nodes before it ({checks}).")
    return tuple(found)


def _unproven(
    where: Place, chosen: Chosen, fleet: Fleet, golden: edge_manifests.GoldenInputs | None, analysis: Analysis | None
) -> tuple[Risk, ...]:
    """Tell what nobody will measure: outside of dev, since nothing there is served to anybody."""
    if where.environment == "dev":
        return ()
    found: list[Risk] = []
    if golden is None:
        text = "The version has no golden inputs: a node that answers nonsense counts as healthy."
        found.append(Risk(severity="warning", text=text))
    if analysis is None and not _runs_already(chosen, fleet):
        why = (
            "nothing runs that it could be compared with" if fleet.current is None else f"{where.environment} has none"
        )
        found.append(Risk(severity="info", text=f"A wave passes without analysis ({why}): its health has to do."))
    return tuple(found)


def _tolerance(waves: Sequence[Wave], fleet: Fleet) -> tuple[str, ...]:
    """Tell how many nodes may fail, where that is more than the one of a small fleet."""
    allowed = tolerated_failures(len(fleet.members))
    if allowed == 1:
        return ()
    beyond = " beyond the canary, where none may" if waves[0].canary else ""
    return (f"Up to {allowed} nodes ({TOLERATED_PERCENT} %) may fail{beyond}: some of a large fleet always do.",)


def _waves(count: int) -> str:
    return "1 wave" if count == 1 else f"{count} waves"


def _first_share(waves: Sequence[Wave], fleet: Fleet) -> int:
    """Return the share of the whole fleet that the first wave touches."""
    first = sum(row.site in waves[0].sites for row in fleet.members) if waves else 0
    return share_percent(first, len(fleet.everyone))


def _release(chosen: Chosen, runtime: str) -> edge_manifests.Release:
    return edge_manifests.Release(
        model=chosen.name,
        version=chosen.version.version,
        digest=chosen.facts.digest or "",
        storage_uri=chosen.storage_uri(),
        runtime=runtime or None,
    )


def _name(chosen: Chosen, fleet: Fleet, origin: Origin) -> tuple[str, int]:
    """Return the rollout's name and its place in the order of releases.

    A rollout of the same bytes that has all of these sites, and no other release after it, is taken up again with what sites
    it has. Everything else is a new object: the digest of a rollout cannot change, an old one is history, and what fails at
    new sites must not take the release back where it has long been good.
    """
    count = generation_of(fleet.rollouts[0]) if fleet.rollouts else 0
    asked = {row.site for row in fleet.members}
    for row in fleet.rollouts:
        if section(row, "spec").get("digest") != chosen.facts.digest or phase_of(row) in ("RolledBack", "Stopped"):
            break
        had = _sites_of(row)
        if not had or asked <= had:
            return str(metadata_of(row).get("name")), max(1, generation_of(row))
    name = object_name(chosen.name, "edge", chosen.version.version, seed=origin.operation or "", length=52)
    return name, count + 1


def _sites_of(rollout: type_json) -> set[str]:
    """Return the sites that a rollout is limited to; none where it is not."""
    return {str(site) for site in section(rollout, "spec").get("sites") or ()}


def _last_good(chosen: Chosen, fleet: Fleet) -> edge_manifests.Release | None:
    """Return the newest other release that every wave passed: where to go back to."""
    for row in fleet.rollouts:
        spec = section(row, "spec")
        if phase_of(row) in PASSED and spec.get("digest") != chosen.facts.digest:
            return edge_manifests.Release(
                model=chosen.name,
                version=str(spec.get("version")),
                digest=str(spec.get("digest")),
                image=spec.get("image"),
                storage_uri=spec.get("storageUri"),
            )
    return None


def _refuse_overlap(chosen: Chosen, fleet: Fleet) -> None:
    sites = {row.site for row in fleet.members}
    for row in fleet.rollouts:
        spec = section(row, "spec")
        other = _sites_of(row)
        if phase_of(row) in OVER | PASSED or spec.get("digest") == chosen.facts.digest or (other and not other & sites):
            continue
        name = metadata_of(row).get("name")
        raise Conflict(
            f"{chosen.name} {spec.get('version')} is still on its way to some of these sites ({name}, {_seen(row)}).",
            cause="Two releases of one model on the same nodes would overwrite each other.",
            remedy=f"Wait for EdgeRollout {name}, or end it: control_operation action=cancel with its operation.",
        )


def _seen(rollout: type_json) -> str:
    phase = phase_of(rollout)
    return "not begun" if phase == "Draft" else phase


async def _service(
    readers: Readers, where: Place, chosen: Chosen, fleet: Fleet, can: Capabilities, origin: Origin
) -> tuple[Apply, str]:
    """Return the Service of the release, zonal where a site is a zone with neighbours to prefer."""
    sizes = [sum(row.site == site for row in fleet.members) for site in {row.site for row in fleet.members}]
    stable = origin.model_copy(update={"version": None, "model_digest": None, "operation": None})
    if can.kubernetes_minor >= 31 and max(sizes, default=0) > 1:
        selector = {MODEL_LABEL: label_value(chosen.name), "app.kubernetes.io/component": "edge"}
        name = object_name(chosen.name, "edge", length=63)
        manifest = zonal_service(name, where.namespace.name, selector, PORT, "http", stable, can)
        way = section(manifest, "spec").get("trafficDistribution")
        why = f"Clients stay in their site ({way}): a neighbour of the same site answers for a node that is down."
    else:
        manifest = edge_manifests.site_service(chosen.name, where.namespace.name, PORT, stable)
        why = "Clients stay on their node: no site has a second one that could answer."
    name = str(metadata_of(manifest)["name"])
    live = await readers.clusters.get(where.cluster.name, "v1", "Service", name, where.namespace.name)
    step = Apply(title=f"Reach it on site through Service {name}", cluster=where.cluster.name, manifest=manifest)
    return step.model_copy(update={"preconditions": preconditions(step, live)}), why


def _risks(facts: FleetFacts, fleet: Fleet) -> tuple[Risk, ...]:
    found: list[Risk] = []
    if facts.offline:
        count = "1 node is" if facts.offline == 1 else f"{facts.offline} nodes are"
        text = f"{count} offline or cordoned: owed the release, which comes once that is over."
        found.append(Risk(severity="info", text=text))
    short = [row.site for row in facts.sites if row.healthy_before < row.minimum_healthy]
    if short:
        found.append(Risk(severity="warning", text=f"Sites below their minimum already: {', '.join(short)}."))
    if fleet.current is None:
        found.append(
            Risk(
                severity="info",
                text="No release of this model passed before: a failed rollout has nothing to go back to.",
            )
        )
    return tuple(found)


async def touched_by(rollout: type_json, readers: Readers, cluster: str) -> tuple[str, ...]:
    """Return, in words, which nodes a rollout of the same sites and regions touches."""
    spec, inventory = section(rollout, "spec"), await read_inventory(readers, cluster)
    members = members_of(inventory, tuple(spec.get("sites") or ()), tuple(spec.get("regions") or ()))
    config = await readers.clusters.get(cluster, "v1", "ConfigMap", SITES_CONFIG_MAP, SITES_NAMESPACE)
    return (radius(fleet_facts(members_of(inventory), [row.node for row in members], site_rules(config))),)
