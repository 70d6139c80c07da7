"""What nodes and pods say is read as it is meant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ai_platform_mcp.controllers.edge import observe, succession
from ai_platform_mcp.controllers.edge.asked import rollout_of
from ai_platform_mcp.controllers.edge.pods import pod_seen
from ai_platform_mcp.controllers.edge.sight import Sight
from ai_platform_mcp.domain.fleet import SiteRule
from ai_platform_mcp.domain.rollout.state import Mark, Rollout, Wave
from ai_platform_mcp.manifests.edge import Release, prepull_name, release_name, release_node_label

Json = dict[str, Any]
AT = "2026-01-05T08:00:00Z"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
IMAGE = "r.example/m@sha256:" + "a" * 64
RELEASE = Release(model="m", version="2", digest="sha256:" + "d" * 64, image=IMAGE)
ROLLOUT = Rollout.model_validate(
    {
        "name": "r",
        "model": "m",
        "release": {"version": "2", "digest": RELEASE.digest},
        "waves": (Wave(name="all", percent=100),),
    }
)


def node(name: str = "n", ready: str = "True", **labels: str) -> Json:
    marks = {"edge.aiplatform.dev/site": "s", **labels}
    status = {"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": AT}]}
    return {"metadata": {"name": name, "labels": marks, "creationTimestamp": AT}, "spec": {}, "status": status}


def pod(main: Json | None = None, version: str = "2", place: str = "n", **status: Any) -> Json:
    labels = {"aiplatform.dev/version": version, "edge.aiplatform.dev/release": release_name(RELEASE)}
    statuses = [{"name": "model", "restartCount": 0, **main}] if main is not None else []
    return {
        "metadata": {"name": f"p-{version}", "labels": labels, "creationTimestamp": AT},
        "spec": {"nodeName": place, "containers": [{"name": "model", "image": IMAGE}]},
        "status": {"containerStatuses": statuses, **status},
    }


def waiting(reason: str, message: str = "") -> Json:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def seen(*nodes: Json, pods: tuple[Json, ...] = (), **requires: Any):
    return Sight().nodes_seen(ROLLOUT, RELEASE, requires, nodes, pods)


@pytest.mark.parametrize(
    ("message", "throttled"),
    [
        ("toomanyrequests: You have reached your pull rate limit", True),
        ("unexpected status code: 429 Too Many Requests", True),
        ("pull QPS exceeded", True),
        ("dial tcp 10.0.0.1:443: i/o timeout", True),
        ("manifest for r.example/m not found: manifest unknown", False),
        ("pull access denied, repository does not exist or may require authorization", False),
        ("layer sha256:4290000000 is missing", False),
    ],
)
def test_a_pull_that_is_held_up_is_told_from_one_that_cannot_work(message: str, throttled: bool):
    found = pod_seen(pod(waiting("ErrImagePull", message)), RELEASE)
    assert found.throttled is throttled and found.waiting == "ErrImagePull" and not found.pulled


def test_a_container_that_is_being_made_waits_for_nothing():
    assert pod_seen(pod(waiting("ContainerCreating")), RELEASE).waiting == ""


def test_a_crash_loop_started_once_and_is_counted():
    ended = {"terminated": {"exitCode": 1, "startedAt": AT}}
    found = pod_seen(pod({**waiting("CrashLoopBackOff"), "restartCount": 4, "lastState": ended}), RELEASE)
    assert (found.restarts, found.started_at, found.pulled) == (4, datetime(2026, 1, 5, 8, tzinfo=UTC), True)


@pytest.mark.parametrize(
    ("reason", "crashed"),
    [("Error", True), ("OOMKilled", True), ("Completed", True), ("Unknown", False), ("ContainerStatusUnknown", False)],
)
def test_what_went_down_with_its_node_has_not_crashed(reason: str, crashed: bool):
    ended = {"terminated": {"exitCode": 255, "reason": reason, "startedAt": AT, "finishedAt": AT}}
    main = {"state": {"running": {"startedAt": AT}}, "restartCount": 3, "lastState": ended}
    assert pod_seen(pod(main), RELEASE).crashed_at == (datetime(2026, 1, 5, 8, tzinfo=UTC) if crashed else None)


@pytest.mark.parametrize(
    ("status", "golden"),
    [
        ({"state": {"running": {}}, "ready": True}, "pass"),
        ({"state": {"running": {}}, "ready": False}, "running"),
        ({"state": {"terminated": {"exitCode": 3}}}, "fail"),
        ({"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 3}}}, "fail"),
        ({"state": {"terminated": {"exitCode": 4}}}, "unusable"),
        ({"state": {"terminated": {"exitCode": 1}}}, "running"),
        ({}, "running"),
    ],
)
def test_only_differing_answers_fail_the_golden_inputs(status: Json, golden: str):
    live = pod(initContainerStatuses=[{"name": "golden", **status}])
    live["spec"]["initContainers"] = [{"name": "golden", "restartPolicy": "Always"}]
    assert pod_seen(live, RELEASE).golden == golden
    assert pod_seen(pod(), RELEASE).golden == "none"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            '{"agreement_percent": 41, "min_agreement_percent": 99, "first": [{"id": "a", "why": "label 1"}]}',
            "41 % agree of 99 % asked for, such as input a: label 1",
        ),
        ('{"agreement_percent": 41, "min_agreement_percent": 99, "first": []}', "41 % agree of 99 % asked for"),
        ('{"message": "There are no golden inputs."}', "There are no golden inputs."),
        ("Segmentation fault", ""),
        ("[1]", ""),
        ("[" * 5000, ""),
        ("", ""),
    ],
)
def test_what_the_check_says_at_its_end_is_told_where_it_is_ours(message: str, told: str):
    live = pod(initContainerStatuses=[{"name": "golden", "lastState": {"terminated": {"message": message}}}])
    assert pod_seen(live, RELEASE).golden_told == told


def test_a_check_whose_image_cannot_be_had_holds_its_pod_up_and_one_that_crashes_does_not():
    waits = [
        {"name": "golden", "state": {"waiting": {"reason": reason}}} for reason in ("ErrImagePull", "CrashLoopBackOff")
    ]
    assert [pod_seen(pod(initContainerStatuses=[row]), RELEASE).waiting for row in waits] == ["ErrImagePull", ""]


def test_bytes_are_the_releases_only_where_pod_and_image_say_so():
    assert pod_seen(pod({"imageID": IMAGE}), RELEASE).digest_matches is True
    assert pod_seen(pod({"imageID": "sha256:" + "9" * 64}), RELEASE).digest_matches is None, (
        "a runtime's own name for it"
    )
    other = pod({"imageID": IMAGE})
    other["spec"]["containers"][0]["image"] = "r.example/m@sha256:" + "b" * 64
    assert pod_seen(other, RELEASE).digest_matches is False
    foreign = pod({"imageID": IMAGE})
    foreign["metadata"]["labels"]["edge.aiplatform.dev/release"] = "another-digest-of-2"
    assert pod_seen(foreign, RELEASE).digest_matches is False


def test_a_node_is_told_with_its_label_its_mark_and_the_pod_that_its_label_names():
    mark = Mark(generation=3, version="2", previous="1", at=NOON, seen=NOON)
    live = node(**{release_node_label("m"): "2"})
    live["metadata"]["annotations"] = {observe.mark_annotation("m"): observe.mark_text(mark)}
    (found,) = seen(live, pods=(pod(version="1"), pod(version="2")))
    assert (found.version, found.mark, found.online, found.site) == ("2", mark, True, "s")
    assert found.pod is not None and found.pod.version == "2"


def test_a_mark_that_somebody_broke_is_none_and_a_pod_that_goes_away_does_not_speak():
    live = node(ready="Unknown")
    live["metadata"]["annotations"] = {observe.mark_annotation("m"): '{"generation": "soon"}'}
    going = pod()
    going["metadata"]["deletionTimestamp"] = AT
    (found,) = seen(live, pods=(going,))
    assert found.mark is None and found.pod is None and not found.online


def test_a_node_is_staged_when_its_prepull_pod_of_this_release_is_ready():
    def prepull(place: str, of: str, ready: str) -> Json:
        labels = {"edge.aiplatform.dev/release-prepull": of}
        return {
            "metadata": {"name": place, "labels": labels},
            "spec": {"nodeName": place},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    name = prepull_name(RELEASE, "all")
    pods = (prepull("a", name, "True"), prepull("b", name, "False"), prepull("c", "another", "True"))
    assert [row.staged for row in seen(node("a"), node("b"), node("c"), pods=pods)] == [True, False, False]


def test_a_node_that_can_never_run_it_is_incompatible_and_an_unknown_one_is_not():
    arm, small, silent = node("arm"), node("small"), node("silent")
    arm["status"] |= {"nodeInfo": {"architecture": "arm64"}, "allocatable": {"memory": "16Gi"}}
    small["status"] |= {"nodeInfo": {"architecture": "amd64"}, "allocatable": {"memory": "2Gi"}}
    found = seen(arm, small, silent, architectures=["amd64"], memory="8Gi")
    assert ["arm64" in found[0].incompatible, "2Gi" in found[1].incompatible, found[2].incompatible] == [True, True, ""]


PLATFORMS = {
    "kubernetes": {"node-role.kubernetes.io/edge": "", "edge.aiplatform.dev/site": "harbour"},
    "k3s": {"node.kubernetes.io/instance-type": "k3s", "edge.aiplatform.dev/site": "harbour"},
    "kubeedge": {"node-role.kubernetes.io/edge": "", "apps.kubeedge.io/belonging-to": "harbour"},
    "openyurt": {"openyurt.io/is-edge-worker": "true", "apps.openyurt.io/nodepool": "harbour"},
}
STRANGERS = {
    "cloud": {"topology.kubernetes.io/zone": "harbour"},
    "pool-of-the-cloud": {"openyurt.io/is-edge-worker": "false", "apps.openyurt.io/nodepool": "harbour"},
    "control-plane": {"node-role.kubernetes.io/control-plane": "", "edge.aiplatform.dev/site": "harbour"},
}


def concerned(spec: dict[str, Any]) -> list[str]:
    rows = [{"metadata": {"name": name, "labels": labels}} for name, labels in (PLATFORMS | STRANGERS).items()]
    return [row["metadata"]["name"] for row in observe.members({"spec": spec}, rows)]


def test_a_rollout_concerns_the_edge_nodes_of_its_sites_whatever_distribution_they_are_of():
    assert concerned({"sites": ["harbour"]}) == list(PLATFORMS)
    assert concerned({"sites": ["elsewhere"]}) == []


def test_a_selector_outweighs_what_makes_a_node_an_edge_node_and_an_empty_one_takes_every_node_with_a_site():
    assert concerned({"selector": {"matchLabels": {}}}) == [*PLATFORMS, "pool-of-the-cloud", "control-plane"]
    assert concerned({"selector": {"matchLabels": {"openyurt.io/is-edge-worker": "false"}}}) == ["pool-of-the-cloud"]


def test_a_site_is_open_in_its_window_and_one_that_cannot_be_read_stays_closed():
    rules = {
        "day": SiteRule(maintenance_window_utc="09:00-17:00", minimum_healthy=1),
        "night": SiteRule(maintenance_window_utc="22:00-04:00"),
        "typo": SiteRule(maintenance_window_utc="at night"),
    }
    found = observe.sites_seen(rules, dict.fromkeys(("day", "night", "typo", "other"), 1), NOON)
    assert {site: row.window_open for site, row in found.items()} == {
        "day": True,
        "night": False,
        "typo": False,
        "other": True,
    }
    assert (found["day"].minimum_healthy, found["other"].minimum_healthy) == (1, 1)


def test_on_failure_is_rolling_back_only_where_there_is_something_to_return_to():
    spec = {
        "model": "m",
        "version": "2",
        "digest": RELEASE.digest,
        "image": IMAGE,
        "waves": [{"name": "all", "percent": 100}],
    }
    back = {"version": "1", "digest": "sha256:" + "b" * 64}
    assert rollout_of({"metadata": {"name": "r"}, "spec": spec}, 1).on_failure == "Pause"
    assert rollout_of({"metadata": {"name": "r"}, "spec": {**spec, "rollbackTo": back}}, 1).on_failure == "RollBack"


def test_where_time_runs_faster_waiting_is_shorter_but_a_node_keeps_the_time_that_the_machinery_needs():
    spec = {"waves": [], "soakSeconds": 600, "probationSeconds": 60, "offlineGraceSeconds": 300}
    live = {"metadata": {"name": "r"}, "spec": {**spec, "progressDeadlineSeconds": 3600}}
    fast = rollout_of(live, 1, 300.0)
    assert (fast.soak, fast.probation, fast.offline_grace, fast.progress_deadline) == (2, 0, 1, 20)
    assert rollout_of({**live, "spec": {**spec, "progressDeadlineSeconds": 5}}, 1, 300.0).progress_deadline == 5
    usual = rollout_of(live, 1)
    assert (usual.soak, usual.probation, usual.offline_grace, usual.progress_deadline) == (600, 60, 300, 3600)


AB, A = frozenset({"a", "b"}), frozenset({"a"})


@pytest.mark.parametrize(
    ("phase", "rival", "left", "superseded"),
    [
        ("Running", (2, "Running", AB), frozenset[str](), True),
        ("Running", (2, "Running", A), frozenset({"b"}), False),
        ("Succeeded", (2, "Running", AB), AB, False),
        ("Succeeded", (2, "Succeeded", AB), frozenset[str](), True),
        ("Running", (2, "RolledBack", AB), AB, False),
        ("RollingBack", (2, "Running", AB), AB, False),
        ("Running", (1, "Running", AB), AB, False),
    ],
)
def test_a_newer_rollout_takes_what_is_unfinished_and_leaves_what_has_passed(phase, rival, left, superseded):
    generation, other, nodes = rival
    found = succession.mine(phase, 1, AB, [succession.Rival(generation=generation, phase=other, nodes=nodes)])
    assert found == (left, superseded)


def test_a_release_counter_is_never_given_twice():
    def live(asked: int | None, has: int | None = None) -> Json:
        return {"spec": {"generationOf": asked} if asked else {}, "status": {"generation": has} if has else {}}

    mark = Mark(generation=9, version="1", at=NOON, seen=NOON)
    assert succession.next_generation(live(4), [live(3, 3)], []) == 4
    assert succession.next_generation(live(4), [live(4, 4)], []) == 5
    assert succession.next_generation(live(None), [live(3, 3)], [mark]) == 10
    assert succession.next_generation(live(None), [], []) == 1


def test_a_fleet_seen_again_is_what_it_would_be_at_first_sight():
    label = release_node_label("m")
    running = pod({"state": {"running": {"startedAt": AT}}, "imageID": IMAGE}, place="a")
    ready = {
        **running,
        "status": {**running["status"], "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": AT}]},
    }
    name = prepull_name(RELEASE, "all")
    fetched = pod(place="b", conditions=[{"type": "Ready", "status": "True"}])
    fetched["metadata"]["labels"] = {"edge.aiplatform.dev/release-prepull": name}
    steps = [
        ([node("a"), node("b")], []),
        ([node("a", **{label: "2"}), node("b")], [running]),
        ([node("a", **{label: "2"}), node("b")], [ready, fetched]),
        (
            [node("a", ready="Unknown"), node("b")],
            [{**ready, "metadata": {**ready["metadata"], "deletionTimestamp": AT}}],
        ),
        ([node("b")], [fetched]),
    ]
    again = Sight()
    told = [again.nodes_seen(ROLLOUT, RELEASE, {}, nodes, pods) for nodes, pods in steps]
    assert told == [seen(*nodes, pods=tuple(pods)) for nodes, pods in steps]
    assert [row.staged for row in told[2]] == [False, True] and told[1][0].pod != told[2][0].pod
    same = again.nodes_seen(ROLLOUT, RELEASE, {}, *steps[4])
    assert same[0] is told[4][0], "what has not changed is not read again"
