"""Clusters by settings: one client per cluster, made when first used, from exactly the kubeconfig that settings name."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from ai_platform_mcp.adapters.kubernetes.credentials import fingerprint, why_refused
from ai_platform_mcp.adapters.kubernetes.identity import SERVICE, AccessMode, Identity, Naming
from ai_platform_mcp.adapters.kubernetes.knock import knock
from ai_platform_mcp.adapters.kubernetes.session import own_session
from ai_platform_mcp.core.errors import DeadlineExceeded, InvalidInput, Misconfigured, Unavailable
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import ClusterInfo

if TYPE_CHECKING:
    from aiohttp import TCPConnector
    from kubernetes.aio.client import ApiClient, Configuration

_log = logging.getLogger(__name__)
_RENEW_SECONDS = 10.0
"""At most one reload of credentials per cluster in this time, so that a wrong password does not become a storm."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class ClusterConfig:
    """How one cluster is reached. Exactly one of ``kubeconfig`` and ``in_cluster``; nothing is looked up elsewhere.

    ``context`` empty means the named file's own current context. Times are seconds: ``request_seconds`` bounds a whole
    call with its retries, ``connect_seconds`` one attempt to open a connection. ``pool`` limits open connections.
    ``access`` says as whom callers are let through, ``naming`` how they are called there when impersonated.
    """

    info: ClusterInfo
    kubeconfig: Path | None = None
    context: str = ""
    in_cluster: bool = False
    request_seconds: float = 15.0
    connect_seconds: float = 3.0
    pool: int = 32
    access: AccessMode = "service"
    naming: Naming = field(default_factory=Naming)


