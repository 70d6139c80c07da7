"""ResourceQuota: what a namespace uses, and whether one more object fits."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TypeAlias

from ai_platform_mcp.sandbox.kube.objects import dig, meta, name_of, namespace_of, private
from ai_platform_mcp.sandbox.kube.quantity import parse, render
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.status import Json, forbidden
from ai_platform_mcp.sandbox.kube.storage import Storage

Usage: TypeAlias = dict[str, Fraction]

_COUNTED = {
    "pods",
    "services",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
    "resourcequotas",
}
_DONE = ("Succeeded", "Failed")


def usage_of(bucket: str, obj: Json) -> Usage:
    """What one object counts for, by every name under which a quota can limit it."""
    used: Usage = {f"count/{bucket}": Fraction(1)}
    if bucket in _COUNTED:
        used[bucket] = Fraction(1)
    if bucket == "pods" and dig(obj, "status", "phase") in _DONE:
        return {f"count/{bucket}": Fraction(1)}
    if bucket == "pods":
        for part in ("requests", "limits"):
            for name, amount in _pod_total(obj, part).items():
                used[f"{part}.{name}"] = amount
                if part == "requests" and name in ("cpu", "memory"):
                    used[name] = amount
    if bucket == "persistentvolumeclaims":
        size = dig(obj, "spec", "resources", "requests", "storage")
        used |= {"requests.storage": parse(size)} if size else {}
    return used


def _pod_total(pod: Json, part: str) -> Usage:
    """Sum over containers, or the largest init container where that is more."""
    total: Usage = {}
    for container in dig(pod, "spec", "containers", default=[]) or []:
        for name, amount in (dig(container, "resources", part) or {}).items():
            total[name] = total.get(name, Fraction(0)) + parse(amount)
    for container in dig(pod, "spec", "initContainers", default=[]) or []:
        for name, amount in (dig(container, "resources", part) or {}).items():
            total[name] = max(total.get(name, Fraction(0)), parse(amount))
    return total


def used(storage: Storage, namespace: str, names: Iterable[str]) -> Usage:
    """What all objects of a namespace use of the named resources."""
    wanted = set(names)
    total: Usage = dict.fromkeys(wanted, Fraction(0))
    for bucket_name, bucket in storage.buckets.items():
        if bucket_name not in ("pods", "persistentvolumeclaims") and not wanted & {bucket_name, f"count/{bucket_name}"}:
            continue
        for key in bucket.span(namespace):
            for name, amount in usage_of(bucket_name, bucket.objects[key]).items():
                if name in wanted:
                    total[name] += amount
    return total


def check(storage: Storage, resource: Resource, obj: Json) -> None:
    """Raises Forbidden when an object would exceed a quota of its namespace, or leaves out what one limits."""
    quotas = storage.bucket("resourcequotas")
    keys = quotas.span(namespace_of(obj)) if resource.namespaced else []
    asked = usage_of(resource.bucket, obj) if keys else {}
    for key in keys:
        quota = quotas.objects[key]
        hard: Json = dig(quota, "spec", "hard", default={}) or {}
        _must_specify(resource, obj, quota, hard)
        touched = {name: amount for name, amount in asked.items() if name in hard and amount}
        have = used(storage, key[0], touched)
        over = sorted(name for name in touched if have[name] + touched[name] > parse(hard[name]))
        if over:
            told = [
                ",".join(f"{name}={render(amounts[name])}" for name in over)
                for amounts in (touched, have, {name: parse(hard[name]) for name in over})
            ]
            why = f"exceeded quota: {key[1]}, requested: {told[0]}, used: {told[1]}, limited: {told[2]}"
            raise forbidden(resource, name_of(obj), why)


def _must_specify(resource: Resource, obj: Json, quota: Json, hard: Json) -> None:
    if resource.bucket != "pods":
        return
    for part, names in (("requests", ("cpu", "memory")), ("limits", ("cpu", "memory"))):
        for name in names:
            limited = f"{part}.{name}" in hard or (part == "requests" and name in hard)
            lacking = [
                entry["name"]
                for entry in dig(obj, "spec", "containers", default=[]) or []
                if name not in (dig(entry, "resources", part) or {})
            ]
            if limited and lacking:
                why = f"failed quota: {name_of(quota)}: must specify {part}.{name} for: {','.join(lacking)}"
                raise forbidden(resource, name_of(obj), why)


def refreshed(storage: Storage, quota: Json) -> Json:
    """A copy of a quota whose status tells today's use."""
    result = private(quota)
    hard: Json = dig(quota, "spec", "hard", default={}) or {}
    have = used(storage, meta(quota)["namespace"], hard)
    result["status"] = {"hard": dict(hard), "used": {name: render(have[name]) for name in hard}}
    return result
