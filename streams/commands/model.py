"""`vigilia model`: versions of the classifier on Triton servers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streams.commands.options import json_option, prepare
from streams.commands.output import print_table, write_json
from streams.errors import ConfigurationError
from streams.settings import Settings

if TYPE_CHECKING:
    from inference.triton.connection import Connection
    from inference.triton.repository import Repository
    from inference.triton.versions import Versions

__all__ = ["command"]

Result = TypeVar("Result")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_REPOSITORY = "Folder that the servers read; without it VIGILIA_MODEL_REPOSITORY."
_repository_option: Decorator = click.option(
    "--repository", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help=_REPOSITORY
)
_seconds_option: Decorator = click.option(
    "--seconds",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="How long a server may take to load; on a GPU it builds an engine meanwhile.",
)


@click.group("model", short_help="Put versions of the classifier on Triton servers.")
def command() -> None:
    """Put versions of the classifier on Triton servers, and change between them.

    A repository is the folder that `tritonserver --model-repository` reads; VIGILIA_TRITON_URLS names the servers. A
    worker asks for the version that is its own artefact (VIGILIA_MODEL_FOLDER), by its hash: so a new version beside
    the old changes nothing for the workers that run, and those with the new artefact find it. VERSION is a number, or
    `name@prefix` as in alerts.

    \b
    Examples:
      vigilia model push training/runs/latest/int8/adverse_event
      vigilia model load 2
      vigilia model status
      vigilia model rollback
    """


@command.command("push", short_help="Copy an artefact into the repository, as its next version.")
@click.argument("artefact", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_repository_option
def push(artefact: Path, folder: Path | None) -> None:
    """Copy an artefact into the repository, as its next version.

    ARTEFACT is a folder with a vigilia.json, whose hashes are checked. In a new repository it becomes version 1, which
    is served when the servers start. Else nothing changes until `load`. One that is there already is not put there
    twice.
    """
    settings = prepare()
    from inference.artefact import load_artefact

    repository = _repository(settings, folder)
    loaded = load_artefact(artefact)
    version, new = repository.push(loaded)
    click.echo(f"{loaded.model} is version {version}{'' if new else ' already'}  {repository.model}")


@command.command("load", short_help="Serve a version beside the one that is served.")
@click.argument("version")
@click.option("--only", is_flag=True, help="End the other versions once it answers right.")
@_repository_option
@_seconds_option
def load(version: str, only: bool, folder: Path | None, seconds: float) -> None:
    """Serve a version beside the one that is served, and make it the current one.

    Server by server, without a gap. On each it must give the answer that the same files give in this process; one that
    can't be loaded or answers otherwise is taken back everywhere. The other versions are served on, for workers that
    ask for them; `--only` ends them.
    """
    settings = prepare()
    from inference.triton.control import activate

    repository = _repository(settings, folder)
    number = repository.versions().find(version)
    after = _on_servers(settings, lambda servers: activate(repository, servers, number, seconds, only))
    _say(after)


@command.command("rollback", short_help="Go back to the version before.")
@_repository_option
@_seconds_option
def rollback(folder: Path | None, seconds: float) -> None:
    """Go back to the version that was current before, and end the one that is.

    Server by server: the old version is loaded if it is not served any more, must answer right, and only then the
    other one ends.
    """
    settings = prepare()
    from inference.triton.control import roll_back

    repository = _repository(settings, folder)
    _say(_on_servers(settings, lambda servers: roll_back(repository, servers, seconds)))


@command.command("status", short_help="Show the versions, and whether each answers as it must.")
@_repository_option
@json_option
def status(folder: Path | None, as_json: bool) -> int:
    """Show the versions on each server, and whether each answers as it must.

    Of each version: whether its files are those that were pushed, whether the server says it is ready and names the
    same hash, and whether it gives the answer that the files give in this process. The exit status is 1 if anything is
    wrong.
    """
    settings = prepare()
    from inference.triton.control import Finding, look

    repository = _repository(settings, folder)

    async def looked(servers: list[Connection]) -> dict[str, list[Finding]]:
        return {server.where: await look(repository, server) for server in servers}

    found = _on_servers(settings, looked)
    if as_json:
        write_json([{"server": where} | finding._asdict() for where, part in found.items() for finding in part])
    else:
        for where, part in found.items():
            print_table(("version", "artefact", "", "state", "found"), map(_row, part), title=where)
    return 1 if any(finding.fault for part in found.values() for finding in part) else 0


def _row(finding: Any) -> tuple[object, ...]:
    sign = "current" if finding.current else "served" if finding.served else ""
    well = "answers as it must" if finding.state == "READY" else "its files are whole"
    return finding.version, finding.artefact or "?", sign, finding.state or "-", finding.fault or well


def _say(versions: Versions) -> None:
    served = ", ".join(map(str, versions.served))
    click.echo(f"current: version {versions.current} ({versions.hashes[versions.current or 0][:12]}); served: {served}")


def _repository(settings: Settings, folder: Path | None) -> Repository:
    from inference.triton.repository import Repository

    folder = folder or settings.model_repository
    if folder is None:
        raise ConfigurationError("no repository: give --repository, or set VIGILIA_MODEL_REPOSITORY")
    return Repository(folder, settings.triton_model)


def _on_servers(settings: Settings, work: Callable[[list[Connection]], Awaitable[Result]]) -> Result:
    """Do `work` with a connection to each server of the settings. Raises ConfigurationError without any."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before its import: its lines on stderr are no messages of ours
    from inference.triton.connection import Connection, Tls, address_of

    if settings.triton_urls is None:
        raise ConfigurationError("no server: set VIGILIA_TRITON_URLS, for instance to 127.0.0.1:8001")
    addresses = [address_of(url) for url in settings.triton_urls.split(",")]
    tls = Tls(settings.triton_ca_location, settings.triton_certificate_location, settings.triton_key_location)

    async def connected() -> Result:
        servers = [Connection(address, settings.triton_model, tls) for address in addresses]
        try:
            return await work(servers)
        finally:
            for server in servers:
                await server.close()

    return asyncio.run(connected())
