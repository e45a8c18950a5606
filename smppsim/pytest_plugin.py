"""The pytest plugin: an operator for each test that asks for one, stopped afterwards, its PDUs shown on failure.

Loaded by pytest in every project that has this package installed, so that it imports nothing of the simulator
until a test uses a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from smppsim.testing import Operator
    from smppsim.testing.operator import AnyScenario

_OPERATORS = pytest.StashKey[list["Operator"]]()


@pytest.fixture
def smppsim_scenario() -> AnyScenario:
    """What `smppsim` plays; override it in a test module or conftest.py. None is one account, demo / demo."""
    return None


@pytest.fixture
def smppsim_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Operator]]:
    """Starts operators: `smppsim_factory(scenario, seed=7, within_s=10)`; all of them end with the test."""
    from smppsim.testing import Operator

    started = request.node.stash.setdefault(_OPERATORS, [])
    with ExitStack() as running:

        def start(scenario: AnyScenario = None, **options: Any) -> Operator:
            operator = running.enter_context(Operator(scenario, **options))
            started.append(operator)
            return operator

        yield start
        started.clear()


@pytest.fixture
def smppsim(smppsim_factory: Callable[..., Operator], smppsim_scenario: AnyScenario) -> Operator:
    """A simulated SMSC on loopback: `host`, `port`, `system_id`, `password`, and everything to do with it."""
    return smppsim_factory(smppsim_scenario)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what every operator of a failed test has seen, unless the failure shows it already."""
    report = yield
    if report.failed and "\nE       PDUs:" not in report.longreprtext:
        for operator in item.stash.get(_OPERATORS, []):
            report.sections.append((f"smppsim on port {operator.port}", _story(operator)))
    return report


def _story(operator: Operator) -> str:
    try:
        return operator.story()
    except RuntimeError as error:
        return str(error)
