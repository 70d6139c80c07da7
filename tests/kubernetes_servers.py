"""API servers for tests: the sandbox's in a thread, and a real one (etcd + kube-apiserver) where its binaries are to be had."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml

from real_servers import free_port, process
from real_targets import absent, kubernetes_assets, met
from support.certificates import Authority

ROOT = Path(__file__).resolve().parent.parent
RELEASED_CRDS = ROOT.parent / "shared" / "crds"
OWN_CRDS = ROOT / "src/ai_platform_mcp/controllers/crds"
NEEDED = ("kueue-", "kserve-")


@dataclass
class Server:
    """A running API server, and the outside's way to it: plain HTTP calls as its administrator."""

    name: str
    kubeconfig: Path
    http: httpx.Client
    etcd: str = ""
    """Where a real server keeps its objects, empty where that cannot be reached."""
    clients: Authority | None = None
    """Who signs the client certificates that the server accepts, None where it accepts none of ours."""

    def send(self, method: str, path: str, body: Any = None, media: str = "application/json", **params: str) -> Any:
        answer = self.http.request(method, path, json=body, headers={"Content-Type": media}, params=params)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str) -> dict[str, Any] | None:
        answer = self.http.get(path)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def post(self, path: str, body: Any) -> dict[str, Any]:
        return self.send("POST", path, body)

    def merge(self, path: str, body: Any) -> dict[str, Any]:
        return self.send("PATCH", path, body, "application/merge-patch+json")

    def apply(self, path: str, body: Any, manager: str) -> dict[str, Any]:
        return self.send("PATCH", path, body, "application/apply-patch+yaml", fieldManager=manager)

    def delete(self, path: str) -> None:
        self.http.request("DELETE", path, json={"gracePeriodSeconds": 0})


def write_config(path: Path, url: str, token: str, authority: Path | None = None) -> Path:
    cluster: dict[str, Any] = {"server": url}
    if authority is not None:
        cluster["certificate-authority"] = str(authority)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config))
    return path


@contextlib.contextmanager
def sandbox_server(folder: Path, port: int = 0) -> Iterator[Server]:
    """The sandbox's API server in its own thread and event loop: empty in a new folder, else as it was left."""
    thread = _SandboxThread(folder, port)
    thread.start()
    if not thread.ready.wait(30) or thread.url is None:
        raise RuntimeError("the sandbox API server did not start")
    config = write_config(folder / "kubeconfig", thread.url, thread.token)
    met("kubernetes", "the sandbox's own", "sandbox")
    with httpx.Client(base_url=thread.url, headers={"Authorization": f"Bearer {thread.token}"}, timeout=20) as http:
        yield Server("sandbox", config, http)
    thread.stop()


