"""Write the sandbox's compact schemas: src/ai_platform_mcp/sandbox/kube/schemas/*.json.

    python scripts/derive_schemas.py [--crds ../shared/crds] [--out FOLDER]

Two sources, nothing typed by hand but the tables of `builtin_rules`:

* custom resources: the released CRDs. Descriptions and CEL rules are left out, everything else is kept word for word, so
  no verdict on structure, types, formats, ranges or values differs from the CRD's. Subtrees that occur more than once
  (a PodSpec, its affinity, its volumes) are stored once and referred to: "shared#…" when several API groups use the very
  same one, "<group>#…" otherwise. Projects embed the PodSpec of different Kubernetes releases, so that only what is
  identical is shared; nothing is widened to make two of them equal.
* built-in kinds: the models of the official Python client, in one file, core.json, with one definition per model.

The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import builtin_schemas
import yaml

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src/ai_platform_mcp/sandbox/kube/schemas"
OWN_CRDS = ROOT / "src/ai_platform_mcp/controllers/crds"
OWN_GROUPS = ("edge.aiplatform.dev", "serving.aiplatform.dev")
RULES = "x-kubernetes-validations"
LEFT_OUT = {"description", RULES, "title", "example", "externalDocs"}
SHARE_FROM = 110  # bytes of a subtree below which a reference saves nothing
POD_TEMPLATE_OF = ("jobset.x-k8s.io", "JobSet", ("spec", "replicatedJobs", "template", "spec", "template"))

# group: kinds and the versions served by the sandbox
WANTED: dict[str, dict[str, tuple[str, ...]]] = {
    "kueue.x-k8s.io": dict.fromkeys(
        [
            "ClusterQueue",
            "LocalQueue",
            "ResourceFlavor",
            "Workload",
            "WorkloadPriorityClass",
            "Cohort",
            "Topology",
            "AdmissionCheck",
        ],
        ("v1beta1", "v1beta2"),
    ),
    "trainer.kubeflow.org": dict.fromkeys(["TrainJob", "TrainingRuntime", "ClusterTrainingRuntime"], ("v1alpha1",)),
    "kubeflow.org": {"PyTorchJob": ("v1",)},
    "serving.kserve.io": {
        "InferenceService": ("v1beta1",),
        **dict.fromkeys(["ServingRuntime", "ClusterServingRuntime", "InferenceGraph", "TrainedModel"], ("v1alpha1",)),
        "LLMInferenceService": ("v1alpha1", "v1alpha2"),
    },
    "ray.io": dict.fromkeys(["RayJob", "RayCluster", "RayService"], ("v1",)),
    "argoproj.io": dict.fromkeys(["Workflow", "WorkflowTemplate"], ("v1alpha1",)),
    "serving.knative.dev": dict.fromkeys(["Service", "Revision", "Route", "Configuration"], ("v1",)),
    "gateway.networking.k8s.io": dict.fromkeys(["Gateway", "GatewayClass", "HTTPRoute"], ("v1",)),
    "inference.networking.k8s.io": {"InferencePool": ("v1",)},
    "keda.sh": {"ScaledObject": ("v1alpha1",)},
    "kustomize.toolkit.fluxcd.io": {"Kustomization": ("v1",)},
    "source.toolkit.fluxcd.io": {"GitRepository": ("v1",)},
    "jobset.x-k8s.io": {"JobSet": ("v1alpha2",)},
    "leaderworkerset.x-k8s.io": {"LeaderWorkerSet": ("v1",)},
    "templates.gatekeeper.sh": {"ConstraintTemplate": ("v1",)},
    "edge.aiplatform.dev": {"EdgeRollout": ("v1alpha1",)},
    "serving.aiplatform.dev": {"CanaryRollout": ("v1alpha1",)},
}


def dumps(value: Any) -> str:
    """The one spelling of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# ── custom resources ────────────────────────────────────────────────────────────────────────────────────────────────


def parse(file: Path) -> list[Json]:
    """The documents of a YAML file."""
    return [doc for doc in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if doc]


def load_crds(folder: Path, read: Callable[[Path], list[Json]] = parse) -> list[Json]:
    """Every wanted CRD below the folder and our own, in a stable order."""
    files = sorted(folder.rglob("*.yaml")) + sorted(OWN_CRDS.glob("*.yaml"))
    found = [doc for file in files for doc in read(file) if doc["kind"] == "CustomResourceDefinition"]
    wanted = [d for d in found if d["spec"]["names"]["kind"] in WANTED.get(d["spec"]["group"], {})]
    return sorted(wanted, key=lambda d: (d["spec"]["group"], d["spec"]["names"]["kind"]))


def strip(node: Any, *, rules: bool = False) -> Any:
    """A schema node without the texts. Property names are data: only keywords are dropped.

    With ``rules`` the rules in CEL stay: those of our own kinds, which use nothing but CEL proper.
    """
    if isinstance(node, list):
        return [strip(item, rules=rules) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    out: Json = {}
    for key, value in cast("Json", node).items():
        if (key in LEFT_OUT and not (rules and key == RULES)) or (
            key == "anyOf" and node.get("x-kubernetes-int-or-string")
        ):
            continue
        if key == "properties":
            out[key] = {name: strip(child, rules=rules) for name, child in value.items()}
        elif key in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "not"):
            out[key] = strip(value, rules=rules)
        else:
            out[key] = value
    return out


def children(node: Json) -> list[tuple[str, Json]]:
    """(name, child schema) of a node."""
    found = list(cast("dict[str, Json]", node.get("properties", {})).items())
    found += [(key, node[key]) for key in ("items", "additionalProperties") if isinstance(node.get(key), dict)]
    return found


