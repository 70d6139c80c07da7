"""One frozen settings model: flags over environment over the platform file over defaults.

Environment variables start with ``AI_PLATFORM_`` and use ``__`` between levels (``AI_PLATFORM_MLFLOW__URI``). The platform
file is YAML, named by ``--config`` or ``AI_PLATFORM_CONFIG``, else ``platform.yaml`` in the user's configuration folder.
Where none exists and no cluster is named otherwise, the sandbox is the platform, and no kubeconfig that happens to lie
around is ever looked at.

Clusters are named one by one. ``role`` says what a cluster is for; a call that names no cluster takes the one whose role fits,
and tools that choose a place choose among all of them. ``facts`` reach policy as ``targets[].cluster_facts``::

    clusters:
      - name: east
        kubeconfig: ~/.kube/config
        context: east-admin
        role: cloud                 # cloud, edge or both
        cloud: aws
        region: us-east-1
        prices:                     # for flavors without a price of their own; the platform's prices come last
          device_hourly_cents: {a100: 343}
          basis: AWS list, 2026-08
        facts:
          allowed_teams: [vision]   # empty: every team
          protected: true           # every change needs an approver
          tier: gold
          data_classification: internal
          labels: {owner: sre}      # for rules of your own
        serverless: {role_arn: "arn:aws:iam::123456789012:role/models"}   # Cloud Run: project, location, service_account
      - {name: stores, in_cluster: true, role: edge}

What serving costs and what is promised is written down per model, and ``*`` is for all others; ``platform routing status``
and right-sizing count with it (``core.tariff`` has every field)::

    routing:
      proxy: {deployment: litellm}  # restarted when route_model changes its ConfigMap
      gateway: {name: models, namespace: gateways, domain: models.example.com}
      tariff:
        basis: hardware over 36 months with power and line, 2026-08
        edge_node_hourly_cents: {NVIDIA-Jetson-AGX-Orin: 9}
        models:
          "*": {slo_seconds: 1}
          vision-v3: {slo_seconds: 0.25, cloud: {request_cents: 0.006}, edge: {slots: 2}}
        serverless:
          knative: {unit_hourly_cents: 38, cold_start_seconds: 9}
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.facts import ClusterFacts
from ai_platform_mcp.core.serverless import ServerlessAccount
from ai_platform_mcp.core.tariff import Tariff

APP = "ai-platform-mcp"
AccessMode = Literal["service", "impersonate", "token"]


def _user_folder(kind: Literal["state", "config"]) -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir(APP) if kind == "state" else platformdirs.user_config_dir(APP))


class Section(BaseModel):
    """A part of the settings: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PriceSettings(Section):
    """Prices of one device-hour, in cents, by flavor or accelerator name. ``basis`` names the price list and its date."""

    device_hourly_cents: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    basis: str = "platform file"


class ImpersonationSettings(Section):
    """How callers are called in a cluster that impersonates them.

    The user is ``user_prefix`` and the caller's id (``issuer#subject``) or only the subject; the groups are ``group_prefix``
    and ``team:NAME``, ``role:NAME``, ``group:NAME`` for those of ``groups_from``. Nothing becomes a ``system:`` name.
    """

    user_prefix: str = Field(default="aiplatform:", pattern=r"^[!-+\--~]*$")
    group_prefix: str = Field(default="aiplatform:", pattern=r"^[!-+\--~]*$")
    user_from: Literal["id", "subject"] = "id"
    groups_from: tuple[Literal["team", "roles", "groups"], ...] = ("team", "roles")


class AccessSettings(Section):
    """Whom clusters see, where a cluster does not say it for itself (docs/identity.md).

    ``service``: our own credentials, whoever calls. ``impersonate``: the caller, by impersonation headers. ``token``: the
    caller, by the bearer token they came in with over HTTP. ``shared_service_account``: with several callers, ``service``
    makes them one in the cluster's RBAC and audit; that is refused at start unless this says that it is meant.
    """

    default: AccessMode = "service"
    shared_service_account: bool = False
    impersonation: ImpersonationSettings = ImpersonationSettings()