class _SandboxThread(threading.Thread):
    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.port = port
        self.ready = threading.Event()
        self.url: str | None = None
        self.token = ""
        self._server: uvicorn.Server | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self.ready.set()

    async def _serve(self) -> None:
        from ai_platform_mcp.sandbox.kube.access import Access
        from ai_platform_mcp.sandbox.kube.app import build_kube_app
        from ai_platform_mcp.sandbox.kube.clock import WallClock
        from ai_platform_mcp.sandbox.kube.store import open_store

        async with open_store(self.folder / "world.db", WallClock()) as store:
            access = await Access.open(store)
            app = build_kube_app(store, access)
            config = uvicorn.Config(app, port=self.port, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
            self._server = uvicorn.Server(config)
            self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            task = asyncio.create_task(self._server.serve())
            while not self._server.started:
                await asyncio.sleep(0.01)
            self.token = access.admin_token
            self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
            self.ready.set()
            await task

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self.join(10)


@contextlib.contextmanager
def real_server(folder: Path, needed: tuple[str, ...] = NEEDED) -> Iterator[Server]:
    """A real API server with the released CRDs of the ``needed`` systems; skips with the enabling line where none is."""
    given, assets = os.environ.get("TEST_KUBECONFIG"), kubernetes_assets()
    if not given and assets is None:
        absent("kubernetes", "no real API server: no TEST_KUBECONFIG, and no folder with etcd and kube-apiserver")
    if not RELEASED_CRDS.is_dir():
        absent("kubernetes", "the released CRDs are not beside the repository (../shared/crds)")
    with contextlib.ExitStack() as stack:
        server = existing(Path(given)) if given else _start(assets or Path(), folder, stack)
        stack.callback(server.http.close)
        how = "TEST_KUBECONFIG" if given else "etcd and kube-apiserver"
        met("kubernetes", f"{server.send('GET', '/version')['gitVersion']} ({how})")
        _install_crds(server, needed)
        yield server


def _start(assets: Path, folder: Path, stack: contextlib.ExitStack) -> Server:
    client, peer, secure = free_port(), free_port(), free_port()
    key = folder / "sa.key"
    _write_key(key)
    clients = Authority(folder / "clients")
    (folder / "tokens.csv").write_text('secret,admin,1,"system:masters"\n')
    _run(stack, folder / "etcd.log", assets / "etcd", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync",
         f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
         f"--listen-peer-urls=http://127.0.0.1:{peer}")  # fmt: skip
    _run(stack, folder / "apiserver.log", assets / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}",
         f"--secure-port={secure}", "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certs'}",
         f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
         "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24",
         f"--client-ca-file={clients.certificate}", "--authorization-mode=RBAC", f"--token-auth-file={folder / 'tokens.csv'}",
         "--disable-admission-plugins=ServiceAccount")  # fmt: skip
    url = f"https://127.0.0.1:{secure}"
    certificate = folder / "certs" / "apiserver.crt"
    _wait_until(lambda: certificate.exists(), 60, "the API server's certificate")
    trust = ssl.create_default_context(cafile=str(certificate))
    http = stack.enter_context(
        httpx.Client(base_url=url, headers={"Authorization": "Bearer secret"}, timeout=60, verify=trust)
    )
    _wait_until(lambda: _is_ready(http), 90, "the API server")
    config = write_config(folder / "kubeconfig", url, "secret", certificate)
    return Server("real", config, http, f"http://127.0.0.1:{client}", clients)


def _run(stack: contextlib.ExitStack, log: Path, *command: str | Path) -> None:
    stack.enter_context(process(log, *command))


def _install_crds(server: Server, needed: tuple[str, ...]) -> None:
    folders = [folder for folder in sorted(RELEASED_CRDS.iterdir()) if folder.name.startswith(needed)]
    files = [file for folder in [*folders, OWN_CRDS] for file in sorted(folder.rglob("*.yaml"))]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in files:
        for crd in yaml.load_all(file.read_text(), Loader=loader):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            crd["spec"].pop("conversion", None)  # the webhook of a controller that does not run here
            answer = server.http.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=crd)
            if answer.status_code != 409:  # a cluster of one's own may have it already
                answer.raise_for_status()
    _wait_until(lambda: server.get("/apis/edge.aiplatform.dev/v1alpha1") is not None, 30, "the CRDs")
    _wait_until(lambda: server.get("/apis/kueue.x-k8s.io/v1beta2") is not None, 30, "the CRDs")


def existing(kubeconfig: Path) -> Server:
    """The administrator's way into a cluster by token or client certificate."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = next(row["context"] for row in config["contexts"] if row["name"] == config["current-context"])
    cluster = next(row["cluster"] for row in config["clusters"] if row["name"] == context["cluster"])
    user = next(row["user"] for row in config["users"] if row["name"] == context["user"])
    trust = ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        trust.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif "certificate-authority" in cluster:
        trust.load_verify_locations(cafile=cluster["certificate-authority"])
    if "client-certificate" in user:
        trust.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as folder:  # a folder of its owner's only; the ssl module reads files alone
            for name in ("client-certificate", "client-key"):
                (Path(folder) / name).write_bytes(base64.b64decode(user[f"{name}-data"]))
            trust.load_cert_chain(Path(folder) / "client-certificate", Path(folder) / "client-key")
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    http = httpx.Client(base_url=cluster["server"], headers=headers, timeout=60, verify=trust)
    return Server("real", kubeconfig, http)


def _write_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private, format_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(private, format_, serialization.NoEncryption()))


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _wait_until(condition: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up in {seconds:g} s")
        time.sleep(0.1)
