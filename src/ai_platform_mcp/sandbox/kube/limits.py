"""What this API server leaves out, said plainly. Everything else that a client can see is meant to be as on the real one.

Protocols
- Protobuf is read only for the bodies kubectl insists on (`protobuf`), and never written; CBOR is neither.
- exec, attach, port-forward, proxy, ephemeral containers, `pods/resize`; `log` takes `container` and `tailLines` only.
- The old `/watch/` paths, HTTP/2, audit, API priority and fairness, `Retry-After` on overload.
- Duplicate keys in a body are not noticed (strict decoding names unknown fields only).

Extension
- Admission webhooks, MutatingAdmissionPolicy, aggregated API servers, conversion webhooks of a user's own CRDs.
- CEL is the plain language: of Kubernetes' additions (quantities, URLs, `authorizer`, `.?`) an expression gets an error,
  which failurePolicy judges; a rule of a CRD (`x-kubernetes-validations`) that needs them counts as broken.
- OpenAPI carries structure without descriptions; v2 has no paths.

Admission
- LimitRange, PriorityClass resolution, ServiceAccount volumes, PodSecurity, taints by condition, scoped quotas.
- Nobody stops a user from granting more than they have (RBAC escalation), or from binding such a role.

Behaviour
- Deletion is prompt: a pod is gone when the call returns (no grace period), and so are a namespace's content and an owner's
  dependents. The order of events is the real one.
- Built-in kinds have the defaults and checks that clients meet (`defaults`, `strategy`), not all of the real thousands.
- Watches keep the last 10,000 changes of a kind, none across a restart: older versions get 410 Expired.
- Server-side apply keeps ownership per served version without converting field paths between versions; apply does not
  migrate the ownership of client-side apply.
- ServiceAccount tokens are not bound to pods. Service addresses are derived, not allocated.
- Events do not expire. Leases are plain objects. Node and ServiceAccount controllers: `default` accounts only.
"""