class ClusterSettings(Section):
    """One cluster: where it is and what holds for everything in it."""

    name: str
    kubeconfig: Path | None = None
    """File to read; with it a ``context``. Never guessed."""
    context: str | None = None
    in_cluster: bool = False
    role: Literal["cloud", "edge", "both"] = "both"
    environment: Literal["dev", "staging", "production"] | None = None
    cloud: str = ""
    region: str = ""
    prices: PriceSettings | None = None
    """Outranked by the price that a flavor carries itself; outranks the platform's ``prices``."""
    facts: ClusterFacts = ClusterFacts()
    serverless: ServerlessAccount = ServerlessAccount()
    access: AccessMode | None = None
    """Whom the cluster sees; the platform's ``access.default`` where None."""
    shared_service_account: bool | None = None
    """Says so for this cluster; the platform's ``access.shared_service_account`` where None."""

    @model_validator(mode="after")
    def _says_where(self) -> ClusterSettings:
        if self.in_cluster == (self.kubeconfig is not None):
            raise ValueError(f"cluster {self.name!r} needs either in_cluster: true or a kubeconfig")
        return self


class MlflowSettings(Section):
    """The registry: an MLflow server's URL or a SQL store URI. Credentials come from MLflow's own environment variables."""

    uri: str = ""
    seconds: float = 15.0


class PrometheusSettings(Section):
    """The metrics store. ``tenant`` are label matchers forced into every query (``{team}``: the caller's team).

    ``metrics_by_role`` lists patterns of metric names that free PromQL may name, by role; ``*`` is for all other roles, and an
    empty list is everything. Empty: every metric for everyone.
    """

    url: str = ""
    token_file: Path | None = None
    token_env: str = ""
    tenant: dict[str, str] = Field(default_factory=dict)
    metrics_by_role: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    seconds: float = 10.0


class ScalingSettings(Section):
    """How KEDA learns of requests for a service that has no replicas: asked where requests arrive, since nothing else runs.

    ``prometheus_url`` is as pods of the cluster reach it. In ``query``, ``$model`` and ``$namespace`` stand for the service; it
    must give one number. ``per_replica`` is how much of it one replica takes.
    """

    prometheus_url: str = Field(pattern=r"^https?://.+$")
    query: str = Field(pattern=r"\$model")
    per_replica: int = Field(ge=1)


class ProxySettings(Section):
    """The LiteLLM proxy that each namespace has: which ConfigMap it reads, and under which key.

    ``deployment`` is restarted when that changes, for the proxy reads it only then; without one a person has to.
    ``keys`` names the environment variable with a server's key, by target.
    """

    config_map: str = "litellm-config"
    key: str = Field(default="config.yaml", pattern=r"\.ya?ml$")
    deployment: str = ""
    keys: dict[str, Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]] = Field(default_factory=dict)


class GatewaySettings(Section):
    """The Gateway that routes attach to, and the domain under which each group of servers gets a host name.

    ``picker`` is the Service of an endpoint picker that each namespace has: cloud replicas then stand in an InferencePool.
    """

    name: str
    namespace: str | None = None
    domain: str
    picker: str = ""
    picker_port: int = Field(default=9002, ge=1, le=65535)


class RoutingSettings(Section):
    """What stands between clients and models, what serving costs, and what is promised."""

    proxy: ProxySettings = ProxySettings()
    gateway: GatewaySettings | None = None
    tariff: Tariff = Tariff()


class PolicySettings(Section):
    """Which engine judges, on which files. Empty ``dir``: the policies that ship with this version."""

    engine: Literal["embedded", "opa"] = "embedded"
    dir: Path | None = None
    opa_url: str = ""
    seconds: float = 2.0

    @model_validator(mode="after")
    def _opa_has_url(self) -> PolicySettings:
        if self.engine == "opa" and not self.opa_url:
            raise ValueError("policy.engine is opa and policy.opa_url is empty")
        return self


class IdentitySettings(Section):
    """Who the local caller is, where no token says it."""

    id: str = Field(default_factory=lambda: f"local:{getpass.getuser()}")
    kind: Literal["human", "agent", "service"] = "agent"
    team: str = "vision"
    roles: tuple[str, ...] = ("developer",)


class HttpAuthSettings(Section):
    """Bearer tokens over HTTP: JWTs of this issuer for this audience. Claims name team and roles."""

    issuer: str
    audience: str
    jwks_url: str
    resource_url: str
    required_scopes: tuple[str, ...] = ()
    team_claim: str = "team"
    roles_claim: str = "roles"


class HttpSettings(Section):
    """Streamable HTTP."""

    auth: HttpAuthSettings | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()


class GitOpsSettings(Section):
    """Change clusters by commits rather than directly: manifests go to ``path`` on a branch per operation."""

    repository: str
    base: str = "main"
    path: str = "clusters"


