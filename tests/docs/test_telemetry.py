"""The scrape configuration in the documentation is one that Prometheus takes, and gives series the labels that are asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ai_platform_mcp.adapters.prometheus.backends import EDGE
from ai_platform_mcp.controllers.metrics import Looks, exposition
from ai_platform_mcp.domain.edge_identity import GROUP_LABEL, POOL_LABEL, SITE_LABEL, edge_identity
from ai_platform_mcp.manifests.common import MODEL_LABEL, TEAM_LABEL, VERSION_LABEL

PAGE = Path(__file__).resolve().parents[2] / "docs/telemetry.md"


def scrape() -> str:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- scrape configuration: checked by the tests -->")
    return rest.partition("```yaml\n")[2].partition("```")[0]


def meta(kind: str, label: str) -> str:
    return f"__meta_kubernetes_{kind}_label_" + re.sub(r"[^a-zA-Z0-9]", "_", label)


def relabelled(found: dict[str, str]) -> dict[str, str] | None:
    """What Prometheus makes of a target's labels: replace, keep and drop, which are all that is used."""
    labels = dict(found)
    rules: list[dict[str, Any]] = yaml.safe_load(scrape())["scrape_configs"][0]["relabel_configs"]
    for rule in rules:
        text = ";".join(labels.get(name, "") for name in rule.get("source_labels", []))
        match = re.fullmatch(rule.get("regex", "(.*)"), text)
        action = rule.get("action", "replace")
        if (action == "keep" and not match) or (action == "drop" and match):
            return None
        if action == "replace" and match:
            labels[rule["target_label"]] = match.expand(rule.get("replacement", r"\1").replace("$1", r"\1"))
    return {name: value for name, value in labels.items() if value and not name.startswith("__")}


def pod(component: str) -> dict[str, str]:
    return {
        meta("pod", MODEL_LABEL): "vision-v3",
        meta("pod", VERSION_LABEL): "5",
        meta("pod", TEAM_LABEL): "vision",
        meta("pod", "app.kubernetes.io/component"): component,
        "__meta_kubernetes_namespace": "vision-prod",
        "__meta_kubernetes_pod_name": "p",
        "__meta_kubernetes_pod_node_name": "edge-1",
        meta("node", SITE_LABEL): "austin",
        meta("node", "topology.kubernetes.io/region"): "us-south",
    }


def test_a_pods_series_get_every_label_that_a_question_may_name():
    edge, cloud = relabelled(pod("edge")), relabelled(pod("predictor"))
    assert edge is not None and cloud is not None
    assert set(EDGE.values()) <= set(edge)
    assert (edge["target"], edge["node"], edge["site"], edge["region"]) == ("edge", "edge-1", "austin", "us-south")
    assert cloud["target"] == "cloud" and not {"node", "site", "region"} & set(cloud)
    assert (cloud["model"], cloud["version"], cloud["team"]) == ("vision-v3", "5", "vision")
    assert relabelled(pod("prepull")) is None
    assert relabelled({"__meta_kubernetes_namespace": "default"}) is None


@pytest.mark.parametrize(
    "labels",
    [
        {POOL_LABEL: "hangzhou"},
        {GROUP_LABEL: "beijing"},
        {SITE_LABEL: "austin", POOL_LABEL: "hangzhou"},
        {POOL_LABEL: "hangzhou", GROUP_LABEL: "beijing"},
    ],
)
def test_a_series_is_of_the_site_that_the_inventory_says(labels: dict[str, str]):
    bare = {name: value for name, value in pod("edge").items() if name != meta("node", SITE_LABEL)}
    series = relabelled(bare | {meta("node", name): value for name, value in labels.items()})
    assert series is not None and series["site"] == edge_identity(labels).site


def test_prometheus_takes_the_configuration(tmp_path: Path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH")
    document = yaml.safe_load(scrape())
    del document["scrape_configs"][0]["kubernetes_sd_configs"]  # Debian builds its Prometheus without this discovery
    document["scrape_configs"][0]["static_configs"] = [{"targets": ["localhost:8080"]}]
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump(document))
    checked = subprocess.run([promtool, "check", "config", str(config)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_documented_metrics_of_the_controller_are_those_that_it_serves():
    row = {"metadata": {"namespace": "n", "name": "r"}, "spec": {}, "status": {"analysis": {"verdict": "pass"}}}
    text = exposition([row], [row], {"edgerollout": Looks()}, leads=True)
    served = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    table = PAGE.read_text(encoding="utf-8").partition("## The controller's own metrics")[2]
    endings = set(re.findall(r"`(?:aiplatform_|…)?(?:\w+?_rollout|\w+?_controller)?(_\w+|\w+?)(?:\{[^}]*\})?`", table))
    assert {name for name in served if not any(name.endswith(ending.lstrip("…")) for ending in endings)} == set()
