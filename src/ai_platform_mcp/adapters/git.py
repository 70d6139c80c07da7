"""Commits for platforms that change their clusters through Git: the site's own ``git``, never a shell, never a work tree."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import anyio

from ai_platform_mcp.core.errors import (
    CapabilityMissing,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    Misconfigured,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Unavailable,
)
from ai_platform_mcp.core.permit import require_permit
from ai_platform_mcp.core.plan import Commit
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import Outcome, Stamp

log = logging.getLogger(__name__)

OPERATION_TRAILER = "Aiplatform-Operation"
PLAN_TRAILER = "Aiplatform-Plan"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_KEPT = {"GIT_SSH_COMMAND", "GIT_SSH", "GIT_ASKPASS", "GIT_SSL_CAINFO", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"}
"""The only ``GIT_`` variables that reach git: how to log in and whom to trust, never which repository or hooks."""
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:ssh:http:file",  # not ext::, which runs a command
    "GIT_AUTHOR_NAME": "ai-platform-mcp",
    "GIT_AUTHOR_EMAIL": "ai-platform-mcp@localhost",
    "GIT_COMMITTER_NAME": "ai-platform-mcp",
    "GIT_COMMITTER_EMAIL": "ai-platform-mcp@localhost",
    "LC_ALL": "C",
}
_UNREADABLE = "The Git repository cannot be read."
_REMEDY = "Check the repository's URL and this server's access: git ls-remote URL"


class GitRepositoryWriter:
    """core.ports.GitWriter for one repository, through a bare copy in a cache folder.

    Files become objects and trees directly: nothing is checked out, so no symbolic link, filter or hook of the repository
    can act here, and client hooks are switched off. Logins are the site's own: SSH agent, credential helper, URL.
    A branch is only ever moved forward from the tip that was read; a push that lost a race is a Conflict.
    """

    def __init__(self, repository: str, cache: Path, seconds: float = 60.0):
        """Take the one repository that may be written to, a folder for its copy, and the deadline of each git command.

        Raises:
            Misconfigured: the repository's name looks like an option.
        """
        if not repository or repository.startswith("-"):
            raise Misconfigured("gitops.repository is no repository.", remedy="Set a URL or a path.")
        self._repository = repository
        self._copy = cache / f"{hashlib.sha256(repository.encode()).hexdigest()[:16]}.git"
        self._seconds = seconds
        self._turn = anyio.Lock()

    async def execute(self, step: Commit, stamp: Stamp) -> Outcome:
        """Commit the files on the step's branch, made from ``base`` where it does not exist, and push it.

        An operation commits once: where the branch or its base holds its commit already, that one is the outcome.

        Raises:
            Forbidden: no permit is open, or the step names another repository.
            InvalidInput: a branch name or a path that Git or this adapter does not take.
            Conflict: somebody moved the branch at the same time.
            Rejected: the remote refuses the push (a protected branch, a hook of its own), or the base does not exist.
            Unavailable, DeadlineExceeded: the repository cannot be read.
            OutcomeUnknown: pushed, and no answer came.
        """
        require_permit("push a commit")
        async with self._turn:
            tips = await self._fetch(step)
            found = await self._commit_of(stamp.operation_id, tips)
            if found:
                return Outcome(state="unchanged", version=found)
            tip = tips.get(step.branch, "")
            parent = tip or tips.get(step.base, "")
            if not parent:
                raise Rejected(
                    f"The repository has no branch {step.base}.", remedy="Set gitops.base to a branch that exists."
                )
            commit = await self._commit(step, stamp, parent)
            await self._push(step.branch, commit, tip)
        return Outcome(state="applied", version=commit)

    async def read_back(self, step: Commit, stamp: Stamp) -> bool:
        """Tell whether the branch, or the base it was merged into, holds a commit of this operation."""
        async with self._turn:
            return bool(await self._commit_of(stamp.operation_id, await self._fetch(step)))

    async def _fetch(self, step: Commit) -> dict[str, str]:
        """Bring the two branches here; return the tip of each that exists."""
        if step.repository != self._repository:
            raise Forbidden(
                "This server writes to one repository only.", remedy="Set gitops.repository to the repository you mean."
            )
        for name in (step.branch, step.base):
            await self._check_branch(name)
        if not (self._copy / "HEAD").exists():
            self._copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._git("init", "--quiet", "--bare", "--", str(self._copy), inside=False)
        refs = [f"refs/heads/{name}" for name in dict.fromkeys((step.branch, step.base))]
        try:
            listed = await self._listed(refs)
        except DeadlineExceeded:
            raise
        except Unavailable:  # a read may be asked again
            listed = await self._listed(refs)
        rows = [line.split("\t") for line in listed.splitlines()]
        tips = {name.removeprefix("refs/heads/"): commit for commit, name in rows if name != "HEAD"}
        if tips:
            wanted = [f"+refs/heads/{name}:refs/remotes/origin/{name}" for name in tips]
            await self._git("fetch", "--quiet", "--no-tags", "--", self._repository, *wanted)
        return tips

    async def _listed(self, refs: list[str]) -> str:
        """Return what the remote says of these refs and of HEAD, which every repository with a commit has.

        Raises:
            Unavailable: it cannot be read, or lists nothing: git takes a login page for an empty repository.
        """
        listed = await self._git("ls-remote", "--", self._repository, "HEAD", *refs)
        if listed.strip():
            return listed
        raise Unavailable(
            _UNREADABLE,
            cause="It lists no branch at all: it is empty, or something else answers in its place, such as a login page.",
            remedy=_REMEDY,
        )

    async def _check_branch(self, name: str) -> None:
        if not name.startswith("-"):
            code, _, _ = await self._run(("check-ref-format", f"refs/heads/{name}"), inside=False)
            if code == 0:
                return
        raise InvalidInput(f"{name[:80]!r} is no name of a branch.", remedy="See git help check-ref-format.")

    async def _commit_of(self, operation_id: str, tips: Mapping[str, str]) -> str:
        """Return the commit that carries the operation's trailer, empty where there is none."""
        if not _TOKEN.fullmatch(operation_id):
            raise InvalidInput("This operation id cannot be written into a commit.")
        mark = f"%H %(trailers:key={OPERATION_TRAILER},valueonly,separator=%x20)"
        search = ("--fixed-strings", f"--grep={OPERATION_TRAILER}: {operation_id}", f"--format={mark}")
        found = await self._git("log", *search, *tips.values(), "--") if tips else ""
        for line in found.splitlines():
            commit, *values = line.split()
            if operation_id in values:
                return commit
        return ""

    async def _commit(self, step: Commit, stamp: Stamp, parent: str) -> str:
        """Make the commit in the copy and return its id; nothing has left this machine yet."""
        lines: list[str] = []
        for path, content in sorted(step.files.items()):
            blob = await self._git("hash-object", "-w", "--stdin", stdin=content.encode())
            lines.append(f"100644 {blob.strip()}\t{_safe(path)}")
        index = self._copy / f"index-{secrets.token_hex(8)}"
        try:
            env = {"GIT_INDEX_FILE": str(index)}
            await self._git("read-tree", parent, env=env)
            await self._git(
                "update-index", "-z", "--index-info", stdin="".join(f"{line}\0" for line in lines).encode(), env=env
            )
            tree = (await self._git("write-tree", env=env)).strip()
        finally:
            index.unlink(missing_ok=True)
        trailers = f"{OPERATION_TRAILER}: {stamp.operation_id}\n{PLAN_TRAILER}: {stamp.plan_digest}\n"
        message = f"{step.message.strip()}\n\n{trailers}"
        commit = await self._git("commit-tree", tree, "-p", parent, stdin=message.encode())
        return commit.strip()

    async def _push(self, branch: str, commit: str, tip: str) -> None:
        """Move the remote branch from ``tip`` (empty: it must not exist) to the commit."""
        lease = f"--force-with-lease=refs/heads/{branch}:{tip}"
        target = f"{commit}:refs/heads/{branch}"
        try:
            code, out, err = await self._run(("push", "--porcelain", lease, "--", self._repository, target))
        except DeadlineExceeded as error:
            raise OutcomeUnknown(
                "The push was sent and no answer came.",
                cause=error.message,
                remedy="Let it be read back: platform operations resume",
            ) from error
        if code == 0:
            return
        if problem := _not_sent(err):
            raise problem
        refused = next((line for line in out.splitlines() if line.startswith("!")), "")
        if "[remote rejected]" in refused:
            raise Rejected(
                f"The remote refuses the push to {branch}.",
                cause=untrusted(f"{refused}\n{err}"),
                remedy="Check the branch's protection and the rights of this server's account.",
            )
        if refused:
            raise Conflict(
                f"Somebody moved branch {branch} at the same time.", cause=untrusted(refused), remedy="Apply again."
            )
        raise OutcomeUnknown(
            "The push ended without an answer.",
            cause=untrusted(err),
            remedy="Let it be read back: platform operations resume",
        )

    async def _git(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, inside: bool = True
    ) -> str:
        """Run a git command that must succeed, and return what it wrote."""
        code, out, err = await self._run(arguments, stdin=stdin, env=env, inside=inside)
        if code == 0:
            return out
        if arguments[0] in {"ls-remote", "fetch"}:
            raise _not_sent(err) or Unavailable(_UNREADABLE, cause=untrusted(err), remedy=_REMEDY)
        raise Rejected(
            f"git {arguments[0]} refuses this.", cause=untrusted(err), remedy="Correct what the cause names."
        )

    async def _run(
        self,
        arguments: tuple[str, ...],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        inside: bool = True,
    ) -> tuple[int, str, str]:
        """Run git with a list of arguments; return exit status, output and errors. Cancelling kills it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
        inherited.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "core.protectNTFS=true"]
        command += ["-c", "http.followRedirects=false"]  # a login, or a commit, goes nowhere else
        where = [f"--git-dir={self._copy}"] if inside else []
        try:
            with anyio.fail_after(self._seconds):
                done = await anyio.run_process(
                    [*command, *where, *arguments],
                    input=stdin,
                    check=False,
                    env={**inherited, **_ENVIRONMENT, **(env or {})},
                )
        except FileNotFoundError:
            raise CapabilityMissing(
                "Git is not installed here.", remedy="Install git, or leave gitops out of the platform file."
            ) from None
        except TimeoutError:
            raise _slow(arguments[0], self._seconds) from None
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


_REFUSED = re.compile(
    r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied"
    r"|returned error: 40[13]\b|HTTP 40[13]\b",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(
    r"SSL certificate problem|certificate verif|server certificate|Host key verification failed", re.I
)
_UNREACHED = re.compile(r"unable to access|Could not resolve host|Connection refused|Failed to connect", re.IGNORECASE)


def _not_sent(err: str) -> PlatformError | None:
    """Return what git's words mean where they say that nothing was read or changed, else None."""
    if _CERTIFICATE.search(err):
        return Unavailable(
            "The Git server's certificate or host key is not trusted; nothing was sent to it.",
            cause=untrusted(err),
            remedy="Renew it if it expired, check this machine's clock, or let GIT_SSL_CAINFO name its authority.",
        )
    if _REFUSED.search(err):
        return Forbidden(
            "The Git server does not accept this server's login, or does not let it do that.",
            cause=untrusted(err),
            remedy="Renew the token or key that git uses for this URL, and give it write access; git ls-remote URL tells.",
        )
    if _UNREACHED.search(err):
        return Unavailable("The Git server cannot be used.", cause=untrusted(err), remedy=_REMEDY)
    return None


def _slow(command: str, seconds: float) -> PlatformError:
    return DeadlineExceeded(
        f"git {command} did not end within {seconds:g} s.", cause="The Git server hangs or is slow.", remedy=_REMEDY
    )


def _safe(path: str) -> str:
    """Return a path within the repository.

    Raises:
        InvalidInput: it leaves the repository, touches Git's or the forge's own files, or is no plain text.
    """
    parts = PurePosixPath(path).parts
    plain = bool(parts) and path == "/".join(parts) and path.isprintable() and "\\" not in path and ":" not in path
    if not plain or any(part in {".", "..", "/"} or part.casefold().startswith(".git") for part in parts):
        raise InvalidInput(
            f"{path[:120]!r} is no path that may be written.", remedy="Use a relative path of manifests."
        )
    return path
