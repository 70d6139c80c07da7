"""LiteLLM: deployments that cannot be reached, keys in clear, and what is left to defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import redact
from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import LITELLM, Subject
from ai_platform_mcp.domain.objects import rows, section

PROXY = (LITELLM,)
NO_KEYS = frozenset(("", "none", "null", "empty", "dummy", "not-needed", "fake-key", "no-key"))
OWN_HOST = ("localhost", "127.0.0.1", "::1")
OPENAI_LIKE = ("openai/", "text-completion-openai/", "hosted_vllm/")


def deployments(subject: Subject) -> Iterator[tuple[str, str, type_json]]:
    """Yield each deployment: the pointer of its parameters, its group, its parameters."""
    for place, entry in enumerate(rows(subject.data, "model_list")):
        yield f"/model_list/{place}/litellm_params", str(entry.get("model_name", "")), section(entry, "litellm_params")


@rule(
    "litellm.unreachable-base",
    "error",
    "api_base that leads nowhere",
    source="LiteLLM: api_base is a URL that the proxy itself calls",
    fix="suggested",
    kinds=PROXY,
)
def unreachable_base(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find bases without scheme, addresses to listen on, and the proxy's own host."""
    for path, group, params in deployments(subject):
        base = params.get("api_base")
        if not isinstance(base, str) or base.startswith("os.environ/"):
            continue
        host = urlsplit(base).hostname or ""
        if not re.match(r"https?://", base):
            message, severity = "has no scheme, and every call to it fails", "error"
        elif host in ("0.0.0.0", "::"):  # noqa: S104  # looked for, not listened on
            message, severity = "is an address to listen on, not one to call", "error"
        elif host in OWN_HOST:
            message, severity = "is the proxy's own host: inside of a pod nothing else answers there", "warning"
        else:
            continue
        yield Hit(
            path=f"{path}/api_base",
            message=f"The base of {group} {message}.",
            remedy="Write http(s)://service.namespace.svc:port/v1.",
            severity="error" if severity == "error" else "warning",
        )


@rule(
    "litellm.base-without-version",
    "warning",
    "api_base of an OpenAI-compatible server without its path",
    source="LiteLLM: the OpenAI client adds only /chat/completions; vLLM answers under /v1, KServe under /openai/v1",
    fix="suggested",
    kinds=PROXY,
)
def base_without_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find bases that end at the host."""
    for path, group, params in deployments(subject):
        base, model = params.get("api_base"), str(params.get("model", ""))
        if not isinstance(base, str) or not re.match(r"https?://", base) or not model.startswith(OPENAI_LIKE):
            continue
        if urlsplit(base).path in ("", "/"):
            yield Hit(
                path=f"{path}/api_base",
                message=f"Calls to {group} go to /chat/completions on that host; vLLM answers 404 there.",
                remedy=f"Write {redact(base).rstrip('/')}/v1 (vLLM), or …/openai/v1 (KServe's Hugging Face runtime).",
            )


@rule(
    "litellm.key-in-clear",
    "error",
    "key written into the configuration",
    source="LiteLLM: os.environ/NAME names a variable instead",
    fix="suggested",
    kinds=PROXY,
)
def key_in_clear(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find keys that stand in the text; they are never repeated."""
    places = [(f"{path}/api_key", params.get("api_key"), group) for path, group, params in deployments(subject)]
    general = section(subject.data, "general_settings")
    places += [(f"/general_settings/{key}", general.get(key), key) for key in ("master_key", "database_url")]
    for path, value, what in places:
        plain = isinstance(value, str) and not value.startswith("os.environ/") and value.lower() not in NO_KEYS
        if plain and not (path.endswith("database_url") and "@" not in str(value)):
            yield Hit(
                path=path,
                message=f"The key of {what} stands in the configuration in clear.",
                remedy="Write os.environ/NAME and give the proxy that variable from a Secret; change the key, for it was written "
                "down.",
            )


@rule(
    "litellm.no-timeout",
    "warning",
    "deployment without time-out",
    source="LiteLLM Router: timeout defaults to 600 s",
    fix="suggested",
    kinds=PROXY,
)
def no_timeout(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find deployments that a hanging server would hold for minutes."""
    overall = section(subject.data, "router_settings").get("timeout") or section(subject.data, "litellm_settings").get(
        "request_timeout"
    )
    for path, group, params in deployments(subject):
        if not overall and params.get("timeout") is None:
            yield Hit(
                path=path,
                message=f"A hanging server of {group} holds each request for the default of ten minutes before any fallback.",
                remedy="Write litellm_params.timeout (seconds), or router_settings.timeout for all.",
            )


@rule(
    "litellm.no-retries",
    "info",
    "retries left to the release's default",
    source="LiteLLM Router: num_retries",
    fix="suggested",
    kinds=PROXY,
)
def no_retries(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find configurations that do not say how often a dead server is asked before the fallback."""
    router, proxy = section(subject.data, "router_settings"), section(subject.data, "litellm_settings")
    if "num_retries" not in router and "num_retries" not in proxy:
        yield Hit(
            path="/router_settings" if router else "",
            message="How often a dead server is asked before the fallback is left to the release's default.",
            remedy="Write router_settings.num_retries; 0 where a fallback group stands ready.",
        )


@rule(
    "litellm.model-tier",
    "error",
    "model_info.tier other than free or paid",
    source="measured on LiteLLM 1.106.2: the proxy starts, logs it, and leaves the deployment out",
    fix="certain",
    kinds=PROXY,
)
def model_tier(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find deployments that the proxy drops because of a field that it reads as its own."""
    for place, entry in enumerate(rows(subject.data, "model_list")):
        tier = section(entry, "model_info").get("tier")
        if tier is not None and tier not in ("free", "paid"):
            path = f"/model_list/{place}/model_info/tier"
            yield Hit(
                path=path,
                message=f"tier is LiteLLM's own and takes free or paid: {entry.get('model_name', '')} is left out when the "
                "proxy starts.",
                remedy="Call your own field otherwise, such as placement.",
                edits=(Edit(op="rename", path=path, to="placement"),),
                certain="placement" not in section(entry, "model_info"),
            )
