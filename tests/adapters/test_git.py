from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from ai_platform_mcp.adapters.git import GitRepositoryWriter
from ai_platform_mcp.core.errors import (
    CapabilityMissing,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Commit
from ai_platform_mcp.core.rows import Outcome, Stamp


def git(*arguments: str, cwd: Path) -> str:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True, env=os.environ | identity
    )
    return done.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """Return a bare repository with one commit on main."""
    work, bare = tmp_path / "work", tmp_path / "remote.git"
    work.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    (work / "README.md").write_text("clusters\n")
    (work / "link").symlink_to("/etc")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    git("clone", "-q", "--bare", str(work), str(bare), cwd=tmp_path)
    return bare


@pytest.fixture
def writer(remote: Path, tmp_path: Path) -> GitRepositoryWriter:
    return GitRepositoryWriter(str(remote), tmp_path / "cache", 30)


def commit(remote: Path, **fields: Any) -> Commit:
    base: dict[str, Any] = {
        "id": "s1",
        "title": "commit",
        "repository": str(remote),
        "branch": "platform/op-1",
        "base": "main",
        "files": {"clusters/local/vision.yaml": "kind: InferenceService\n", "clusters/ä b.yaml": "x: 1\n"},
        "message": "Deploy vision-v3",
    }
    return Commit(**(base | fields))


def stamp(operation: str = "op-1") -> Stamp:
    return Stamp(operation_id=operation, plan_digest="d1")


async def do(writer: GitRepositoryWriter, step: Commit, operation: str = "op-1") -> Outcome:
    with open_permit(Permit(operation, "s1")):
        return await writer.execute(step, stamp(operation))


async def test_files_are_committed_on_a_branch_of_their_own(writer: GitRepositoryWriter, remote: Path) -> None:
    step = commit(remote)
    assert not await writer.read_back(step, stamp())
    outcome = await do(writer, step)
    assert outcome == Outcome(state="applied", version=git("rev-parse", "platform/op-1", cwd=remote))
    assert await writer.read_back(step, stamp())
    assert git("show", "platform/op-1:clusters/local/vision.yaml", cwd=remote) == "kind: InferenceService"
    assert git("show", "platform/op-1:clusters/ä b.yaml", cwd=remote) == "x: 1"
    assert git("show", "platform/op-1:README.md", cwd=remote) == "clusters"
    assert git("log", "-1", "--format=%s|%an|%(trailers:only,unfold,separator=%x2C)", "platform/op-1", cwd=remote) == (
        "Deploy vision-v3|ai-platform-mcp|Aiplatform-Operation: op-1,Aiplatform-Plan: d1"
    )
    assert git("rev-parse", "platform/op-1~1", cwd=remote) == git("rev-parse", "main", cwd=remote)


async def test_an_operation_commits_once_wherever_it_is_repeated(
    writer: GitRepositoryWriter, remote: Path, tmp_path: Path
) -> None:
    step = commit(remote)
    first = await do(writer, step)
    other = GitRepositoryWriter(str(remote), tmp_path / "other-cache", 30)
    assert await do(other, step) == Outcome(state="unchanged", version=first.version)
    git("update-ref", "refs/heads/main", "platform/op-1", cwd=remote)
    git("branch", "-D", "platform/op-1", cwd=remote)
    assert await other.read_back(step, stamp())
    assert await do(other, step) == Outcome(state="unchanged", version=first.version)


async def test_two_operations_follow_each_other_on_one_branch(writer: GitRepositoryWriter, remote: Path) -> None:
    first = await do(writer, commit(remote, branch="main"))
    second = await do(writer, commit(remote, branch="main", files={"README.md": "new\n"}), "op-2")
    assert git("rev-parse", "main", "main~1", cwd=remote).splitlines() == [second.version, first.version]
    assert git("show", "main:README.md", cwd=remote) == "new"


async def test_a_message_cannot_claim_to_be_another_operation(writer: GitRepositoryWriter, remote: Path) -> None:
    await do(writer, commit(remote, message="Deploy\n\nAiplatform-Operation: op-2"))
    assert not await writer.read_back(commit(remote), stamp("op-2"))
    assert not await writer.read_back(commit(remote), stamp("op"))


OUTSIDE = ("../x", "/etc/x", "a/../b", ".git/config", "a/.GIT/hooks/x", ".gitmodules", ".github/workflows/x.yaml")
ODD = ("a//b", "", "a\nb", "c:x", "a\\b", "./a")


