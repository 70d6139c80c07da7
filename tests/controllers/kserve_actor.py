"""Plays KServe through the API: each InferenceService of a namespace gets the status that KServe would have written by now."""

from __future__ import annotations

import threading
from typing import Any

import httpx

from domain.canary_model import LOADS, Kserve
from kubernetes_servers import Server

Json = dict[str, Any]
TICK = 0.15


class KserveActor(threading.Thread):
    """``never_ready`` names services, each with a version that does not come up."""

    def __init__(self, server: Server, namespace: str):
        super().__init__(daemon=True)
        self.server = server
        self.path = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"
        self.models: dict[str, Kserve] = {}
        self.never_ready: dict[str, str] = {}
        self.shares: dict[str, list[int]] = {}
        """Per service, the share of calls that version 2 answered, each time that it was looked at."""
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(TICK):
            try:
                self.tick()
            except httpx.HTTPError:
                continue  # a conflict, or a server that ends

    def stop(self) -> None:
        self._end.set()
        self.join(10)

    def tick(self) -> None:
        live: Json
        for live in self.server.send("GET", self.path)["items"]:
            name = live["metadata"]["name"]
            live = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", **live}
            knative = live["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Knative"
            model = self.models.setdefault(name, Kserve(knative))
            model.never_ready = self.never_ready.get(name, "")
            model.live = live
            model.tick(LOADS // 3)
            status: Json = model.live.get("status") or {}
            if not status:
                continue  # nothing has come up yet
            # Of the Deployment below, not of the service: KServe's own habit, which nobody may rely on.
            settled = knative or (model.deployment or {}).get("status", {}).get("updatedReplicas") == 2
            status["observedGeneration"] = live["metadata"]["generation"] if settled else 0
            if status != live.get("status"):
                body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "status": status}
                self.server.merge(f"{self.path}/{name}/status", body)
            self.shares.setdefault(name, []).append(model.answers().get("2", 0))
