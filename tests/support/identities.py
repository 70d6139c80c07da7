"""Callers, rights and service accounts for tests of identity."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ai_platform_mcp.core.principal import Credential, Principal
from ai_platform_mcp.core.tool import Caller
from kubernetes_servers import Server

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
ISSUER = "https://login.example.org"
API_AUDIENCE = "https://kubernetes.default.svc"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "identity.md"
CALLER_ROLE = "ai-platform-mcp-caller"


def caller(name: str, team: str, *, token: str = "", **more: Any) -> Caller:
    """Somebody who came in over HTTP."""
    who = Principal(
        id=f"{ISSUER}#{name}",
        issuer=ISSUER,
        kind="human",
        team=team,
        **{"roles": ("developer",), "auth_method": "oidc", **more},
    )
    return Caller(who, f"req-{name}", Credential(token) if token else None)


def rule(groups: str, resources: str, verbs: str) -> dict[str, Any]:
    return {"apiGroups": [groups], "resources": resources.split(), "verbs": verbs.split()}


def grant(server: Server, namespace: str, subject: dict[str, Any], *rules: dict[str, Any]) -> None:
    """Bind the rules to a subject, in a namespace or (empty) in the whole cluster, replacing what it was granted there."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{subject['name']}".lower())
    base = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
    kind = "" if namespace else "Cluster"
    where = {"namespace": namespace} if namespace else {}
    meta = {"name": f"t-{name}", **where}
    role = {"apiVersion": f"{GROUP}/v1", "kind": f"{kind}Role", "metadata": meta, "rules": list(rules)}
    binding = {
        "apiVersion": f"{GROUP}/v1",
        "kind": f"{kind}RoleBinding",
        "metadata": meta,
        "subjects": [subject],
        "roleRef": {"apiGroup": GROUP, "kind": f"{kind}Role", "name": meta["name"]},
    }
    server.apply(f"{base}/{kind.lower()}roles/{meta['name']}", role, manager="test")
    server.apply(f"{base}/{kind.lower()}rolebindings/{meta['name']}", binding, manager="test")


def group(name: str) -> dict[str, Any]:
    return {"kind": "Group", "apiGroup": GROUP, "name": name}


def account(server: Server, namespace: str, name: str, audiences: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    """A service account: its subject and a token for it."""
    base = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    server.post(base, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    spec = {"expirationSeconds": 600, **({"audiences": list(audiences)} if audiences else {})}
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    token = server.post(f"{base}/{name}/token", asked)["status"]["token"]
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}, token


def documented_roles() -> list[dict[str, Any]]:
    """The ClusterRoles of docs/identity.md that the server's own account needs."""
    return [row for row in _documented() if row["metadata"]["name"] != CALLER_ROLE]


def documented_caller_role() -> dict[str, Any]:
    """The ClusterRole of docs/identity.md that every caller needs."""
    return next(row for row in _documented() if row["metadata"]["name"] == CALLER_ROLE)


def _documented() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.S)
    found = [row for block in blocks if "ClusterRole" in block for row in yaml.safe_load_all(block)]
    assert [row["kind"] for row in found] == ["ClusterRole"] * 3
    return found


def kubeconfig(server: Server, path: Path, **user: Any) -> Path:
    """The server's kubeconfig with another user; with nothing, one without credentials."""
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(config))
    return path


def admin_token(server: Server) -> str:
    return yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]["token"]