@dataclass
class Connection:
    """A live client for one cluster."""

    config: ClusterConfig
    client: ApiClient
    connector: TCPConnector
    host: str
    identity: str = ""
    """The fingerprint of server and certificates: where it changes, only a new client helps."""
    named: Identity = SERVICE
    """Whom the kubeconfig's user says to act as (``as``, ``as-groups``): the client itself does not read that."""
    made_at: float = field(default_factory=time.monotonic)

    async def authorization(self, headers: dict[str, str]) -> None:
        """Put the credentials into ``headers``; tokens that are about to expire are refreshed first.

        Raises:
            Unavailable: they cannot be refreshed: the token file is gone, or a plugin fails.
        """
        try:
            await self.client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        except Exception as problem:  # loaders raise whatever a file or a plugin makes of them
            raise Unavailable(
                f"The credentials of cluster {self.config.info.name!r} could not be refreshed.",
                cause=untrusted(f"{type(problem).__name__}: {problem}"),
                remedy="Check the token file or the credential plugin that its settings name, and log in again.",
            ) from problem
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].strip()  # a token file ends with a newline

    async def why_refused(self, ahead_seconds: float) -> str:
        """Return what is wrong with these credentials as far as can be seen from here."""
        return await anyio.to_thread.run_sync(
            why_refused, self.client.configuration, ahead_seconds, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        """Close the client and its connections."""
        await self.client.close()
        await self.connector.close()


class Connections:
    """All configured clusters. Clients are made on first use, one at a time per cluster, and closed by ``aclose``."""

    def __init__(self, configs: Sequence[ClusterConfig]):
        self._configs = {config.info.name: config for config in configs}
        if len(self._configs) != len(configs):
            raise Misconfigured("Two clusters have the same name.", remedy="Give each cluster its own name.")
        for config in configs:
            _check(config)
        self._open: dict[str, Connection] = {}
        self._bare: dict[str, Connection] = {}
        self._retired: list[Connection] = []
        self._locks: dict[str, anyio.Lock] = {name: anyio.Lock() for name in self._configs}

    def infos(self) -> tuple[ClusterInfo, ...]:
        """Return the configured clusters."""
        return tuple(config.info for config in self._configs.values())

    def config(self, cluster: str) -> ClusterConfig:
        """Return a cluster's settings.

        Raises:
            InvalidInput: no cluster of this name is configured.
        """
        config = self._configs.get(cluster)
        if config is None:
            known = ", ".join(sorted(self._configs)) or "none"
            raise InvalidInput(
                f"No cluster is called {untrusted(cluster, 80)!r}.",
                remedy=f"Use one of the configured clusters: {known}.",
                details={"clusters": sorted(self._configs)},
            )
        return config

    async def get(self, cluster: str) -> Connection:
        """Return the cluster's connection, made now if this is its first use.

        Raises:
            InvalidInput: no cluster of this name is configured.
            Misconfigured: its kubeconfig is missing, unreadable or names no such context.
        """
        config = self.config(cluster)
        async with self._locks[cluster]:
            if cluster not in self._open:
                self._open[cluster] = await _connect(config)
            return self._open[cluster]

    async def bare(self, cluster: str) -> Connection:
        """Return a connection of its own without any credentials of ours, for requests that carry the caller's.

        A client certificate would be believed before the token, and everybody would be the same user.

        Raises:
            Misconfigured: a token could be read on the way to this cluster.
        """
        config = self.config(cluster)
        async with self._locks[cluster]:
            if cluster not in self._bare:
                self._bare[cluster] = await _connect(config, bare=True)
            return self._bare[cluster]

    async def renew(self, cluster: str, old: Connection, sent_at: float) -> bool:
        """Load the credentials anew after the server refused them; False where they are too new for that to help.

        ``sent_at``: monotonic time of the refused request; where another caller renewed them since, nothing is loaded.
        The old client stays open until ``aclose``: other requests may still be under way on it.
        """
        config = self.config(cluster)
        async with self._locks[cluster]:
            bare = self._bare.get(cluster) is old
            kept = self._bare if bare else self._open
            if kept.get(cluster) is not old or old.made_at > sent_at:
                return True
            if time.monotonic() - old.made_at < _RENEW_SECONDS:
                return False
            fresh = await _connect(config, bare=bare)
            if fresh.identity == old.identity:
                old.client.configuration.api_key.update(fresh.client.configuration.api_key)
                # The hook holds the token that it read last, and would put that one back.
                old.client.configuration.refresh_api_key_hook = fresh.client.configuration.refresh_api_key_hook
                old.made_at, old.named = fresh.made_at, fresh.named
                await fresh.aclose()
            else:
                self._retired.append(old)
                kept[cluster] = fresh
        return True

    async def aclose(self) -> None:
        """Close every client."""
        connections = [*self._open.values(), *self._bare.values(), *self._retired]
        self._open.clear()
        self._bare.clear()
        self._retired.clear()
        for connection in connections:
            await connection.aclose()


def _check(config: ClusterConfig) -> None:
    if (config.kubeconfig is None) == (not config.in_cluster):
        raise Misconfigured(
            f"Cluster {config.info.name!r} needs either a kubeconfig or in_cluster.",
            cause="A cluster is reached only by what its settings name; no kubeconfig is looked for elsewhere.",
            remedy="Set `kubeconfig` (and `context`) or `in_cluster: true` for it.",
        )


async def _connect(config: ClusterConfig, *, bare: bool = False) -> Connection:
    """Load credentials and build the client; files, TLS context and the import (0.9 s) stay off the event loop."""
    _check_file(config)
    if config.kubeconfig is not None:
        await knock(config.info.name, config.kubeconfig, config.context)
    named = SERVICE
    await anyio.to_thread.run_sync(_import_client, abandon_on_cancel=True)  # its time is not the cluster's
    try:
        with anyio.fail_after(config.request_seconds):
            configuration = await anyio.to_thread.run_sync(_blank, config, abandon_on_cancel=True)
            if config.in_cluster:
                await anyio.to_thread.run_sync(_load_in_cluster, configuration, abandon_on_cancel=True)
            else:
                named = await _load_kubeconfig(config, configuration)
            if bare:
                _strip(config, configuration)
            client = await _client_of(config, configuration)
            connector = own_session(client, config.pool)
            identity = await anyio.to_thread.run_sync(fingerprint, configuration, abandon_on_cancel=True)
    except TimeoutError:
        raise DeadlineExceeded(
            f"The credentials of cluster {config.info.name!r} could not be had in {config.request_seconds:g} s.",
            cause="A credential plugin of its kubeconfig does not answer.",
            remedy="Run the plugin's command in a terminal and log in, then try again.",
        ) from None
    return Connection(config, client, connector, str(configuration.host), identity, named)


def _strip(config: ClusterConfig, configuration: Configuration) -> None:
    """Take every credential of ours out, and refuse a wire on which a token could be read.

    Raises:
        Misconfigured: it is neither TLS with a verified certificate nor this machine itself.
    """
    url = urlsplit(str(configuration.host))
    if url.hostname not in _LOOPBACK and (url.scheme != "https" or not configuration.verify_ssl):
        raise Misconfigured(
            f"Refused to send callers' tokens to cluster {config.info.name!r}.",
            cause="Its `access` is `token`, and its address is no https or its certificate is not verified.",
            remedy="Use https with `certificate-authority` in its kubeconfig, or set its `access` to `impersonate`.",
        )
    configuration.api_key.clear()
    configuration.api_key_prefix.clear()
    configuration.cert_file = configuration.key_file = None
    configuration.refresh_api_key_hook = None


def _check_file(config: ClusterConfig) -> None:
    if config.kubeconfig is not None and not config.kubeconfig.is_file():
        raise Misconfigured(
            f"The kubeconfig of cluster {config.info.name!r} does not exist: {config.kubeconfig}.",
            remedy="Correct `kubeconfig` in the settings.",
        )


def _import_client() -> None:
    for name in ("kubernetes.aio.client", "kubernetes.aio.config"):
        import_module(name)


def _blank(config: ClusterConfig) -> Configuration:
    from kubernetes.aio.client import Configuration

    return Configuration(connection_pool_maxsize=config.pool)


def _load_in_cluster(configuration: Configuration) -> None:
    from kubernetes.aio.config import ConfigException, load_incluster_config

    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException as problem:
        raise Misconfigured(
            "The settings say in_cluster, and this process does not run in a pod with a service account.",
            cause=untrusted(str(problem)),
            remedy="Name a kubeconfig, or run in a pod with a mounted service account token.",
        ) from problem


async def _load_kubeconfig(config: ClusterConfig, configuration: Configuration) -> Identity:
    from kubernetes.aio.config import ConfigException, load_kube_config

    try:
        loader: Any = await load_kube_config(
            config_file=os.fspath(config.kubeconfig or ""),
            context=config.context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, KeyError) as problem:
        raise Misconfigured(
            f"The kubeconfig of cluster {config.info.name!r} cannot be used: {config.kubeconfig}.",
            cause=untrusted(str(problem)),
            remedy=f"Check the file and that it has the context {config.context or '(current-context)'!r}.",
        ) from problem
    _demand_credentials(config, configuration, loader)
    configuration.refresh_api_key_hook = _refresher(loader)
    if urlsplit(str(configuration.host)).hostname in _LOOPBACK:
        configuration.client_session_kwargs = {"trust_env": False}  # no proxy of the environment for this machine
    return _named(config, getattr(loader, "_user", None))


def _named(config: ClusterConfig, user: Any) -> Identity:
    """Return whom the kubeconfig's user says to act as. Where callers are impersonated this is cleared: they are named instead.

    Raises:
        Misconfigured: it names groups or more without naming a user.
    """
    found = {key: user.safe_get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra")} if user else {}
    if not any(found.values()):
        return SERVICE
    if config.access == "impersonate":
        _log.warning("The kubeconfig user of cluster %r has `as:`; callers are impersonated instead.", config.info.name)
        return SERVICE
    if not found["as"]:
        raise Misconfigured(
            f"The kubeconfig user of cluster {config.info.name!r} names groups to act as, and no user.",
            remedy="Add `as:` to that user, or take `as-groups`, `as-uid` and `as-user-extra` out.",
        )
    extra = found["as-user-extra"]
    return Identity(
        "service",
        user=str(found["as"]),
        groups=tuple(str(group) for group in _listed(found["as-groups"])),
        uid=str(found["as-uid"] or ""),
        extra=tuple((str(key), str(value)) for key in extra or () for value in _listed(extra[key])),
    )


def _listed(node: Any) -> list[Any]:
    return list(getattr(node, "value", node) or ())


def _demand_credentials(config: ClusterConfig, configuration: Configuration, loader: Any) -> None:
    """Refuse a kubeconfig whose credential plugin gave nothing: the client only logs that, and would call anonymously."""
    user: Any = getattr(loader, "_user", None)
    if (
        user is not None
        and "exec" in user
        and "BearerToken" not in configuration.api_key
        and not configuration.cert_file
    ):
        raise Unavailable(
            f"The credential plugin of cluster {config.info.name!r} gave no credentials.",
            cause="Its command failed or needs a login.",
            remedy="Run the `exec` command of that kubeconfig user in a terminal and log in, then try again.",
        )


def _refresher(loader: Any) -> Any:
    """Return the client's hook that renews tokens with a known expiry; the loader does nothing while they are fresh."""

    async def refresh(configuration: Any) -> None:
        if getattr(loader, "provider", None) == "gcp":
            await loader.load_gcp_token()
        elif hasattr(loader, "exec_plugin_expiry"):
            await loader.load_from_exec_plugin()
        else:
            return
        configuration.api_key["BearerToken"] = loader.token

    return refresh


async def _client_of(config: ClusterConfig, configuration: Configuration) -> ApiClient:
    try:
        return await anyio.to_thread.run_sync(_client, configuration, abandon_on_cancel=True)
    except OSError as problem:  # SSLError is one
        raise Misconfigured(
            f"The certificates of cluster {config.info.name!r} cannot be used.",
            cause=untrusted(str(problem)),
            remedy="Check certificate-authority, client-certificate and client-key in its kubeconfig.",
        ) from problem


def _client(configuration: Configuration) -> ApiClient:
    from kubernetes.aio.client import ApiClient

    client = ApiClient(configuration)
    client.user_agent = "ai-platform-mcp"
    return client