@pytest.mark.parametrize("path", OUTSIDE + ODD)
async def test_a_path_that_leaves_the_manifests_is_refused(
    writer: GitRepositoryWriter, remote: Path, path: str
) -> None:
    with pytest.raises(InvalidInput):
        await do(writer, commit(remote, files={path: "x"}))
    assert git("branch", "--list", cwd=remote) == "* main"


async def test_a_link_in_the_repository_leads_nowhere(writer: GitRepositoryWriter, remote: Path) -> None:
    """Nothing is checked out, so the path is a name in a tree: the link is replaced by a folder, /etc stays untouched."""
    await do(writer, commit(remote, files={"link/planted": "x"}))
    assert not await anyio.Path("/etc/planted").exists()
    assert git("ls-tree", "platform/op-1", "link", cwd=remote).split()[1] == "tree"


@pytest.mark.parametrize("branch", ["--upload-pack=touch /tmp/x", "a..b", "a b", "", "x.lock", "@{-1}"])
async def test_a_branch_that_is_no_branch_is_refused(writer: GitRepositoryWriter, remote: Path, branch: str) -> None:
    for fields in ({"branch": branch}, {"base": branch}):
        with pytest.raises(InvalidInput):
            await do(writer, commit(remote, **fields))


async def test_only_the_configured_repository_is_written(writer: GitRepositoryWriter, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        await do(writer, commit(tmp_path / "elsewhere.git"))
    with pytest.raises(Forbidden, match="no plan step"):
        await writer.execute(commit(tmp_path), stamp())
    with pytest.raises(Misconfigured):
        GitRepositoryWriter("--upload-pack=x", tmp_path)


async def test_a_transport_that_runs_commands_is_refused(tmp_path: Path) -> None:
    url = f"ext::touch {tmp_path}/planted"
    writer = GitRepositoryWriter(url, tmp_path / "cache", 30)
    with pytest.raises(Unavailable, match="cannot be read"):
        await do(writer, commit(tmp_path, repository=url))
    assert not (tmp_path / "planted").exists()


async def test_hooks_of_the_copy_never_run(writer: GitRepositoryWriter, remote: Path, tmp_path: Path) -> None:
    await writer.read_back(commit(remote), stamp())
    (copy,) = (tmp_path / "cache").iterdir()
    hook = copy / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/planted\nexit 1\n")
    hook.chmod(0o755)
    assert (await do(writer, commit(remote))).state == "applied"
    assert not (tmp_path / "planted").exists()


async def test_a_remote_that_refuses_says_so(writer: GitRepositoryWriter, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'protected branch' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Rejected) as error:
        await do(writer, commit(remote))
    assert "protected branch" in error.value.cause


async def test_a_branch_moved_in_between_is_a_conflict(
    writer: GitRepositoryWriter, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else pushes after the branch was read and before ours is pushed."""
    push = GitRepositoryWriter._push

    async def late(self: GitRepositoryWriter, branch: str, made: str, tip: str) -> None:
        git("branch", branch, "main", cwd=remote)
        await push(self, branch, made, tip)

    monkeypatch.setattr(GitRepositoryWriter, "_push", late)
    with pytest.raises(Conflict):
        await do(writer, commit(remote))
    assert git("rev-parse", "platform/op-1", cwd=remote) == git("rev-parse", "main", cwd=remote)


async def test_a_repository_that_cannot_be_read_is_unavailable(remote: Path, tmp_path: Path) -> None:
    missing = GitRepositoryWriter(str(tmp_path / "none.git"), tmp_path / "cache", 30)
    with pytest.raises(Unavailable) as error:
        await do(missing, commit(tmp_path / "none.git"))
    assert error.value.remedy
    with pytest.raises(Rejected, match="no branch"):
        await do(GitRepositoryWriter(str(remote), tmp_path / "cache", 30), commit(remote, base="trunk"))


async def test_a_push_that_hangs_is_unknown_and_a_read_that_hangs_is_late(remote: Path, tmp_path: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    hook.write_text(f"#!/bin/sh\nread line < {gate}\nexit 1\n")
    hook.chmod(0o755)
    writer = GitRepositoryWriter(str(remote), tmp_path / "cache", 5)
    with pytest.raises(OutcomeUnknown):
        await do(writer, commit(remote))
    let_go = os.open(gate, os.O_RDWR | os.O_NONBLOCK)  # the hook reads a line, or the end, and exits
    os.write(let_go, b"go\n")
    os.close(let_go)
    with pytest.raises(DeadlineExceeded):
        await do(GitRepositoryWriter(str(remote), tmp_path / "cache", 0.0001), commit(remote))


async def test_a_machine_without_git_is_told(
    writer: GitRepositoryWriter, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityMissing, match="not installed"):
        await do(writer, commit(remote))
