"""Versions of a model on running servers: what each server says of them, and loading others without a gap.

A load reads the configuration anew. What was served and still is to be served answers all through; what is new comes
beside it; what is served no longer ends when its last request is answered. So a change is: the new version beside the
old, look whether it answers right, then end the old. (Unloading and loading one and the same version leaves a gap:
triton-inference-server/server#5757.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from inference.triton.connection import Connection, Question
from inference.triton.identity import Known, agrees, known_answer
from inference.triton.repository import Repository
from inference.triton.versions import HASH_PARAMETER, Versions
from streams.errors import ClassifierError, VigiliaError, WrongModel

__all__ = ["Finding", "activate", "look", "roll_back"]

READY = "READY"
ANSWER_SECONDS = 30.0


class Finding(NamedTuple):
    """What was found of one version. `artefact` is None if its files in the repository are not as they were pushed.

    `state` is Triton's word, empty for a version that the server does not know. `fault` says what is wrong; None for
    one that is well, or is not to be served.
    """

    version: int
    artefact: str | None
    current: bool
    served: bool
    state: str
    fault: str | None


async def look(repository: Repository, connection: Connection) -> list[Finding]:
    """Each version: its files, what the server says of it, and whether it gives the answer that the files give here.

    Raises Unavailable if the server can't be asked.
    """
    versions = repository.versions()
    states = await connection.states(ANSWER_SECONDS)
    return [await _look_at(repository, versions, number, states, connection) for number in versions.hashes]


async def _look_at(
    repository: Repository,
    versions: Versions,
    number: int,
    states: dict[int, tuple[str, str]],
    connection: Connection,
) -> Finding:
    state, why = states.get(number, ("", ""))
    artefact, fault = None, None
    served = number in versions.served
    try:
        with repository.artefact(number) as found:
            artefact = found.model
            if state == READY:
                await _verify(connection, number, versions.hashes[number], known_answer(found))
            elif served:
                fault = f"not ready: {why or state or 'the server does not know it'}"
    except VigiliaError as error:
        fault = str(error)
    return Finding(number, artefact, number == versions.current, served, state, fault)


async def _verify(connection: Connection, version: int, stated: str, known: Known) -> None:
    """Raise WrongModel unless the server names this hash for the version and it answers as the artefact does here.

    The hash is what the server's configuration said when it was loaded. That the weights are the artefact's, only the
    answer shows.
    """
    _, config = await connection.described(str(version), ANSWER_SECONDS)
    reported = _reported(config, version)
    if reported != stated:
        raise WrongModel(
            f"{connection.where}: version {version} is {reported[:12] or 'of no known artefact'} to the server, "
            f"{stated[:12]} in the repository: it was not loaded since, or from another folder"
        )
    answer = await connection.infer(Question(known.question), str(version), ANSWER_SECONDS)
    if not agrees(answer, known):
        raise WrongModel(f"{connection.where}: version {version} answers otherwise than its artefact does here")


async def _is_well(connection: Connection, version: int, stated: str, known: Known) -> bool:
    try:
        await _verify(connection, version, stated, known)
    except ClassifierError:
        return False
    return True


def _reported(config: Any, version: int) -> str:
    key = f"{HASH_PARAMETER}{version}"
    return str(config.parameters[key].string_value) if key in config.parameters else ""


async def activate(
    repository: Repository, connections: Sequence[Connection], version: int, seconds: float, only: bool = False
) -> Versions:
    """Serve `version` beside what is served and make it current, server by server; with `only`, end the others then.

    What can't be loaded, or answers wrong, is taken back on every server and in the repository. `seconds` bound one
    load: TensorRT builds its engine within it. Returns the versions now. Raises WrongModel, Unavailable.
    """
    before = repository.versions()
    after = before.made_current(version)
    await _change(repository, connections, before, after, seconds)
    if only:
        after = after.only_current()
        await _end_others(repository, connections, after, seconds)
    return after


async def roll_back(repository: Repository, connections: Sequence[Connection], seconds: float) -> Versions:
    """Make the version before the current one current again, then end the one that was. As `activate`.

    Raises ConfigurationError if there was none before.
    """
    before = repository.versions()
    after = before.before()
    await _change(repository, connections, before, after, seconds)
    if before.current is not None and before.current != after.current:
        after = after.without(before.current)
        await _end_others(repository, connections, after, seconds)
    return after


async def _change(
    repository: Repository, connections: Sequence[Connection], before: Versions, after: Versions, seconds: float
) -> None:
    version = after.current
    assert version is not None
    with repository.artefact(version) as artefact:
        known = await asyncio.to_thread(known_answer, artefact)
    repository.write(after)
    begun: list[Connection] = []
    try:
        for connection in connections:
            if version in before.served and await _is_well(connection, version, after.hashes[version], known):
                continue  # it is served already; a load would start every version anew for nothing
            begun.append(connection)
            await connection.load(seconds)
            await _verify(connection, version, after.hashes[version], known)
    except BaseException:
        repository.write(before)
        for connection in begun:
            with suppress(ClassifierError):  # the first error is the one to tell; a server that is away reads it later
                await connection.load(seconds)
        raise


async def _end_others(
    repository: Repository, connections: Sequence[Connection], after: Versions, seconds: float
) -> None:
    repository.write(after)
    for connection in connections:
        await connection.load(seconds)
