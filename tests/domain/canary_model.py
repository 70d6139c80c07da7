"""KServe as far as canaries see it: an InferenceService whose status follows its spec after a while, in both modes.

Knative mode as in KServe v0.20 (ksvc_reconciler.go, inference_service_status.go): each change of the predictor makes a new
revision; ``latestRevision: true`` goes to the newest one that is *ready*; the last that had 100 % keeps the rest. Standard mode:
a Deployment replaces its replicas, during which the old ones answer; a canary is one beside it, without traffic until ready.
"""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]
VERSION, STABLE = "aiplatform.dev/version", "aiplatform.dev/stable-version"
LOADS = 12
"""Seconds that a predictor takes to be ready."""


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as it is written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def predictor_of(version: str, **more: Any) -> Json:
    uri = {"1": "oci://one", "2": "oci://two"}.get(version, f"oci://{version}")
    return {"labels": {VERSION: version}, "model": {"storageUri": uri}, **more}


class Kserve:
    def __init__(self, knative: bool, live: Json | None = None):
        self.knative = knative
        self.never_ready = ""
        self.live = live
        self.stable: Json = {}
        self._revisions: list[Json] = []
        self._rolled_out = self._previous = ""
        self._running: Json = {}
        self._canary: Json = {}

    @classmethod
    def in_canary(cls, knative: bool, percent: int) -> Kserve:
        """Version 1 served, and version 2 has just been deployed as a canary."""
        self = cls(knative)
        self.stable = predictor_of("1", minReplicas=4, maxReplicas=8, nodeSelector={"pool": "old"})
        self.live = self._service({"predictor": copy.deepcopy(self.stable)}, "1")
        self.tick(LOADS)
        self.tick(LOADS)
        self.deploy("2", percent)
        return self

    def _service(self, spec: Json, version: str) -> Json:
        mode = "Knative" if self.knative else "Standard"
        notes = {"serving.kserve.io/deploymentMode": mode}
        meta = {"name": "m", "namespace": "n", "labels": {VERSION: version}, "annotations": notes}
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": meta,
            "spec": spec,
        }

    # ------------------------------------------------------------------------------------------- what others write

    def deploy(self, version: str, percent: int) -> None:
        if self.knative:
            fresh = predictor_of(version, minReplicas=4, maxReplicas=8, canaryTrafficPercent=percent)
            spec: Json = {"predictor": fresh}
        else:
            beside = predictor_of(version, name=f"canary-v{version}", minReplicas=1)
            spec = {
                "predictor": copy.deepcopy(self.stable),
                "canary": [{"trafficPercent": percent, "predictor": beside}],
            }
        fresh_service = self._service(spec, version)
        fresh_service["metadata"]["annotations"][STABLE] = "1"
        assert self.live is not None
        self.live = {**fresh_service, "status": self.live.get("status", {})}

    def redeploy(self, version: str) -> None:
        self.deploy(version, 10)

    def delete(self) -> None:
        self.live = None

    def set_share(self, percent: int | None) -> None:
        if self.knative:
            self.write({"spec": {"predictor": {"canaryTrafficPercent": percent}}})
        elif percent is None:
            self.write({"spec": {"canary": None}})
        else:
            self.write({"spec": {"canary": [{**self.spec["canary"][0], "trafficPercent": percent}]}})

    def keep(self, name: str) -> None:
        group = "kustomize.toolkit.fluxcd.io"
        self.write({"metadata": {"labels": {f"{group}/name": name, f"{group}/namespace": "flux-system"}}})

    def write(self, body: Json) -> None:
        self.live = merged(self.live, body)
        for row in self.spec.get("canary") or []:
            assert row["predictor"]["minReplicas"] <= self.spec["predictor"].get("minReplicas", 1), "KServe refuses it"

    # ------------------------------------------------------------------------------------------------ what is there

    @property
    def spec(self) -> Json:
        assert self.live is not None
        return self.live["spec"]

    @property
    def version(self) -> str:
        assert self.live is not None
        return self.live["metadata"]["labels"][VERSION]

    @property
    def deployment(self) -> Json | None:
        """The stable predictor's Deployment."""
        if self.knative or not self._running:
            return None
        ready = self._running["ready"]
        return {
            "metadata": {"generation": 1},
            "spec": {"replicas": 2, "template": {"metadata": {"labels": {VERSION: self._running["version"]}}}},
            "status": {
                "observedGeneration": 1,
                "replicas": 2,
                "updatedReplicas": 2 if ready else 1,
                "availableReplicas": 2,
            },
        }

    def asked_share(self) -> int | None:
        if self.knative:
            return self.spec["predictor"].get("canaryTrafficPercent")
        return next((row["trafficPercent"] for row in self.spec.get("canary") or []), None)

    def share(self, version: str) -> int | None:
        return None if self.live is None else self.answers().get(version, 0)

    def answers(self) -> dict[str, int]:
        """Which version answers which share of the calls now."""
        found: dict[str, int] = {}
        if self.knative:
            newest = [row["version"] for row in self._revisions if row["ready"]][-1]
            by_name = {row["name"]: row["version"] for row in self._revisions}
            for row in self._traffic():
                version = newest if row["latestRevision"] else by_name[row["revisionName"]]
                found[version] = found.get(version, 0) + row["percent"]
        else:
            share = self._canary["share"] if self._canary.get("ready") else 0
            if share:
                found[self._canary["version"]] = share
            old = self._running["version"] if self._running["ready"] else self._running["before"]
            found[old] = found.get(old, 0) + 100 - share
        return {version: share for version, share in found.items() if share}

    # ----------------------------------------------------------------------------------------------------- time

    def tick(self, seconds: int) -> None:
        """Let so many seconds pass, after KServe has seen the spec."""
        if self.live is None:
            return
        self.live = copy.deepcopy(self.live)
        (self._knative if self.knative else self._standard)(seconds)

    def _age(self, row: Json, seconds: int) -> None:
        row["age"] += seconds
        row["ready"] = row["ready"] or (row["age"] >= LOADS and row["version"] != self.never_ready)

    def _knative(self, seconds: int) -> None:
        asked = {key: value for key, value in self.spec["predictor"].items() if key != "canaryTrafficPercent"}
        if not self._revisions or self._revisions[-1]["asked"] != asked:
            name = f"m-predictor-{len(self._revisions):05}"
            version = asked["labels"][VERSION]
            self._revisions.append({"name": name, "asked": asked, "version": version, "age": 0, "ready": False})
        for row in self._revisions:
            self._age(row, seconds)
        ready = [row["name"] for row in self._revisions if row["ready"]]
        if not ready:
            return
        traffic = self._traffic()
        whole = any(row["latestRevision"] and row["percent"] == 100 for row in traffic)
        if whole and self._rolled_out != ready[-1]:
            self._previous, self._rolled_out = self._rolled_out, ready[-1]
        elif not whole and self._rolled_out == ready[-1] == self._revisions[-1]["name"] and self._previous:
            self._rolled_out = self._previous  # rolled out with 100 % and then rolled back
        component = {
            "latestCreatedRevision": self._revisions[-1]["name"],
            "latestReadyRevision": ready[-1],
            "latestRolledoutRevision": self._rolled_out,
            "traffic": self._traffic(),
        }
        assert self.live is not None
        conditions = [{"type": "Ready", "status": str(self._revisions[-1]["ready"])}]
        self.live["status"] = {"components": {"predictor": component}, "conditions": conditions}

    def _traffic(self) -> list[Json]:
        percent = self.spec["predictor"].get("canaryTrafficPercent")
        if percent is None or not self._rolled_out:
            return [{"latestRevision": True, "percent": 100}]
        rest = {"latestRevision": False, "revisionName": self._rolled_out, "percent": 100 - percent}
        return [{"latestRevision": True, "percent": percent}, *([rest] if percent < 100 else [])]

    def _standard(self, seconds: int) -> None:
        assert self.live is not None
        version = self.spec["predictor"]["labels"][VERSION]
        if not self._running or self._running["version"] != version:
            before = (
                self._running.get("version", version) if self._running.get("ready", True) else self._running["before"]
            )
            self._running = {"version": version, "before": before, "age": 0, "ready": False}
        self._age(self._running, seconds)
        rows = self.spec.get("canary") or []
        if not rows:
            self._canary = {}
        elif self._canary.get("version") != rows[-1]["predictor"]["labels"][VERSION]:
            self._canary = {"version": rows[-1]["predictor"]["labels"][VERSION], "age": 0, "ready": False}
        if rows:
            self._age(self._canary, seconds)
            self._canary["share"] = rows[-1]["trafficPercent"]
        statuses = [
            {
                "name": row["predictor"]["name"],
                "trafficPercent": row["trafficPercent"],
                "ready": self._canary.get("ready", False),
            }
            for row in rows
        ]
        ready = [{"type": "Ready", "status": "True"}]
        self.live["status"] = {"canaryStatuses": statuses, "conditions": ready}