class Sharing:
    """Which subtrees occur more than once, in which groups, and what to call them."""

    def __init__(self) -> None:
        self.prints: dict[int, tuple[str, int]] = {}
        self.alive: list[Json] = []  # a printed node stays, so that its id is not given to another
        self.seen: Counter[str] = Counter()
        self.groups: defaultdict[str, set[str]] = defaultdict(set)
        self.names: dict[str, str] = {}
        self.definitions: defaultdict[str, Json] = defaultdict(dict)

    def print_of(self, node: Json) -> tuple[str, int]:
        """A digest that equal subtrees share, and about how many bytes the subtree takes."""
        if id(node) not in self.prints:
            below = {name: self.print_of(child) for name, child in children(node)}
            own = {k: v for k, v in node.items() if k != "properties" and k not in below}
            text = dumps([own, {name: digest for name, (digest, _) in below.items()}])
            size = len(dumps(own)) + sum(len(name) + child_size + 4 for name, (_, child_size) in below.items())
            self.alive.append(node)
            self.prints[id(node)] = (hashlib.sha256(text.encode()).hexdigest(), size)
        return self.prints[id(node)]

    def count(self, node: Json, group: str, name: str) -> None:
        """Count a subtree's distinct places; below a known one only the group is new."""
        digest, size = self.print_of(node)
        if size >= SHARE_FROM:
            known = group in self.groups[digest]
            self.seen[digest] += 1
            self.groups[digest].add(group)
            self.names.setdefault(digest, name)
            if known:
                return
        for child_name, child in children(node):
            self.count(child, group, name + "Item" if child_name in ("items", "additionalProperties") else child_name)

    def refer(self, node: Json, group: str) -> Json:
        """The node, or a reference to its shared definition."""
        digest, _ = self.print_of(node)
        if self.seen[digest] < 2:
            return self.inline(node, group)
        home = "shared" if len(self.groups[digest]) > 1 else group
        name = f"{self.names[digest]}-{digest[:6]}"
        if name not in self.definitions[home]:
            self.definitions[home][name] = {}  # a place, before the children
            self.definitions[home][name] = self.inline(node, home)
        return {"$ref": f"{home}#{name}"}

    def inline(self, node: Json, group: str) -> Json:
        """The node with its children referred to where they are shared."""
        out = dict(node)
        if "properties" in out:
            out["properties"] = {name: self.refer(child, group) for name, child in out["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(out.get(key), dict):
                out[key] = self.refer(out[key], group)
        return out


def version_entry(crd: Json, version: Json) -> Json:
    """What discovery and tables need to know about one version of a custom resource."""
    names, spec = crd["spec"]["names"], crd["spec"]
    entry: Json = {
        "plural": names["plural"],
        "singular": names.get("singular") or names["kind"].lower(),
        "namespaced": spec["scope"] == "Namespaced",
        "shortNames": names.get("shortNames", []),
        "categories": names.get("categories", []),
        "subresources": sorted(version.get("subresources") or {}),
        "storage": version["storage"],
        "columns": [
            {k: c[k] for k in ("name", "type", "jsonPath", "priority", "format") if k in c}
            for c in version.get("additionalPrinterColumns", [])
        ],
    }
    if version.get("deprecated"):
        group_version = f"{spec['group']}/{version['name']}"
        entry["warning"] = version.get("deprecationWarning") or f"{group_version} {names['kind']} is deprecated"
    if "scale" in (version.get("subresources") or {}):
        entry["scale"] = version["subresources"]["scale"]
    return entry


def derive_custom(crds: list[Json]) -> dict[str, Json]:
    """File name: content, for every API group of custom resources and for what they share."""
    roots: list[tuple[str, str, Json, Json]] = []
    sharing = Sharing()
    for crd in crds:
        group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
        for version in crd["spec"]["versions"]:
            if version["name"] not in WANTED[group][kind]:
                continue
            root = strip(version["schema"]["openAPIV3Schema"], rules=group in OWN_GROUPS)
            root["properties"]["metadata"] = {"$ref": "core#ObjectMeta"}  # what the server does with it
            roots.append((group, f"{group}/{version['name']}/{kind}", root, version_entry(crd, version)))
            sharing.count(root, group, kind)
    missing = {(g, k) for g, kinds in WANTED.items() for k in kinds} - {
        (g, key.split("/")[2]) for g, key, _, _ in roots
    }
    if missing:
        raise SystemExit(f"no released CRD found for {sorted(missing)}")
    files: defaultdict[str, Json] = defaultdict(lambda: {"kinds": {}})
    for group, key, root, entry in roots:
        files[group]["kinds"][key] = {**entry, "schema": sharing.inline(root, group)}
    for home, definitions in sharing.definitions.items():
        files[home]["definitions"] = definitions
    return dict(files)


def pod_template(crds: list[Json]) -> Json:
    """The released CRDs' fullest rendering of a PodTemplateSpec."""
    group, kind, path = POD_TEMPLATE_OF
    crd = next(c for c in crds if (c["spec"]["group"], c["spec"]["names"]["kind"]) == (group, kind))
    node = strip(crd["spec"]["versions"][-1]["schema"]["openAPIV3Schema"])
    for token in path:
        node = node["properties"][token]
        node = node.get("items", node)
    return node


def derive(crds: list[Json]) -> dict[str, str]:
    """File name without its ending: text."""
    files = {**derive_custom(crds), "core": builtin_schemas.derive(pod_template(crds))}
    return {name: dumps(content) + "\n" for name, content in files.items()}


def main() -> None:
    """Write every file, and remove those that no group has any more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crds", type=Path, default=ROOT.parent / "shared/crds")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    files = derive(load_crds(options.crds))
    options.out.mkdir(parents=True, exist_ok=True)
    for stale in options.out.glob("*.json"):
        stale.unlink()
    for name, content in files.items():
        (options.out / f"{name}.json").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
