"""schemathesis against a real server on each database: no 5xx, no answer that the OpenAPI document lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.store.connections import Database
from tests.amounts import amounts
from tests.servers import RunningServer, running_server

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
]

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server on each kind of database, for the whole module."""
    folder: Path = tmp_path_factory.mktemp(f"server-{request.param}")
    limits = {"requests_per_key": {"count": 100_000, "per_s": 1}}
    if request.param == "sqlite":
        with running_server(folder, f"sqlite:///{folder}/sceau.sqlite3", limits=limits) as running:
            yield running
        return
    postgres = request.getfixturevalue("postgres")
    url = postgres.fresh()
    assert Database.at(url).dialect.name == "postgresql"
    with running_server(folder, url, limits=limits) as running:
        yield running
    postgres.give_back(url)


@pytest.mark.parametrize("examples", amounts(4, 150))  # of each operation: a quarter of a minute, and ten minutes
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_generated_request_gets_an_undocumented_answer(
    server: RunningServer, mode: GenerationMode, examples: int
) -> None:
    headers = {"Authorization": f"Bearer {server.alice}"}
    schema = schemathesis.openapi.from_url(f"{server.api}/openapi.json")
    called = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), "an operation that schemathesis cannot read"
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
            continue  # nothing that could be wrong

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: Case[Any]) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        call()
        called += 1
    assert called >= 25
    assert server.process.poll() is None
