"""What may say no to a valid object: a namespace on its way out, a quota, a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ai_platform_mcp.sandbox.kube import policy, quota
from ai_platform_mcp.sandbox.kube.objects import dig, meta
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, cause, forbidden, not_found

if TYPE_CHECKING:
    from ai_platform_mcp.sandbox.kube.engine import Engine, Write


def check_namespace(engine: Engine, resource: Resource, namespace: str) -> None:
    """NamespaceLifecycle: nothing new in a namespace that is missing (404) or being terminated (403)."""
    if not resource.namespaced:
        return
    found = engine.storage.bucket("namespaces").objects.get(("", namespace))
    if found is None:
        raise not_found(engine.registry.kind("v1", "Namespace"), namespace)
    if meta(found).get("deletionTimestamp"):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        refusal = forbidden(resource, "", why)
        refusal.details["causes"] = [
            cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
        ]
        raise refusal


def check_quota(engine: Engine, resource: Resource, obj: Json) -> None:
    """ResourceQuota: refuse what would exceed any quota of its namespace."""
    quota.check(engine.storage, resource, obj)


def check_policies(engine: Engine, resource: Resource, old: Json | None, new: Json | None, write: Write) -> None:
    """ValidatingAdmissionPolicy: every bound policy that matches is asked; a denial raises, a warning is kept."""
    bindings = engine.storage.bucket("validatingadmissionpolicybindings.admissionregistration.k8s.io").objects
    if not bindings or resource.group == "admissionregistration.k8s.io":
        return
    request = policy.Request(resource, old, new, write.user, tuple(write.groups), write.dry_run, write.subresource)
    for finding in policy.findings(engine, request):
        if "Warn" in finding.actions:
            text = (
                f"Validation failed for ValidatingAdmissionPolicy '{finding.policy}' with binding '{finding.binding}'"
            )
            write.warnings.append(f"{text}: {finding.message}")
        if "Deny" in finding.actions:
            raise _denied(resource, dig(new or old, "metadata", "name", default=""), finding)


_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


def _denied(resource: Resource, name: str, finding: policy.Finding) -> ApiError:
    text = f"ValidatingAdmissionPolicy '{finding.policy}' with binding '{finding.binding}' denied request: {finding.message}"
    refusal = forbidden(resource, name, text)
    refusal.reason, refusal.code = finding.reason, _CODES.get(finding.reason, 422)
    refusal.details["causes"] = [{"message": text}]
    return refusal
