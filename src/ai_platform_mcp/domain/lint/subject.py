"""One object as rules see it: where it is, what it is, and the pods and containers inside of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import escape_pointer, rows, section

LITELLM = "litellm/Proxy"
RULE_FILE = "prometheus/Rules"


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer of the parts."""
    return "".join(f"/{escape_pointer(str(part))}" for part in parts)


@dataclass(frozen=True)
class Container:
    """A container, or what a controller makes one of (a predictor's model, a TrainJob's trainer)."""

    path: str
    data: type_json

    @property
    def resources_key(self) -> str:
        """The key its resources stand under."""
        return "resourcesPerNode" if "resourcesPerNode" in self.data else "resources"

    @property
    def requests(self) -> type_json:
        """What it requests."""
        return section(self.data, self.resources_key, "requests")

    @property
    def limits(self) -> type_json:
        """What it may take."""
        return section(self.data, self.resources_key, "limits")


@dataclass(frozen=True)
class Pod:
    """A PodSpec, and the metadata of its template (empty where it has none)."""

    path: str
    spec: type_json
    metadata: type_json
    metadata_path: str

    def containers(self) -> Iterator[Container]:
        """Yield its containers, initialising ones included."""
        for key in ("initContainers", "containers"):
            for place, data in enumerate(rows(self.spec, key)):
                yield Container(f"{self.path}/{key}/{place}", data)


@dataclass(frozen=True)
class Subject:
    """One object of a document. ``prefix`` leads to it; it is not ``editable`` where it is a text inside of another object."""

    data: type_json
    prefix: str = ""
    editable: bool = True
    form: str = ""
    """``litellm/Proxy`` or ``prometheus/Rules`` for documents that are no Kubernetes objects."""
    host: str = ""
    """The name of the object that carries it, where it is a text inside of one."""

    @cached_property
    def api_version(self) -> str:
        """The apiVersion."""
        return str(self.data.get("apiVersion", ""))

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The API version."""
        return self.api_version.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """The kind, or what the document is."""
        return {LITELLM: "LiteLLM configuration", RULE_FILE: "Prometheus rules"}.get(
            self.form, str(self.data.get("kind", ""))
        )

    @property
    def group_kind(self) -> str:
        """What rules are registered for."""
        return self.form or f"{self.group}/{self.kind}"

    @property
    def name(self) -> str:
        """The object's name, with its namespace where it has one."""
        name = str(self.metadata.get("name") or self.metadata.get("generateName") or self.host)
        namespace = self.metadata.get("namespace")
        return f"{namespace}/{name}" if namespace else name

    @property
    def metadata(self) -> type_json:
        """The object's metadata."""
        return section(self.data, "metadata")

    @property
    def labels(self) -> type_json:
        """The object's labels."""
        return section(self.metadata, "labels")

    @property
    def annotations(self) -> type_json:
        """The object's annotations."""
        return section(self.metadata, "annotations")

    @property
    def spec(self) -> type_json:
        """The object's spec."""
        return section(self.data, "spec")

    @cached_property
    def objects(self) -> tuple[tuple[str, type_json], ...]:
        """Every JSON object inside, with its pointer, outermost first; what is mere data or schema is not looked into."""
        return tuple(_walk(self.data, ""))

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Every PodSpec inside: an object that lists containers."""
        found: list[Pod] = []
        for path, data in self.objects:
            if rows(data, "containers"):
                above = path.rpartition("/")[0]
                around = dict(self.objects).get(above, {}) if path else {}
                found.append(Pod(path, data, section(around, "metadata"), f"{above}/metadata"))
        return tuple(found)

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """Every container inside, and every object that a controller makes one of."""
        inside = [container for pod in self.pods for container in pod.containers()]
        known = {container.path for container in inside}
        extra = [
            Container(path, data) for path, data in self.objects if path and path not in known and _like_container(data)
        ]
        return (*inside, *extra)


def _like_container(data: type_json) -> bool:
    if isinstance(data.get("image"), str) and "reference" not in data:
        return True
    return "modelFormat" in data and ("storageUri" in data or "resources" in data or "env" in data)


_OPAQUE = frozenset({"openAPIV3Schema", "managedFields", "data", "stringData", "binaryData", "status"})


def _walk(value: Any, path: str) -> Iterator[tuple[str, type_json]]:
    if isinstance(value, dict):
        data = cast(type_json, value)
        yield path, data
        for key, inner in data.items():
            if key not in _OPAQUE:
                yield from _walk(inner, f"{path}/{escape_pointer(str(key))}")
    elif isinstance(value, list):
        for place, inner in enumerate(cast("list[Any]", value)):
            yield from _walk(inner, f"{path}/{place}")
