"""The README says what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from ai_platform_mcp.resources import CATALOGUE as RESOURCES
from ai_platform_mcp.server.prompts import PROMPTS
from ai_platform_mcp.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tool_table_and_the_contracts_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "contracts.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_resource_and_prompt_is_named() -> None:
    assert [row.template for row in RESOURCES if row.template not in README] == []
    assert [name for name in PROMPTS if name not in README] == []


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ make (\w+)", README, flags=re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{name}:", makefile, flags=re.MULTILINE) for name in commands)


def test_the_platform_file_it_shows_is_one_the_settings_read() -> None:
    shown = re.search(r"```yaml\n(clusters:.*?)```", README, flags=re.DOTALL)
    assert shown is not None
    settings = Settings.model_validate(yaml.safe_load(shown.group(1)))
    assert [row.name for row in settings.clusters] == ["prod-eu", "edge"]
    assert settings.gitops is not None
    assert settings.http.auth is not None


def test_every_file_it_links_or_names_exists() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    named = re.findall(r"`((?:src|policies|tools|tests|benchmarks)/[\w./-]+)`", README)
    assert [path for path in (*linked, *named) if not (ROOT / path).exists()] == []


def test_every_platform_command_it_names_is_there() -> None:
    from typer.main import get_command

    from ai_platform_mcp.cli.main import app

    known = set(get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue]
    used = set(re.findall(r"`platform (?:-o \w+ )?([a-z]+)", README))
    assert used - known == set()
    assert {"doctor", "connect", "approvals", "audit", "policy"} <= used
