"""Over HTTP: who may connect, from where, and as whom."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support import warm
from support.serving import META, MODERN, Http, http_server
from support.world import World

AUDIENCE = "https://platform.example/mcp"
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": MODERN,
}


class Issuer:
    """An issuer of tokens that publishes its keys on loopback."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        keys = {"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key())) | {"kid": "k1"}]}
        body = json.dumps(keys).encode()

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def token(self, subject: str = "ada", *, key: Any = None, **claims: Any) -> str:
        body: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "exp": int(time.time()) + 600,
            "scope": "platform",
            "squad": "vision",
            "duties": ["developer"],
        }
        return jwt.encode(body | claims, key or self._key, algorithm="RS256", headers={"kid": "k1"})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    opened = Issuer()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def guarded(world: World, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    auth = {
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "jwks_url": issuer.url,
        "resource_url": AUDIENCE,
        "required_scopes": ["platform"],
        "team_claim": "squad",
        "roles_claim": "duties",
    }
    shared = {"shared_service_account": True}  # what it merges is not what is tried here
    file = world.platform_file(tmp_path_factory.mktemp("guarded"), http={"auth": auth}, access=shared)
    with http_server(file) as server:
        yield server


def post(server: Http, method: str, token: str = "", headers: dict[str, str] | None = None, **params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    more = {"Authorization": f"Bearer {token}"} if token else {}
    named = {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
    return httpx.post(
        server.url, json=body, headers=HEADERS | named | more | (headers or {}), timeout=60, trust_env=False
    )


def result(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/json"):
        return answer.json()["result"]
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return json.loads(lines[-1])["result"]


def test_a_foreign_host_and_a_foreign_origin_are_refused(http: Http):
    assert post(http, "tools/list").status_code == 200
    assert post(http, "tools/list", headers={"Host": "evil.example"}).status_code == 421
    assert post(http, "tools/list", headers={"Origin": "https://evil.example"}).status_code == 403
    assert post(http, "tools/list", headers={"Origin": http.base}).status_code == 200


def test_the_health_of_the_server_is_open_to_everybody(guarded: Http):
    answer = httpx.get(f"{guarded.base}/healthz", trust_env=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_an_address_that_strangers_reach_is_refused_without_authentication(platform_file: Path, address: str):
    done = subprocess.run(
        warm.command("serve", "--config", str(platform_file), "--http", address),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0 and "without authentication" in done.stderr and done.stdout == ""


def test_only_a_valid_token_of_this_issuer_for_this_audience_comes_in(guarded: Http, issuer: Issuer):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for token in (
        "",
        "nonsense",
        issuer.token(key=stranger),
        issuer.token(aud="https://other.example"),
        issuer.token(iss="https://other.example"),
        issuer.token(exp=int(time.time()) - 60),
        jwt.encode({"iss": issuer.url, "aud": AUDIENCE, "sub": "ada"}, "", algorithm="none"),
    ):
        answer = post(guarded, "tools/list", token)
        assert answer.status_code == 401, token
        assert "resource_metadata" in answer.headers["www-authenticate"]
    assert post(guarded, "tools/list", issuer.token(scope="other")).status_code == 403
    assert result(post(guarded, "tools/list", issuer.token()))["tools"]


def test_the_principal_and_its_rights_come_from_the_token(guarded: Http, issuer: Issuer, world: World):
    model = world.model()
    arguments = {"model": model, "version": "2", "alias": "challenger", "mode": "apply"}
    refused = result(post(guarded, "tools/call", issuer.token(duties=[]), name="promote_model", arguments=arguments))
    assert refused["structuredContent"]["code"] == "denied"
    other = result(post(guarded, "tools/call", issuer.token(squad="nlp"), name="promote_model", arguments=arguments))
    assert other["structuredContent"]["code"] == "denied"
    assert world.alias(model, "challenger") is None
    done = result(post(guarded, "tools/call", issuer.token(), name="promote_model", arguments=arguments))
    assert done["structuredContent"]["status"] == "applied", done
    assert world.alias(model, "challenger") == "2"


def test_an_approver_settles_an_approval_with_their_own_login(guarded: Http, issuer: Issuer, world: World):
    model = world.model(aliases={"champion": "1"})
    arguments = {"model": model, "version": "2", "alias": "champion", "mode": "apply"}

    def ask() -> dict[str, Any]:
        answer = post(guarded, "tools/call", issuer.token(), name="promote_model", arguments=arguments)
        return result(answer)["structuredContent"]

    waiting = ask()
    assert waiting["status"] == "awaiting_approval"
    url = f"{guarded.base}/approvals/{waiting['approval']['approval_id']}"

    def settle(token: str, body: Any = None, where: str = url) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(where, json=body or {"approve": True}, headers=headers, trust_env=False).status_code

    approver = {"subject": "bob", "duties": ["platform-approver"]}
    assert settle("") == 401
    assert settle("nonsense") == 401
    assert settle(issuer.token(**approver, scope="other")) == 403
    assert settle(issuer.token()) == 403
    assert settle(issuer.token("eve", duties=["developer"])) == 403
    assert settle(issuer.token(**approver), {"approve": "perhaps"}) == 422
    assert settle(issuer.token(**approver), {"approve": True, "comment": "x" * 20_000}) == 422
    assert settle(issuer.token(**approver), where=f"{guarded.base}/approvals/approval-none") == 404
    assert ask()["status"] == "awaiting_approval" and world.alias(model, "champion") == "1"
    assert settle(issuer.token(**approver)) == 200
    assert ask()["status"] == "applied"
    assert world.alias(model, "champion") == "2"
