"""The systems that a suite may meet for real: how each is found, what it is called in a report, and the line that enables it.

A test says what it ran on with ``@pytest.mark.system("kubernetes", target="real")``, or gets the mark with its parameter from
``both``. Whoever starts or finds a target says so with ``met``; whoever finds none skips with ``absent``. The report in
``real_report.py`` is made of these marks and words alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class System:
    """An outside system: its name in the report, and what to type so that the real one is used."""

    title: str
    enable: str


SYSTEMS = {
    "kubernetes": System(
        "Kubernetes API",
        "KUBEBUILDER_ASSETS=$(setup-envtest use -p path) make test-real   "
        "# or TEST_KUBECONFIG=a disposable cluster's kubeconfig",
    ),
    "kueue": System("Kueue", "KUEUE_MANAGER=/path/to/kueue/bin/manager make test-real   # with KUBEBUILDER_ASSETS"),
    "mlflow": System(
        "MLflow server", "make test-real   # installs one into .venv-real; or MLFLOW_TRACKING_URI=http://…"
    ),
    "prometheus": System(
        "Prometheus", "apt-get install -y --no-install-recommends prometheus   # or PROMETHEUS_URL=http://…"
    ),
    "opa": System("OPA over REST", "OPA_COMMAND=/path/to/opa make test-real   # or OPA_URL=http://…, policies/ loaded"),
    "opa-library": System(
        "OPA in process",
        ".venv/bin/python -m pip install --ignore-requires-python --no-deps opa-golib-python-bindings==0.4.4",
    ),
    "postgresql": System(
        "PostgreSQL",
        "apt-get install -y --no-install-recommends postgresql   # or TEST_POSTGRES_URL=postgresql+psycopg://…",
    ),
    "litellm": System(
        "LiteLLM proxy",
        "python -m venv .venv-litellm && .venv-litellm/bin/pip install 'litellm[proxy]==1.106.2' 'prometheus-client<1' && "
        "LITELLM_COMMAND=.venv-litellm/bin/litellm make test-real   # never 1.82.7 or 1.82.8: they were malware",
    ),
}

_versions: dict[tuple[str, str], str] = {}


def met(system: str, version: str, target: str = "real") -> None:
    """Remember for the report what a target is, such as ``Prometheus 2.42.0 (/usr/bin/prometheus)``."""
    _versions[system, target] = version


def version_of(system: str, target: str) -> str:
    return _versions.get((system, target), "")


def absent(system: str, why: str) -> NoReturn:
    """Skip, with the reason and the line that would enable the system."""
    pytest.skip(f"{why}; enable with: {SYSTEMS[system].enable}")


def on(system: str, target: str = "real") -> pytest.MarkDecorator:
    return pytest.mark.system(system, target=target)


def both(system: str) -> list[Any]:
    """The parameters ``sandbox`` and ``real`` of a fixture, each with its mark."""
    return [pytest.param(target, marks=on(system, target)) for target in ("sandbox", "real")]


def command(variable: str, *names: str) -> str | None:
    """The program that an environment variable names, or else the first of ``names`` on PATH."""
    named = os.environ.get(variable, "")
    if named:
        return shutil.which(named)
    return next((path for name in names if (path := shutil.which(name))), None)


def mlflow_command() -> str | None:
    """A full installation of MLflow: named, in this environment, or in the one that ``make test-real`` makes."""
    named = os.environ.get("MLFLOW_COMMAND")
    if named:
        return shutil.which(named)
    own = Path(sys.executable).with_name("mlflow")
    if find_spec("flask") is not None and own.exists():
        return str(own)
    return shutil.which(ROOT / ".venv-real" / "bin" / "mlflow")


def kubernetes_assets() -> Path | None:
    """A folder with etcd and kube-apiserver, where the field looks for it."""
    for folder in (os.environ.get("KUBEBUILDER_ASSETS", ""), "/usr/local/kubebuilder/bin"):
        if folder and all((Path(folder) / name).exists() for name in ("etcd", "kube-apiserver")):
            return Path(folder)
    return None
