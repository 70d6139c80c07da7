"""RunService and Function as far as we speak them: the fields of the released CRDs that we write or read, in our own words.

Read from k8s-config-connector's and ACK's lambda-controller's released CRDs. Strict: a field that is not here is unknown.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
WHOLE: Json = {"type": "integer"}
TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string"}}


def thing(*required: str, **fields: Json) -> Json:
    return {"type": "object", "properties": fields, **({"required": list(required)} if required else {})}


def many(of: Json) -> Json:
    return {"type": "array", "items": of}


REFERENCE = thing(external=TEXT, name=TEXT, namespace=TEXT) | {
    "oneOf": [
        {"required": ["name"], "not": {"required": ["external"]}},
        {"required": ["external"], "not": {"anyOf": [{"required": ["name"]}, {"required": ["namespace"]}]}},
    ]
}
CONDITIONS = many(thing("type", "status", type=TEXT, status=TEXT, reason=TEXT, message=TEXT, lastTransitionTime=TEXT))

CLOUD_RUN = thing(
    "spec",
    spec=thing(
        "location",
        "projectRef",
        "template",
        ingress=TEXT,
        location=TEXT,
        projectRef=REFERENCE,
        resourceID=TEXT,
        template=thing(
            containers=many(
                thing("image", image=TEXT, resources=thing(limits=TEXTS, cpuIdle={"type": "boolean"}), name=TEXT)
            ),
            revision=TEXT,
            scaling=thing(maxInstanceCount=WHOLE, minInstanceCount=WHOLE),
            serviceAccountRef=REFERENCE,
            timeout=TEXT,
        ),
        traffic=many(thing(percent=WHOLE, revision=TEXT, tag=TEXT, type=TEXT)),
    ),
    status=thing(
        conditions=CONDITIONS,
        latestCreatedRevision=TEXT,
        latestReadyRevision=TEXT,
        observedGeneration=WHOLE,
        terminalCondition=thing(type=TEXT, state=TEXT, message=TEXT, reason=TEXT),
        uri=TEXT,
    ),
)

LAMBDA = thing(
    spec=thing(
        "code",
        "name",
        architectures=many(TEXT),
        code=thing(imageURI=TEXT, s3Bucket=TEXT, s3Key=TEXT),
        memorySize={"type": "integer", "format": "int64"},
        name=TEXT,
        packageType=TEXT,
        publish={"type": "boolean"},
        reservedConcurrentExecutions={"type": "integer", "format": "int64"},
        role=TEXT,
        tags=TEXTS,
        timeout={"type": "integer", "format": "int64"},
    ),
    status=thing(
        ackResourceMetadata=thing("ownerAccountID", "region", arn=TEXT, ownerAccountID=TEXT, region=TEXT),
        codeSHA256=TEXT,
        conditions=CONDITIONS,
        lastUpdateStatus=TEXT,
        lastUpdateStatusReason=TEXT,
        state=TEXT,
        stateReason=TEXT,
    ),
)


def definition(group: str, version: str, kind: str, schema: Json) -> Json:
    """Return a CustomResourceDefinition."""
    plural = f"{kind.lower()}s"
    whole = {**schema, "properties": {**schema["properties"], "apiVersion": TEXT, "kind": TEXT, "metadata": thing()}}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [{**served, "subresources": {"status": {}}}],
        },
    }


def strictly(schema: Json) -> Json:
    """Return the schema as a judge of whole objects: with their type and metadata, which the server itself knows."""
    return {**schema, "properties": {**schema["properties"], "apiVersion": TEXT, "kind": TEXT}}


RUN_DEFINITION = definition("run.cnrm.cloud.google.com", "v1beta1", "RunService", CLOUD_RUN)
LAMBDA_DEFINITION = definition("lambda.services.k8s.aws", "v1alpha1", "Function", LAMBDA)
