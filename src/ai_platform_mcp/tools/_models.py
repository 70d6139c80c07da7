"""Reading a model version with its evidence, for every tool that acts on one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast, get_args

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.core.facts import ModelFacts
from ai_platform_mcp.core.plan import Evidence, Precondition
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ModelRow, VersionRow
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.domain.language import devices_said, is_language_model, task_of
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.targets import ModelShape
from ai_platform_mcp.domain.versions import Wanted, format_of, parse_model, size_mib, storage_uri
from ai_platform_mcp.manifests.kserve import ModelFormat


@dataclass(frozen=True)
class Chosen:
    """The version that a call means, with what the registry proves of it."""

    wanted: Wanted
    version: VersionRow
    facts: ModelFacts
    shape: ModelShape
    task: str = ""
    """What it does, empty where the registry does not say it."""
    accelerators: int | None = None
    """How many accelerators one replica takes, None where the registry does not say it."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.version.model

    def storage_uri(self) -> str:
        """Return where the bytes are fetched from, pinned by digest where they are an OCI artifact."""
        return storage_uri(self.version, self.facts.digest)

    def format(self) -> ModelFormat:
        """Return the format that a serving runtime must load.

        Raises:
            InvalidInput: the registry does not say it, or no runtime is known for it.
        """
        if self.shape.format not in get_args(ModelFormat):
            said = f"says {self.shape.format!r}" if self.shape.format else "does not say it"
            raise InvalidInput(
                f"Which format {self.name} {self.version.version} has is not known: the registry {said}.",
                remedy=f"Tag the version aiplatform.format with one of: {', '.join(get_args(ModelFormat))}.",
            )
        return cast("ModelFormat", self.shape.format)

    @property
    def speaks(self) -> bool:
        """Whether it is a language model."""
        return is_language_model(self.shape.format, self.task)

    def preconditions(self) -> tuple[Precondition, ...]:
        """Return what must still hold of the registry: where a call followed an alias, that it still points here."""
        if self.wanted.by != "alias":
            return ()
        subject = f"{self.name}@{self.wanted.key}"
        return (Precondition(kind="alias", subject=subject, expected=self.version.version),)

    def evidence(self) -> Evidence:
        """Return what was read."""
        return Evidence(source="registry", subject=str(self.wanted), version=self.version.version)


async def choose_version(readers: Readers, text: str, environment: Environment, now: datetime) -> Chosen:
    """Return the version that ``name``, ``name@alias`` or ``name:version`` means in an environment.

    Raises:
        InvalidInput: the text names no version.
        NotFound: there is no such model, alias or version.
    """
    wanted = parse_model(text, environment)
    model = await readers.registry.model(wanted.model)
    if model is None:
        raise NotFound(
            f"There is no model {wanted.model!r} in the registry.",
            remedy="Register it first (register_model), or list models with inspect_platform.",
        )
    key = {"latest": model.latest, "alias": f"@{wanted.key}", "version": wanted.key}[wanted.by]
    version = await readers.registry.version(wanted.model, key) if key else None
    if version is None:
        raise _no_version(wanted, model)
    facts = model_facts(version, model, now)
    run = await readers.registry.run(version.run_id) if version.run_id else None
    shape = ModelShape(
        format=format_of(version, model, run), size_mib=size_mib(version, run), residency=facts.residency
    )
    return Chosen(
        wanted=wanted,
        version=version,
        facts=facts,
        shape=shape,
        task=task_of(version, model, run),
        accelerators=devices_said(version, model, run),
    )


def _no_version(wanted: Wanted, model: ModelRow) -> NotFound:
    aliases = ", ".join(f"@{alias} ({version})" for alias, version in sorted(model.aliases.items())) or "none"
    remedy = f"Newest version: {model.latest or 'none'}; aliases: {aliases}."
    if wanted.by == "alias":
        remedy = f"Point it at a version with promote_model. {remedy}"
    return NotFound(f"There is no {wanted} in the registry.", remedy=remedy)
