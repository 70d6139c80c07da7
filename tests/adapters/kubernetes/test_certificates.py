"""Certificates and tokens of either side that are too old, too young, unknown or rotated, before both servers."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from ai_platform_mcp.adapters.kubernetes import connection as connections
from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.core.errors import Forbidden, Misconfigured, Unavailable
from ai_platform_mcp.core.plan import Submit
from ai_platform_mcp.core.rows import ClusterInfo
from kubernetes_servers import write_config
from support.certificates import HOUR, Authority, Leaf, serving
from support.front import Front, front, user_of
from support.gateway import gateway

from .conftest import Cluster, WallClock, config_for, executing, stamp
from .hostile import hostile, status


@pytest.fixture(autouse=True)
def renewing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials may be loaded anew at once."""
    monkeypatch.setattr(connections, "_RENEW_SECONDS", 0.0)


@asynccontextmanager
async def adapter_for(kubeconfig: Path) -> AsyncIterator[Kubernetes]:
    adapter = kubernetes_adapter([config_for(kubeconfig, request_seconds=5.0)], WallClock())
    try:
        yield adapter
    finally:
        await adapter.aclose()


@asynccontextmanager
async def secured(cluster: Cluster, folder: Path, leaf: Leaf, trusted: Path) -> AsyncIterator[tuple[Front, Kubernetes]]:
    """The server behind TLS with ``leaf``, and an adapter that trusts the authority in the file ``trusted``."""
    async with front(cluster.server, folder, serving(leaf)) as standing:
        config = write_config(folder / "tls.kubeconfig", standing.url, user_of(cluster.server)[0], trusted)
        async with adapter_for(config) as adapter:
            yield standing, adapter


def submit(cluster: Cluster, name: str) -> Submit:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": cluster.namespace}}
    return Submit(id="s1", title="s", cluster="c1", manifest=manifest)


