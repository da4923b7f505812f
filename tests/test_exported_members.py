"""The names that other programs import are these and no others: nothing leaks out or vanishes unnoticed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import pytest

import inference
import streams
from streams import errors

PUBLIC = {
    "streams.rates": ["Estimate", "PairRate", "Rate", "RateReader", "Rates", "WINDOWS"],
    "streams.reviews": ["History", "Review", "ReviewEntry", "Reviews"],
    "streams.subscribers": ["AlertFilter", "AlertStream"],
    "streams.monitors": [
        "AlarmSettings",
        "Evidence",
        "Monitor",
        "Rules",
        "Source",
        "TermSettings",
        "TextSettings",
        "Uncertain",
        "VocabularySource",
        "load_monitor",
        "shipped_monitors",
    ],
    "streams.settings": ["Settings", "load_settings"],
}
MODULES = sorted(
    module.name
    for package in (streams, inference)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


def public_names(module: ModuleType) -> set[str]:
    """Classes, functions and values that a module shows, without what it only imports from elsewhere."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_what_a_program_may_import_is_listed_and_there(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(module.__all__) == PUBLIC[name]
    assert set(module.__all__) <= public_names(module)


@pytest.mark.parametrize("name", MODULES)
def test_every_exported_name_exists_once(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    assert [member for member in exported if not hasattr(module, member)] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".") == 1])
def test_a_package_shows_what_it_exports_and_nothing_else(name: str) -> None:
    package = importlib.import_module(name)
    if hasattr(package, "__path__"):
        assert public_names(package) == set(getattr(package, "__all__", []))


def test_every_error_of_the_tree_is_exported_and_drawn() -> None:
    classes = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert classes == set(errors.__all__)
    assert errors.__doc__ is not None
    for name in classes:
        assert re.search(rf"\b{name}\b", errors.__doc__)
