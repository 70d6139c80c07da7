"""What is refused before anybody is served, and that nobody but the guard says for whom work is done."""

from __future__ import annotations

import subprocess
import tokenize
from pathlib import Path
from typing import Any

import pytest

import ai_platform_mcp
from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.settings import Settings
from support import warm
from support.world import World

AUTH = {
    "issuer": "https://login.example.org",
    "audience": "https://platform.example",
    "jwks_url": "https://login.example.org/keys",
    "resource_url": "https://platform.example",
}
SHARED = {"shared_service_account": True}


def settings(tmp_path: Path, *clusters: dict[str, Any], **more: Any) -> Settings:
    rows = [{"name": f"c{place}", "kubeconfig": "/nowhere", **row} for place, row in enumerate(clusters)]
    return Settings.model_validate({"state_dir": tmp_path, "clusters": rows, **more})


@pytest.mark.parametrize(
    ("clusters", "more", "refused"),
    [
        ([{}], {}, "c0"),
        ([{"access": "impersonate"}, {"access": "service"}], {}, "c1"),
        ([{}, {"access": "service"}], {"access": {"default": "token"}}, "c1"),
        ([SHARED, {}], {}, "c1"),
        ([{"shared_service_account": False}], {"access": SHARED}, "c0"),
        ([SHARED], {}, ""),
        ([{}], {"access": SHARED}, ""),
        ([{"access": "impersonate"}, {"access": "token"}], {}, ""),
        ([{}], {"access": {"default": "impersonate"}}, ""),
        ([], {}, ""),
    ],
)
def test_callers_are_merged_into_one_account_only_where_that_is_said(
    tmp_path: Path, clusters: list[dict[str, Any]], more: dict[str, Any], refused: str
) -> None:
    made = settings(tmp_path, *clusters, **more)
    if not refused:
        made.check_callers(authenticated=True)
        return
    with pytest.raises(Misconfigured) as caught:
        made.check_callers(authenticated=True)
    assert f"'{refused}'" in caught.value.message
    assert "access: impersonate" in caught.value.remedy and "shared_service_account: true" in caught.value.remedy


def test_one_caller_needs_nothing_said_and_has_no_token_to_pass_on(tmp_path: Path) -> None:
    settings(tmp_path, {}, {"access": "impersonate"}).check_callers(authenticated=False)
    with pytest.raises(Misconfigured) as caught:
        settings(tmp_path, {}, {"access": "token"}).check_callers(authenticated=False)
    assert "'c1'" in caught.value.message and "http.auth" in caught.value.remedy


def test_the_server_does_not_start_where_it_would_merge_its_callers(world: World, tmp_path: Path) -> None:
    file = world.platform_file(tmp_path, http={"auth": AUTH})
    done = subprocess.run(
        warm.command("serve", "--config", str(file), "--http", "127.0.0.1:0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0 and "Listening" not in done.stderr
    assert "'sandbox'" in done.stderr and "shared_service_account" in done.stderr and "impersonate" in done.stderr


def used_in(file: Path) -> set[str]:
    """Every name that a file uses: what it only imports or defines is left out, and so are texts.

    Told from its tokens: CPython 3.11 now and then fails to build a syntax tree (python/cpython#106905).
    """
    found: set[str] = set()
    first = before = ""
    with tokenize.open(file) as text:
        for token in tokenize.generate_tokens(text.readline):
            if token.type == tokenize.NEWLINE:
                first = ""
            elif token.type == tokenize.NAME:
                first = first or token.string
                if first not in ("from", "import") and before != "def":
                    found.add(token.string)
                before = token.string
    return found


def test_only_the_guard_and_the_resumer_say_for_whom_work_is_done() -> None:
    root = Path(ai_platform_mcp.__file__).parent
    found: dict[str, set[str]] = {}
    for file in root.rglob("*.py"):
        for name in used_in(file) & {"acting_for", "acting_for_owner", "_acting"}:
            found.setdefault(name, set()).add(file.relative_to(root).as_posix())
    assert found == {
        "acting_for": {"core/guard.py"},
        "acting_for_owner": {"core/resume.py"},
        "_acting": {"core/acting.py"},
    }
