"""Cloud Run through Config Connector, and Lambda through ACK: services beside the cluster that scale to zero.

Speaks ``run.cnrm.cloud.google.com/v1beta1`` RunService and ``lambda.services.k8s.aws/v1alpha1`` Function, as their released
CRDs have them. Both run one container image, which brings the model with it; neither has accelerators here.
"""

from __future__ import annotations

import re

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, canonical_json, type_json
from ai_platform_mcp.manifests.common import (
    ENVIRONMENT_LABEL,
    MODEL_LABEL,
    TEAM_LABEL,
    VERSION_LABEL,
    Capabilities,
    Origin,
    compact,
    manifest,
    object_name,
)

RUN_API, RUN_KIND = "run.cnrm.cloud.google.com/v1beta1", "RunService"
LAMBDA_API, LAMBDA_KIND = "lambda.services.k8s.aws/v1alpha1", "Function"
REGION_ANNOTATION = "services.k8s.aws/region"
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
WHOLE = 100
"""Percentages of a RunService's traffic sum to this."""
SERVICE_NAME_LENGTH = 49
"""Longest name of a Cloud Run service, behind which revisions put theirs. Lambda takes 64 characters."""
LAMBDA_MOST_MIB = 10_240
LAMBDA_SECONDS = 60
"""How long a call may take. Lambda's own default of 3 s is over before most models are loaded."""
_RUN_CPUS = ((4096, 1), (8192, 2), (16_384, 4), (24_576, 6), (32_768, 8))
"""Memory up to which Cloud Run takes so many CPUs (https://cloud.google.com/run/docs/configuring/services/memory-limits)."""
_PINNED = r"^[^\s@]+@sha256:[0-9a-f]{64}$"
_ECR = re.compile(r"^\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/")


class Share(Value):
    """A part of the traffic for the new revision; ``stable`` keeps the rest. 0 leaves all of it there."""

    percent: int = Field(ge=0, lt=WHOLE)
    stable: str


class Container(Value):
    """What both run: a pinned image with so much memory, so many copies, in a place."""

    name: str
    namespace: str
    cloud_name: str
    """Its name in the cloud, which all clusters of a project or an account share."""
    location: str
    image: str = Field(pattern=_PINNED)
    memory_mib: int = Field(ge=128)
    max_instances: int = Field(ge=1)


class CloudRun(Container):
    """One RunService."""

    project: str
    service_account: str = ""
    min_instances: int = Field(default=0, ge=0)
    share: Share | None = None


class Lambda(Container):
    """One Function of package type Image. Each of its ``max_instances`` takes one request at a time."""

    role_arn: str


def cloud_name(cluster: str, namespace: str, model: str) -> str:
    """Return the name in the cloud: namespaces and clusters that share a project or an account do not share a service."""
    return object_name(namespace, model, seed=f"{cluster}/{namespace}/{model}", length=SERVICE_NAME_LENGTH)


def run_service(service: CloudRun, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a RunService.

    A revision is named by what it is made of, so that a change of traffic makes no new one, and a name never stands for two
    different ones, which Cloud Run refuses. Without a share the newest revision that is ready has all the traffic.

    Raises:
        CapabilityMissing: the kind is not served.
        InvalidInput: more memory than Cloud Run gives.
    """
    capabilities.require(RUN_API, RUN_KIND, remedy="install Config Connector")
    limits = {"cpu": str(_cpus(service.memory_mib)), "memory": f"{service.memory_mib}Mi"}
    template = compact(
        {
            "serviceAccountRef": {"external": service.service_account} if service.service_account else None,
            "scaling": {"minInstanceCount": service.min_instances, "maxInstanceCount": service.max_instances},
            "containers": [{"image": service.image, "resources": {"limits": limits}}],
        }
    )
    made_of = f"{origin.version} {canonical_json(template).decode()}"
    revision = object_name(service.cloud_name, f"v{origin.version}", seed=made_of)
    spec = {
        "projectRef": {"external": f"projects/{service.project}"},
        "location": service.location,
        "resourceID": service.cloud_name,
        "template": {"revision": revision, **template},
        "traffic": traffic(service.share),
    }
    return manifest(RUN_API, RUN_KIND, service.name, service.namespace, origin, {"spec": spec}, component="serverless")


def traffic(share: Share | None) -> list[type_json]:
    """Return ``spec.traffic``: all to the newest revision, or a share of it and the rest to the stable one."""
    if share is None:
        return [{"type": LATEST, "percent": WHOLE}]
    newest = [{"type": LATEST, "percent": share.percent}] if share.percent else []
    return [*newest, {"type": REVISION, "revision": share.stable, "percent": WHOLE - share.percent}]


def _cpus(memory_mib: int) -> int:
    found = next((cpus for most, cpus in _RUN_CPUS if memory_mib <= most), None)
    if found is None:
        raise InvalidInput(
            f"Cloud Run gives at most {_RUN_CPUS[-1][0]} MiB of memory, and {memory_mib} MiB are needed.",
            remedy="Use target=cloud, or a smaller model.",
        )
    return found


def function(service: Lambda, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a Function.

    Its concurrency is reserved: that is also the most that it takes of the account's. ``publish`` is left out: it publishes
    a version once, at creation, and an alias over versions would need the number that Lambda gives the next one.

    Raises:
        CapabilityMissing: the kind is not served.
        InvalidInput: more memory than Lambda gives, or an image that it cannot fetch.
    """
    capabilities.require(LAMBDA_API, LAMBDA_KIND, remedy="install ACK's Lambda controller")
    if service.memory_mib > LAMBDA_MOST_MIB:
        raise InvalidInput(
            f"Lambda gives at most {LAMBDA_MOST_MIB} MiB of memory, and {service.memory_mib} MiB are needed.",
            remedy="Use target=cloud, or a smaller model.",
        )
    found = _ECR.match(service.image)
    if not found or found[1] != service.location:
        raise InvalidInput(
            f"Lambda in {service.location} cannot fetch {service.image}.",
            cause="It takes images from an ECR repository in its own region only.",
            remedy=f"Copy the image to an ECR repository in {service.location}, and tag the version with it.",
        )
    tags = {
        MODEL_LABEL: origin.model,
        VERSION_LABEL: origin.version,
        TEAM_LABEL: origin.team,
        ENVIRONMENT_LABEL: origin.environment,
    }
    spec = {
        "name": service.cloud_name,
        "packageType": "Image",
        "code": {"imageURI": service.image},
        "role": service.role_arn,
        "memorySize": service.memory_mib,
        "timeout": LAMBDA_SECONDS,
        "reservedConcurrentExecutions": service.max_instances,
        "tags": {key: value for key, value in tags.items() if value},
    }
    return manifest(
        LAMBDA_API,
        LAMBDA_KIND,
        service.name,
        service.namespace,
        origin,
        {"spec": spec},
        component="serverless",
        extra_annotations={REGION_ANNOTATION: service.location},
    )
