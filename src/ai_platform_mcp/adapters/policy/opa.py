"""OPA over REST: the same question, the same bytes, the same distrust of the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx

from ai_platform_mcp.adapters.policy.bundle import Bundle, default_policy_dir, load_bundle
from ai_platform_mcp.adapters.policy.wire import MAX_BYTES, EngineFailure, decode, encode, judge
from ai_platform_mcp.core.codes import explain as explain_finding
from ai_platform_mcp.core.decision import Decision, PolicyInput
from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import PolicyInfo

PATH = "/v1/data/aiplatform/main/decision"


class OpaPolicy:
    """Judges plans by asking an OPA server that has the same bundle loaded.

    Only status 200 with a whole decision document counts as an answer. A connection that cannot be opened is tried once
    more; nothing else is, and redirects and proxies are not followed, since they would let another party judge.

    Args:
        url: base URL of the server, such as ``http://127.0.0.1:8181``.
        directory: the policies that OPA is expected to have; their revision must be the one that it answers with.
        token: bearer token where OPA runs with ``--authentication=token``.
        connect_seconds: time to open a connection.
        read_seconds: time to wait for each part of the answer; the whole call is bound by the sum of both, twice.
    """

    def __init__(
        self,
        url: str,
        directory: Path | None = None,
        *,
        token: str = "",
        connect_seconds: float = 1.0,
        read_seconds: float = 1.0,
    ) -> None:
        self._directory = directory
        self._deadline = 2 * (connect_seconds + read_seconds)
        self._bundle: Bundle | None = None
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            transport=httpx.AsyncHTTPTransport(retries=1, trust_env=False),
            follow_redirects=False,
            trust_env=False,
        )

    async def decide(self, question: PolicyInput) -> Decision:
        """Return the decision; whatever goes wrong on the way is a denial."""
        started = time.perf_counter_ns()
        payload = b""
        bundle: Bundle | None = None
        answer: object
        try:
            payload = encode(question)
            bundle = await self._expected()
            answer = await self._ask(payload)
        except EngineFailure as failure:
            answer = failure
        decision = judge(
            answer,
            revision=bundle.revision if bundle else "",
            expected=bundle.revision if bundle else None,
            engine="opa",
            bundle=bundle.digest if bundle else "",
            payload=payload,
        )
        return decision.model_copy(update={"duration_us": (time.perf_counter_ns() - started) // 1000})

    async def info(self) -> PolicyInfo:
        """Return the expected policies, and what is wrong with the server: its health, or another law than expected."""
        try:
            bundle = await self._expected()
        except EngineFailure as failure:
            return PolicyInfo(engine="opa", revision="", bundle_sha256="", problem=str(failure))
        problem = ""
        try:
            with anyio.fail_after(self._deadline):
                health = await self._client.get("/health", params={"bundles": "true"})
            if health.status_code != 200:
                problem = f"OPA's health check answers {health.status_code}."
            else:
                problem = await self._other_law(bundle.revision)
        except (httpx.HTTPError, TimeoutError) as error:
            problem = f"OPA cannot be reached: {type(error).__name__}."
        return PolicyInfo(engine="opa", revision=bundle.revision, bundle_sha256=bundle.digest, problem=problem)

    async def _other_law(self, expected: str) -> str:
        """Ask about nothing, which every law denies with its revision: OPA may serve other files than those here."""
        try:
            answer = await self._ask(b"{}")
        except EngineFailure as failure:
            return str(failure)
        found = answer.get("revision") if isinstance(answer, dict) else None
        if found == expected:
            return ""
        return (
            f"OPA serves revision {untrusted(str(found), 40)}; these policies are {expected}, so every plan is denied."
        )

    async def law(self) -> Mapping[str, str]:
        """Return the expected files by relative path; OPA answers with their revision or is not believed.

        Raises:
            Misconfigured: the local policies cannot be read.
        """
        try:
            return (await self._expected()).files
        except EngineFailure as failure:
            raise Misconfigured(str(failure), remedy="Name the folder of policies that OPA serves.") from failure

    def explain(self, code: str, details: Mapping[str, Any]) -> tuple[str, str]:
        """Return the sentence and the remedy for a violation code."""
        return explain_finding(code, details)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _expected(self) -> Bundle:
        if self._bundle is None:
            try:
                self._bundle = await anyio.to_thread.run_sync(
                    lambda: load_bundle(self._directory or default_policy_dir())
                )
            except Misconfigured as error:
                raise EngineFailure(error.message, code="policy_unavailable") from error
        return self._bundle

    async def _ask(self, payload: bytes) -> object:
        body = b'{"input":' + payload + b"}"
        try:
            with anyio.fail_after(self._deadline):
                status, text = await self._post(body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise EngineFailure(
                f"OPA gave no answer: {type(error).__name__}: {untrusted(str(error), 200)}", code="policy_unavailable"
            ) from error
        if status != 200:
            code = "policy_unavailable" if status in (429, 502, 503, 504) else "policy_error"
            raise EngineFailure(f"OPA answered with status {status}: {_shown(text)}", code=code)
        document = decode(text)
        if not isinstance(document, dict) or "result" not in document:
            # Status 200 without a result is how OPA says that the rule is undefined.
            raise EngineFailure("OPA has no decision for this question: the policies are not loaded there.")
        return document["result"]

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        params = {"strict-builtin-errors": "true"}
        async with self._client.stream("POST", PATH, content=body, params=params, headers=headers) as response:
            text = b""
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > MAX_BYTES:
                    raise EngineFailure("OPA's answer is too large.")
            return response.status_code, text


def _shown(text: bytes) -> str:
    return untrusted(text[:200].decode("utf-8", "replace"), 200)