class GuardSettings(Section):
    """How strict the one path is."""

    plan_minutes: int = Field(default=15, ge=1, le=24 * 60)
    replay_minutes: int = Field(default=10, ge=1, le=24 * 60)
    reads_per_minute: int = Field(default=600, ge=1)
    writes_per_minute: int = Field(default=60, ge=1)
    read_seconds: float = Field(default=20.0, gt=0, le=120)
    plan_seconds: float = Field(default=30.0, gt=0, le=120)
    step_seconds: float = Field(default=30.0, gt=0, le=80)
    """Below the lease of an operation (90 s), so that a slow step is never taken over while it runs."""


class Settings(BaseSettings):
    """Everything that can be set. Created once, by ``load``."""

    model_config = SettingsConfigDict(
        env_prefix="AI_PLATFORM_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    config: Path | None = None
    state_dir: Path = Field(default_factory=lambda: _user_folder("state"))
    read_only: bool = False
    clusters: tuple[ClusterSettings, ...] = ()
    access: AccessSettings = AccessSettings()
    mlflow: MlflowSettings = MlflowSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    policy: PolicySettings = PolicySettings()
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    http: HttpSettings = HttpSettings()
    journal_url: str = ""
    budgets_cents: dict[str, int] = Field(default_factory=dict)
    prices: PriceSettings = PriceSettings()
    golden_paths: dict[str, dict[str, Any]] = Field(default_factory=dict)
    gitops: GitOpsSettings | None = None
    scaling: ScalingSettings | None = None
    routing: RoutingSettings = RoutingSettings()
    guard: GuardSettings = GuardSettings()

    @property
    def sandboxed(self) -> bool:
        """Whether the laptop sandbox is the platform: no cluster, registry or metrics store is named."""
        return not (self.clusters or self.mlflow.uri or self.prometheus.url)

    def access_to(self, cluster: ClusterSettings) -> AccessMode:
        """Return whom a cluster sees."""
        return cluster.access or self.access.default

    def check_callers(self, *, authenticated: bool) -> None:
        """Refuse to serve over HTTP where callers would become one in a cluster unsaid, or a cluster wants tokens nobody has.

        The sandbox is left out: everything in it is made up, and it belongs to whoever started it.

        Raises:
            Misconfigured: naming the cluster and what can be set.
        """
        for row in self.clusters:
            mode = self.access_to(row)
            shared = row.shared_service_account
            if (
                mode == "service"
                and authenticated
                and not (self.access.shared_service_account if shared is None else shared)
            ):
                raise _merged(row.name)
            if mode == "token" and not authenticated:
                raise Misconfigured(
                    f"Cluster {row.name!r} is reached with callers' own tokens, and this server takes none.",
                    cause="Its `access` is `token`, and http.auth is not configured.",
                    remedy="Configure http.auth, or set the cluster's `access` to `service` or `impersonate`.",
                )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: flags, environment, platform file."""
        path = _config_path(init_settings().get("config"))
        if path is None:
            return (init_settings, env_settings)
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=path))


def _merged(cluster: str) -> Misconfigured:
    return Misconfigured(
        f"Refusing to merge all callers into one service account in cluster {cluster!r}.",
        cause="Over HTTP with authentication several people call, and its `access` is `service`: the cluster's RBAC could not "
        "tell them apart, each would see and change whatever this server may, and the cluster's audit would name nobody "
        "but this server.",
        remedy="Set `access: impersonate` (or `token`) for that cluster, so that it sees each caller; or, if one account for "
        "everybody is meant and policy alone is to keep them apart, set `shared_service_account: true` for it.",
        details={"cluster": cluster},
    )


def default_config_path() -> Path:
    """Return where the platform file is looked for when nothing names it."""
    return _user_folder("config") / "platform.yaml"


def _config_path(flag: object) -> Path | None:
    named = flag or os.environ.get("AI_PLATFORM_CONFIG")
    if named:
        path = Path(str(named)).expanduser()
        if not path.is_file():
            raise Misconfigured(
                f"The platform file {path} does not exist.", remedy="Correct --config or AI_PLATFORM_CONFIG."
            )
        return path
    default = default_config_path()
    return default if default.is_file() else None


def load(**flags: Any) -> Settings:
    """Read the settings. ``flags`` that are None do not count.

    Raises:
        Misconfigured: naming every wrong key, with what is wrong with it.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in row['loc']) or 'settings'}: {row['msg']}" for row in error.errors()
        ]
        raise Misconfigured(
            f"The settings are wrong: {'; '.join(problems)}.",
            remedy="Correct the platform file or the AI_PLATFORM_ variables; `platform doctor` shows which file is read.",
        ) from None
