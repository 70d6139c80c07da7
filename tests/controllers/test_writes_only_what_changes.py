"""What a look writes: nothing where the cluster says it already, in whichever order it keeps a set."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.controllers.edge import carry_out, daemon_sets
from ai_platform_mcp.controllers.edge.asked import rollout_of
from ai_platform_mcp.domain.rollout.state import Progress

DIGEST = "sha256:" + "a" * 64
META = {"name": "vision-2", "namespace": "vision", "uid": "u1", "resourceVersion": "7", "generation": 1}
SPEC = {"model": "vision", "version": "2", "digest": DIGEST, "image": f"registry.example/vision@{DIGEST}"}
STATUS = {"phase": "Running", "generation": 1, "owed": ["b", "a", "c"], "conditions": []}


def live(**changes: Any) -> dict[str, Any]:
    spec = {**SPEC, "waves": [{"name": "all", "percent": 100}]}
    return {"metadata": dict(META), "spec": spec, "status": dict(STATUS), **changes}


@pytest.mark.parametrize(("owed", "written"), [(["a", "b", "c"], False), (["a", "b"], True), ([], True)])
def test_a_set_that_an_api_server_keeps_in_another_order_is_not_written_again(owed: list[str], written: bool):
    # An apply keeps the items of a set in the order in which they came, and ours are sorted: every look would write.
    write = carry_out.status_write(live(), {**STATUS, "owed": owed})
    assert (write is not None) == written
    assert write is None or (write.body is not None and write.body["status"]["owed"] == owed)


def test_daemon_sets_are_built_anew_where_what_they_depend_on_changes_and_else_not():
    builder = daemon_sets.Builder()
    cluster = daemon_sets.Cluster(minor=36, pause_image="pause")

    def built(rollout: dict[str, Any], cluster: daemon_sets.Cluster = cluster) -> Any:
        return builder.wanted(rollout, rollout_of(rollout, 1), Progress(), [], cluster)[0]

    first = built(live())
    assert built(live(status={"phase": "Paused"})) is first, "a status decides nothing about them"
    other = built(live(metadata={**META, "generation": 2}, spec={**live()["spec"], "version": "3"}))
    assert other["metadata"]["labels"]["aiplatform.dev/version"] == "3"
    team = built(live(metadata={**META, "labels": {"aiplatform.dev/team": "vision"}}))
    assert team["metadata"]["labels"]["aiplatform.dev/team"] == "vision"
    assert built(live(), cluster.model_copy(update={"minor": 35})) is not first
