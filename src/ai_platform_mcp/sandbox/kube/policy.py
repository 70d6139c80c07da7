"""ValidatingAdmissionPolicy: CEL expressions that judge a request.

Evaluated with the `cel` library (CEL proper: macros, strings, maps). Kubernetes' own CEL additions (quantities, URLs,
`authorizer`, optional fields with `.?`) are not there: an expression that uses one errors, and the policy's failurePolicy
decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ai_platform_mcp.sandbox.kube.objects import dig, labels_of, name_of, namespace_of
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.selectors import matches_selector
from ai_platform_mcp.sandbox.kube.status import Json

if TYPE_CHECKING:
    from ai_platform_mcp.sandbox.kube.engine import Engine

_POLICIES = "validatingadmissionpolicies.admissionregistration.k8s.io"
_BINDINGS = "validatingadmissionpolicybindings.admissionregistration.k8s.io"


@dataclass(frozen=True)
class Request:
    """What is asked for: `old` None creates, `new` None deletes."""

    resource: Resource
    old: Json | None
    new: Json | None
    user: str
    groups: tuple[str, ...]
    dry_run: bool
    subresource: str

    @property
    def operation(self) -> str:
        """CREATE, UPDATE or DELETE."""
        if self.new is None:
            return "DELETE"
        return "UPDATE" if self.old is not None else "CREATE"


@dataclass(frozen=True)
class Finding:
    """One failed validation."""

    policy: str
    binding: str
    message: str
    reason: str
    actions: tuple[str, ...]


def findings(engine: Engine, request: Request) -> Iterator[Finding]:
    """Every failed validation of every bound policy that matches the request."""
    policies = engine.storage.bucket(_POLICIES).objects
    for key, binding in list(engine.storage.bucket(_BINDINGS).objects.items()):
        policy = policies.get(("", dig(binding, "spec", "policyName", default="")))
        if policy is None or not _in_scope(engine, request, policy, binding):
            continue
        actions = tuple(dig(binding, "spec", "validationActions", default=["Deny"]))
        for params in _params(engine, request, policy, binding):
            for message, reason in _failures(request, policy, params, engine):
                yield Finding(name_of(policy), key[1], message, reason, actions)


def _in_scope(engine: Engine, request: Request, policy: Json, binding: Json) -> bool:
    constraints = dig(policy, "spec", "matchConstraints", default={}) or {}
    narrowed = dig(binding, "spec", "matchResources", default={}) or {}
    rules = constraints.get("resourceRules") or []
    if not any(_rule(entry, request) for entry in rules):
        return False
    if narrowed.get("resourceRules") and not any(_rule(entry, request) for entry in narrowed["resourceRules"]):
        return False
    excluded = (constraints.get("excludeResourceRules") or []) + (narrowed.get("excludeResourceRules") or [])
    if any(_rule(entry, request) for entry in excluded):
        return False
    return all(_selected(engine, request, block) for block in (constraints, narrowed))


def _rule(rule: Json, request: Request) -> bool:
    resource = request.resource
    name = f"{resource.plural}/{request.subresource}" if request.subresource else resource.plural

    def has(field: str, value: str) -> bool:
        return "*" in rule.get(field, ["*"]) or value in rule.get(field, ["*"])

    names = rule.get("resourceNames") or []
    return (
        has("apiGroups", resource.group)
        and has("apiVersions", resource.version)
        and (has("resources", name) or "*/*" in rule.get("resources", ()))
        and has("operations", request.operation)
        and (not names or name_of(request.new or request.old or {}) in names)
    )


def _selected(engine: Engine, request: Request, block: Json) -> bool:
    obj = request.new or request.old or {}
    if "objectSelector" in block and not matches_selector(block["objectSelector"], labels_of(obj)):
        return False
    if "namespaceSelector" in block and request.resource.namespaced:
        return matches_selector(block["namespaceSelector"], labels_of(_namespace(engine, request) or {}))
    return True


def _namespace(engine: Engine, request: Request) -> Json | None:
    where = namespace_of(request.new or request.old or {})
    return engine.storage.bucket("namespaces").objects.get(("", where)) if where else None


def _params(engine: Engine, request: Request, policy: Json, binding: Json) -> Iterable[Json | None]:
    """The parameter objects a binding names; one None where the policy takes none."""
    kind = dig(policy, "spec", "paramKind")
    reference = dig(binding, "spec", "paramRef")
    if not kind or not reference:
        return [None]
    resource = engine.registry.kind(kind["apiVersion"], kind["kind"])
    namespace = reference.get("namespace") or namespace_of(request.new or request.old or {})
    bucket = engine.storage.bucket(resource.bucket)
    found = [bucket.objects[key] for key in bucket.span(namespace if resource.namespaced else None)]
    if reference.get("name"):
        found = [obj for obj in found if name_of(obj) == reference["name"]]
    elif "selector" in reference:
        found = [obj for obj in found if matches_selector(reference["selector"], labels_of(obj))]
    if found or reference.get("parameterNotFoundAction") == "Allow":
        return found
    return [None]


def _failures(request: Request, policy: Json, params: Json | None, engine: Engine) -> Iterator[tuple[str, str]]:
    """Message and reason of each validation that does not hold; an error counts unless failurePolicy is Ignore."""
    ignore = dig(policy, "spec", "failurePolicy") == "Ignore"
    try:
        context = _context(request, policy, params, engine)
        conditions = dig(policy, "spec", "matchConditions", default=[]) or []
        if not all(_evaluate(entry["expression"], context) is True for entry in conditions):
            return
    except Exception as failure:  # whatever an expression runs into is the policy's failure, not ours
        if not ignore:
            yield f"expression resulted in error: {failure}", "Invalid"
        return
    for rule in dig(policy, "spec", "validations", default=[]) or []:
        try:
            holds = _evaluate(rule["expression"], context) is True
            message = "" if holds else _message(rule, context)
        except Exception as failure:
            holds, message = ignore, f"expression '{rule['expression']}' resulted in error: {failure}"
        if not holds:
            yield message, rule.get("reason", "Invalid")


def _message(rule: Json, context: Any) -> str:
    if "messageExpression" in rule:
        return str(_evaluate(rule["messageExpression"], context))
    return str(rule.get("message") or f"failed expression: {rule['expression']}")


def _evaluate(expression: str, context: Any) -> Any:
    import cel

    return cel.evaluate(expression, context)


def _context(request: Request, policy: Json, params: Json | None, engine: Engine) -> Any:
    import cel

    resource = request.resource
    names = {"group": resource.group, "version": resource.version}
    obj = request.new or request.old or {}
    context: Any = cel.Context()
    asked: Json = {
        "operation": request.operation,
        "name": name_of(obj),
        "namespace": namespace_of(obj),
        "subResource": request.subresource,
        "kind": names | {"kind": resource.kind},
        "resource": names | {"resource": resource.plural},
        "userInfo": {"username": request.user, "groups": list(request.groups)},
        "dryRun": request.dry_run,
    }
    facts = {"object": request.new, "oldObject": request.old, "request": asked, "params": params}
    for name, value in (facts | {"namespaceObject": _namespace(engine, request), "variables": {}}).items():
        context.add_variable(name, value)
    variables: Json = {}
    for entry in dig(policy, "spec", "variables", default=[]) or []:
        variables[entry["name"]] = _evaluate(entry["expression"], context)
        context.add_variable("variables", variables)
    return context
