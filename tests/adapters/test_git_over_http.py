"""Faults of the wire before a real Git server over HTTP: what was not sent is not unknown, and nothing is pushed twice."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.adapters.git import GitRepositoryWriter
from ai_platform_mcp.core.errors import DeadlineExceeded, Forbidden, OutcomeUnknown, PlatformError, Unavailable
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Commit
from ai_platform_mcp.core.rows import Outcome, Stamp
from support import front as faults
from support.certificates import HOUR, Authority, serving
from support.front import Fault, Front, before

STAMP = Stamp(operation_id="op-1", plan_digest="d1")
READS, PUSHES = "service=git-upload-pack", "POST /remote.git/git-receive-pack"
OPENS_PUSH = "service=git-receive-pack"


def git(*arguments: str, cwd: Path) -> str:
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True, env=os.environ | names
    ).stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    bare = tmp_path / "served" / "remote.git"
    bare.mkdir(parents=True)
    git("init", "-q", "--bare", "-b", "main", cwd=bare)
    git("config", "http.receivepack", "true", cwd=bare)
    tree = git("hash-object", "-t", "tree", "-w", "/dev/null", cwd=bare)
    git("update-ref", "refs/heads/main", git("commit-tree", tree, "-m", "first", cwd=bare), cwd=bare)
    return bare


class Backend(BaseHTTPRequestHandler):
    """Git's own HTTP server program behind the standard library's."""

    root: Path

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        given = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "somebody",
            "REMOTE_ADDR": "127.0.0.1",
        }
        body = self.rfile.read(length)
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=os.environ | given)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(remote: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Backend,), {"root": remote.parent}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@asynccontextmanager
async def behind(
    url: str, folder: Path, seconds: float = 20
) -> AsyncIterator[tuple[Front, GitRepositoryWriter, Commit]]:
    async with before(url) as standing:
        address = f"{standing.url}/remote.git"
        files = {"clusters/a.yaml": "kind: ConfigMap\n"}
        step = Commit(id="s1", title="c", repository=address, branch="op", base="main", files=files, message="Change")
        yield standing, GitRepositoryWriter(address, folder / "cache", seconds), step


async def do(writer: GitRepositoryWriter, step: Commit) -> Outcome:
    with open_permit(Permit("op-1", "s1")):
        return await writer.execute(step, STAMP)


async def failing(error: type[PlatformError], call: Any) -> PlatformError:
    with pytest.raises(error) as caught:
        await call
    assert type(caught.value).code == error.code
    assert caught.value.message and caught.value.cause and caught.value.remedy
    return caught.value


def refusal(code: int) -> Fault:
    return Fault(f"HTTP {code}", False, faults.page(code, b"no", "text/plain", 'WWW-Authenticate: Basic realm="x"'))


async def test_a_commit_goes_over_http_and_a_broken_read_is_asked_again(served: str, tmp_path: Path) -> None:
    async with behind(served, tmp_path) as (standing, writer, step):
        for fault in (faults.LOST_BEFORE, faults.GATEWAYS[1], faults.TRUNCATED, faults.LOGIN):
            standing.fail(READS, fault)
            assert not await writer.read_back(step, STAMP)
            assert standing.faults == []
        assert (await do(writer, step)).state == "applied"
        assert await writer.read_back(step, STAMP)
        assert standing.count(PUSHES) == 1


BAD = (refusal(401), refusal(403), *faults.GATEWAYS, faults.LOGIN, faults.EMPTY, faults.LOST_BEFORE, faults.REDIRECT)


@pytest.mark.parametrize("fault", BAD, ids=lambda fault: fault.name)
async def test_a_repository_that_stays_unreadable_is_told_with_what_to_do(
    served: str, tmp_path: Path, fault: Fault
) -> None:
    async with behind(served, tmp_path) as (standing, writer, step):
        standing.fail(READS, *[fault] * 6)
        refused = fault.name in ("HTTP 401", "HTTP 403")
        found = await failing(Forbidden if refused else Unavailable, do(writer, step))
        assert ("token" in found.remedy) is refused
        assert standing.count(PUSHES) == 0


@pytest.mark.parametrize(
    "fault", [refusal(401), refusal(403), faults.GATEWAYS[2], faults.REDIRECT], ids=lambda f: f.name
)
async def test_a_push_that_was_never_begun_is_not_unknown(
    served: str, remote: Path, tmp_path: Path, fault: Fault
) -> None:
    async with behind(served, tmp_path) as (standing, writer, step):
        standing.fail(OPENS_PUSH, *[fault] * 3)
        await failing(Forbidden if fault.name.startswith("HTTP") else Unavailable, do(writer, step))
        assert git("branch", "--list", "op", cwd=remote) == ""
        standing.fail("\0")
        assert (await do(writer, step)).state == "applied"


@pytest.mark.parametrize(
    "fault",
    [faults.LOST_BEFORE, faults.LOST_AFTER, faults.GATEWAYS[1], faults.EMPTY, faults.LOGIN],
    ids=lambda f: f.name,
)
async def test_a_push_whose_answer_is_lost_is_unknown_and_pushed_once(
    served: str, remote: Path, tmp_path: Path, fault: Fault
) -> None:
    async with behind(served, tmp_path) as (standing, writer, step):
        standing.fail(PUSHES, fault)
        await failing(OutcomeUnknown, do(writer, step))
        assert await writer.read_back(step, STAMP) is fault.arrives
        assert (await do(writer, step)).state == ("unchanged" if fault.arrives else "applied")
        assert standing.count(PUSHES) == 1
    assert git("rev-list", "--count", "main..op", cwd=remote) == "1"


async def test_a_server_that_hangs_costs_the_deadline(served: str, tmp_path: Path) -> None:
    async with behind(served, tmp_path, seconds=1.0) as (standing, writer, step):
        standing.fail(READS, faults.SLOW_HEAD)
        await failing(DeadlineExceeded, do(writer, step))
        standing.fail(READS, faults.SLOW_BODY)
        await failing(DeadlineExceeded, do(writer, step))


@pytest.mark.parametrize("start", [-2 * HOUR, HOUR], ids=["expired", "not yet valid"])
async def test_a_certificate_that_is_not_good_is_told_and_nothing_is_sent(
    served: str, tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(authority.certificate))
    async with before(served, serving=serving(authority.server(start=start, end=start + HOUR))) as standing:
        address = f"{standing.url}/remote.git"
        step = Commit(id="s1", title="c", repository=address, branch="op", base="main", files={"a": "b"}, message="m")
        found = await failing(Unavailable, do(GitRepositoryWriter(address, tmp_path / "cache", 20), step))
        assert "clock" in found.remedy
        assert standing.arrived == []
