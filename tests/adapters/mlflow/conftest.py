"""One suite over MLflow's SQL store and a real MLflow server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from real_servers import mlflow_server, skinny_version
from real_targets import both, met


@pytest.fixture(scope="session")
def sandbox_registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    met("mlflow", skinny_version(), "sandbox")
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow-server")) as uri:
        yield uri


@pytest.fixture(params=both("mlflow"))
def uri(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_registry"))
