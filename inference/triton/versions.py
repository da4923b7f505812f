"""Which versions of a model there are, which are served, and which artefact each is: the last lines of config.pbtxt.

Triton keeps a folder a version and one configuration for all of them. What vigilia must know of versions stands there,
so that the server reports it (ModelConfig) and a server that starts anew serves the same ones:

```
# Versions. `vigilia model` and `vigilia train export` write the lines below.
version_policy { specific { versions: [ 1, 2 ] } }
parameters { key: "vigilia.1" value: { string_value: "<SHA-256 of version 1's vigilia.json>" } }
parameters { key: "vigilia.2" value: { string_value: "<SHA-256 of version 2's vigilia.json>" } }
parameters { key: "vigilia.history" value: { string_value: "1 2" } }
```
Pure: text in, text out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from streams.errors import ConfigurationError

__all__ = ["HASH_PARAMETER", "HISTORY_PARAMETER", "NONE", "Versions", "read_versions", "with_versions"]

HASH_PARAMETER = "vigilia."  # and the version's number
HISTORY_PARAMETER = "vigilia.history"

_HEADING = "# Versions. `vigilia model` and `vigilia train export` write the lines below."
_POLICY = re.compile(r"^version_policy \{ specific \{ versions: \[ ([\d, ]*) \] \} \}$", re.MULTILINE)
_PARAMETER = re.compile(r'^parameters \{ key: "vigilia\.(\w+)" value: \{ string_value: "([^"]*)" \} \}$', re.MULTILINE)


class Versions(NamedTuple):
    """`hashes`: the SHA-256 of vigilia.json of each version that was pushed. `served`: those that are to be loaded.

    `history`: the versions that were made current, in that order; the last one is current.
    """

    hashes: dict[int, str]
    served: tuple[int, ...] = ()
    history: tuple[int, ...] = ()

    @property
    def current(self) -> int | None:
        """The version that was made current last."""
        return self.history[-1] if self.history else None

    def pushed(self, manifest_hash: str) -> tuple[Versions, int]:
        """With one more version, not served yet, and its number.

        >>> NONE.pushed("ab")[0].pushed("cd")
        (Versions(hashes={1: 'ab', 2: 'cd'}, served=(), history=()), 2)
        """
        number = max(self.hashes, default=0) + 1
        return self._replace(hashes=self.hashes | {number: manifest_hash}), number

    def made_current(self, version: int) -> Versions:
        """With `version` served beside what is served, and current.

        >>> Versions({1: "ab", 2: "cd"}, (1,), (1,)).made_current(2)
        Versions(hashes={1: 'ab', 2: 'cd'}, served=(1, 2), history=(1, 2))
        """
        self._known(version)
        history = self.history if self.current == version else (*self.history, version)
        return self._replace(served=tuple(sorted({*self.served, version})), history=history)

    def only_current(self) -> Versions:
        """With nothing served but the current version.

        >>> Versions({1: "ab", 2: "cd"}, (1, 2), (1, 2)).only_current().served
        (2,)
        """
        return self._replace(served=self.history[-1:])

    def without(self, version: int) -> Versions:
        """With `version` served no longer.

        >>> Versions({1: "ab", 2: "cd"}, (1, 2), (1,)).without(2).served
        (1,)
        """
        return self._replace(served=tuple(number for number in self.served if number != version))

    def before(self) -> Versions:
        """With the version before the current one current again, and served beside it.

        Raises ConfigurationError without one.

        >>> Versions({1: "ab", 2: "cd"}, (2,), (1, 2)).before()
        Versions(hashes={1: 'ab', 2: 'cd'}, served=(1, 2), history=(1,))
        """
        if len(self.history) < 2:
            raise ConfigurationError("no version was current before this one: nothing to go back to")
        return self._replace(
            served=tuple(sorted({*self.served, self.history[-2]})),
            history=self.history[:-1],
        )

    def find(self, wanted: str) -> int:
        """The version named by its number, or by `name@prefix` or a prefix of at least 6 digits of its hash.

        Raises ConfigurationError if there is none, or more than one.

        >>> Versions({1: "ab12cd34", 2: "ab99"}).find("ade@ab12cd")
        1
        """
        prefix = wanted.rpartition("@")[2]
        if prefix.isdecimal() and int(prefix) in self.hashes and "@" not in wanted:
            return int(prefix)
        found = [number for number, known in self.hashes.items() if len(prefix) >= 6 and known.startswith(prefix)]
        if len(found) != 1:
            known = ", ".join(f"{number} ({digest[:12]})" for number, digest in sorted(self.hashes.items()))
            raise ConfigurationError(
                f"{'more than one' if found else 'no'} version {wanted}; there are: {known or '-'}"
            )
        return found[0]

    def _known(self, version: int) -> None:
        if version not in self.hashes:
            raise ConfigurationError(f"no version {version} was pushed")


NONE = Versions({})


def read_versions(text: str) -> Versions:
    """What a configuration says of versions; NONE if nothing. Raises ConfigurationError if it was edited by hand."""
    head, heading, block = text.partition(_HEADING)
    if not heading:
        return NONE
    found = dict(_PARAMETER.findall(block))
    policy = _POLICY.search(block)
    try:
        history = tuple(int(number) for number in found.pop("history", "").split())
        hashes = {int(number): digest for number, digest in found.items()}
        served = tuple(int(number) for number in policy[1].split(",") if number.strip()) if policy else ()
    except ValueError:
        served, hashes, history = (), {}, (0,)
    versions = Versions(dict(sorted(hashes.items())), served, history)
    if with_versions(head, versions) != text:
        raise ConfigurationError(f"config.pbtxt was changed below `{_HEADING}`: put back what vigilia wrote there")
    return versions


def with_versions(text: str, versions: Versions) -> str:
    """The configuration with these versions in place of those it had."""
    head = text.partition(_HEADING)[0].rstrip("\n")
    lines = [head, _HEADING]
    if versions.served:
        lines.append(f"version_policy {{ specific {{ versions: [ {', '.join(map(str, versions.served))} ] }} }}")
    stated = {f"{HASH_PARAMETER}{number}": digest for number, digest in sorted(versions.hashes.items())}
    stated[HISTORY_PARAMETER] = " ".join(map(str, versions.history))
    lines += [f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}' for key, value in stated.items()]
    return "\n".join(lines) + "\n"