async def do(adapter: Kubernetes, step: Submit) -> str:
    with executing():
        return (await adapter.writer.execute(step, stamp())).state


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "expired": ({"start": -2 * HOUR, "end": -HOUR}, "has expired", "renewed"),
    "not yet valid": ({"start": HOUR, "end": 2 * HOUR}, "not yet valid", "clock"),
    "of another host": ({"host": "127.0.0.2"}, "mismatch", "tls-server-name"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_server_certificate_that_is_not_good_says_what_is_wrong_and_nothing_is_sent(
    cluster: Cluster, tmp_path: Path, bad: str
) -> None:
    options, cause, remedy = BAD[bad]
    authority = Authority(tmp_path / "ca")
    async with secured(cluster, tmp_path, authority.server(**options), authority.certificate) as (standing, adapter):
        for call in (adapter.reader.version("c1"), do(adapter, submit(cluster, "x"))):
            with pytest.raises(Unavailable) as caught:
                await call
            assert cause in caught.value.cause and remedy in caught.value.remedy
            assert not caught.value.retryable
        assert standing.arrived == []


async def test_an_authority_that_is_rotated_is_told_and_picked_up_from_disk(cluster: Cluster, tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    trusted = tmp_path / "trusted.crt"
    shutil.copy(old.certificate, trusted)
    async with secured(cluster, tmp_path, new.server(), trusted) as (standing, adapter):
        with pytest.raises(Unavailable) as caught:
            await adapter.reader.version("c1")
        assert "certificate-authority" in caught.value.remedy and "Do not switch" in caught.value.remedy
        found = await adapter.inventory.inventory("c1")
        assert found.stale and "not trusted" in found.problem
        assert standing.arrived == []
        shutil.copy(new.certificate, trusted)
        assert await adapter.reader.version("c1")


def with_client(path: Path, server: dict[str, Any], leaf: Leaf, token: str = "") -> Path:
    """A kubeconfig with a client certificate in files, and with a token where one is given."""
    user = {
        "client-certificate": str(leaf.certificate),
        "client-key": str(leaf.key),
        **({"token": token} if token else {}),
    }
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "t", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "t",
    }
    path.write_text(yaml.safe_dump(body))
    return path


@asynccontextmanager
async def demanding(cluster: Cluster, folder: Path) -> AsyncIterator[tuple[Authority, dict[str, Any], str]]:
    """A server that demands client certificates: the real one itself, a TLS gateway before the sandbox's."""
    if cluster.server.name == "real":
        if cluster.server.clients is None:
            pytest.skip("nobody here signs client certificates for the cluster of TEST_KUBECONFIG")
        yield (
            cluster.server.clients,
            yaml.safe_load(cluster.server.kubeconfig.read_text())["clusters"][0]["cluster"],
            "",
        )
        return
    servers, clients = Authority(folder / "servers"), Authority(folder / "clients")
    demand = serving(servers.server(), clients.certificate)
    with gateway(demand, str(cluster.server.http.base_url)) as url:
        reached = {"server": url, "certificate-authority": str(servers.certificate)}
        yield clients, reached, user_of(cluster.server)[0]


async def test_an_expired_client_certificate_says_so_and_its_successor_on_disk_is_used(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with demanding(cluster, tmp_path) as (clients, reached, token):
        old = clients.client("alice", "system:masters", start=-2 * HOUR, end=-HOUR)
        new = clients.client("alice", "system:masters")
        async with adapter_for(with_client(tmp_path / "k", reached, old, token)) as adapter:
            for call in (adapter.reader.kinds("c1"), do(adapter, submit(cluster, "x"))):
                with pytest.raises(Forbidden) as caught:
                    await call
                assert "client certificate expired at" in caught.value.cause
                assert "Log in again" in caught.value.remedy
            assert cluster.server.get(f"{cluster.base}/configmaps/x") is None
            for file in ("certificate", "key"):
                shutil.copy(getattr(new, file), getattr(old, file))
            assert await do(adapter, submit(cluster, "x")) == "applied"


async def test_a_client_certificate_of_an_unknown_authority_or_of_tomorrow_is_refused(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with demanding(cluster, tmp_path) as (clients, reached, token):
        stranger = Authority(tmp_path / "strangers").client("alice", "system:masters")
        early = clients.client("alice", "system:masters", start=HOUR, end=2 * HOUR)
        for leaf, cause in ((stranger, ""), (early, "valid only from")):
            async with adapter_for(with_client(tmp_path / "k", reached, leaf, token)) as adapter:
                with pytest.raises(Forbidden) as caught:
                    await adapter.reader.kinds("c1")
                assert cause in caught.value.cause


async def test_certificates_that_are_none_are_a_matter_of_settings(cluster: Cluster, tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.crt"
    nonsense.write_text("not a certificate")
    async with secured(cluster, tmp_path, Authority(tmp_path / "ca").server(), nonsense) as (_, adapter):
        with pytest.raises(Misconfigured) as caught:
            await adapter.reader.version("c1")
    assert "certificate-authority" in caught.value.remedy


@pytest.mark.parametrize(("ahead", "word"), [(7200, "ahead of"), (-7200, "behind")])
async def test_a_refused_token_and_a_clock_that_is_wrong_are_named_together(
    tmp_path: Path, ahead: int, word: str
) -> None:
    now = datetime.now(UTC)
    token = jwt.encode({"exp": int(now.timestamp()) - 60}, "k" * 32, algorithm="HS256")
    date = format_datetime(now - timedelta(seconds=ahead), True)
    async with (
        hostile(tmp_path, status(401, "Unauthorized", "Unauthorized", {"Date": date})) as server,
        adapter_for(write_config(tmp_path / "k", server.url, token)) as adapter,
    ):
        with pytest.raises(Forbidden) as caught:
            await adapter.reader.get("c1", "v1", "ConfigMap", "x", "n")
    assert f"s {word}" in caught.value.cause and "token expired at" in caught.value.cause
    assert token not in str(caught.value.as_dict())


async def test_in_a_pod_the_rotated_token_is_read_and_a_missing_one_is_told(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.aio.config import incluster_config

    authority = Authority(tmp_path / "ca")
    async with front(cluster.server, tmp_path, serving(authority.server())) as standing:
        file = tmp_path / "token"
        file.write_text("ended")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", standing.url.rpartition(":")[2])
        monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(file))
        monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority.certificate))
        config = ClusterConfig(ClusterInfo(name="c1"), in_cluster=True, request_seconds=5.0)
        adapter = kubernetes_adapter([config], WallClock())
        try:
            with pytest.raises(Forbidden):
                await adapter.reader.kinds("c1")
            file.write_text(user_of(cluster.server)[0] + "\n")
            assert await adapter.reader.kinds("c1")
            file.unlink()
            monkeypatch.setattr(incluster_config, "datetime", Later)
            before = len(standing.arrived)
            with pytest.raises(Unavailable) as caught:
                await do(adapter, submit(cluster, "x"))
            assert "token file" in caught.value.remedy
            assert len(standing.arrived) == before
        finally:
            await adapter.aclose()


class Later:
    """``datetime`` an hour from now: the token that was read is due to be read again."""

    timedelta = timedelta

    class datetime:
        @staticmethod
        def now() -> datetime:
            return datetime.now() + HOUR
