"""``x-kubernetes-validations``: the rules in CEL that a schema states beside its types.

A rule that names ``oldSelf`` judges changes only; others judge what a write changes (a real server ratchets: what was taken once
stays). Evaluated with the ``cel`` library, so without Kubernetes' own CEL additions. Rules below a list that is no map are judged
without ``oldSelf``, as on a real server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from ai_platform_mcp.sandbox.kube.objects import name_of
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.schema import resolve
from ai_platform_mcp.sandbox.kube.status import Json, cause, invalid

RULES = "x-kubernetes-validations"
_OLD = re.compile(r"\boldSelf\b")


def check_rules(resource: Resource, schema: Json, old: Json | None, new: Json) -> None:
    """Raise Invalid with a cause for each rule of the schema that the object breaks."""
    causes = list(_broken(new, old, schema, ""))
    if causes:
        raise invalid(resource, name_of(new), causes)


def _broken(value: Any, old: Any, node: Json, path: str) -> Iterator[Json]:
    rules = cast("list[Json]", node.get(RULES) or [])
    alone, beside = (_context(value, None), _context(value, old)) if rules else (None, None)
    for rule in rules:
        changes = bool(_OLD.search(rule["rule"]))
        judged = old is not None if changes else old is None or old != value
        if judged and not _holds(rule["rule"], beside if changes else alone):
            text = rule.get("message") or f"failed rule: {rule['rule']}"
            kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else str(value)
            yield cause("FieldValueInvalid", f'Invalid value: "{kind}": {text}', path or "<nil>")
    if isinstance(value, dict):
        found = cast("Json", value)
        before = cast("Json", old) if isinstance(old, dict) else {}
        for key, child in cast("dict[str, Json]", node.get("properties") or {}).items():
            if key in found and _ruled(child):
                yield from _broken(found[key], before.get(key), resolve(child), f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and node.get("items") and _ruled(node["items"]):
        for place, item in enumerate(cast("list[Any]", value)):
            yield from _broken(item, None, resolve(node["items"]), f"{path}[{place}]")


@lru_cache(maxsize=512)
def _program(rule: str) -> Any:
    import cel

    return cel.compile(rule)


def _context(value: Any, old: Any) -> Any:
    import cel

    context: Any = cel.Context()
    context.add_variable("self", value)
    if old is not None:
        context.add_variable("oldSelf", old)
    return context


_RULED: dict[int, tuple[Json, bool]] = {}
"""By identity of a part of a schema, with that part: whether there is a rule in it."""


def _ruled(raw: Json) -> bool:
    """Whether a part of a schema states a rule anywhere: lists of hundreds of names need not be walked through for none."""
    known = _RULED.get(id(raw))
    if known is not None and known[0] is raw:
        return known[1]
    _RULED[id(raw)] = raw, False  # a part that contains itself
    node = resolve(raw)
    parts = [*cast("dict[str, Json]", node.get("properties") or {}).values(), node.get("items")]
    found = bool(node.get(RULES)) or any(_ruled(cast("Json", part)) for part in parts if isinstance(part, dict))
    _RULED[id(raw)] = raw, found
    return found


def _holds(rule: str, context: Any) -> bool:
    try:
        return _program(rule).execute(context) is True
    except Exception:  # a rule that cannot be evaluated is broken, as on a real server
        return False
