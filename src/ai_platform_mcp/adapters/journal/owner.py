"""Who executes an operation, and whether that process still lives."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from ai_platform_mcp.core.model import canonical_json


class Owner(NamedTuple):
    """A process, told apart from every other: pids are reused, so the start time belongs to it."""

    host: str
    pid: int
    started: str
    nonce: str

    def text(self) -> str:
        """Return the form that is stored."""
        return canonical_json(self._asdict()).decode()

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Read the stored form."""
        return cls(**json.loads(text))

    def dead(self) -> bool:
        """Tell whether this process certainly ended. False for processes of other hosts: only their lease tells."""
        return self.host == this_host() and start_time(self.pid) != self.started


def this_process() -> Owner:
    """Return a new owner in this process."""
    return Owner(this_host(), os.getpid(), start_time(os.getpid()) or "", uuid4().hex)


@cache
def this_host() -> str:
    """Return what names the room in which a pid means one process: host, boot and pid namespace.

    Two containers may share a host name and have a process 7 each; without the namespace one would declare the other's
    living process dead.
    """
    parts = [platform.node()]
    if sys.platform == "linux":
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


def start_time(pid: int) -> str | None:
    """Return when the process started, in the system's own notation; None where no such process runs.

    A zombie counts as ended: nothing executes in it any more. On systems where it cannot be told (Windows) the answer is
    an empty text for every process, so that none is ever declared dead and the lease alone decides.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
        return None if fields[0] in "ZX" else fields[19]
    if os.name != "posix":
        return ""
    answer = subprocess.run(  # noqa: S603  a fixed program and a number
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    return answer.stdout.strip() or None
