"""The OpenAPI document and its pages: complete, served from here, one operation for each route."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from engine.api.app import TABLES, endpoints
from engine.api.problems import PROBLEMS
from engine.store.connections import Database
from engine.store.doorway import Store
from tests.api_client import open_api

CONTRACT = {
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/batch"),
    ("GET", "/v1/messages"),
    ("GET", "/v1/messages/{message_id}"),
    ("GET", "/v1/messages/{message_id}/timeline"),
    ("POST", "/v1/messages/{message_id}/cancel"),
    ("POST", "/v1/verifications"),
    ("GET", "/v1/verifications"),
    ("GET", "/v1/verifications/{verification_id}"),
    ("GET", "/v1/verifications/{verification_id}/timeline"),
    *(
        ("POST", f"/v1/verifications/{{verification_id}}/{what}")
        for what in ("checks", "resend", "cancel", "voice-code")
    ),
    ("GET", "/v1/lookup/{number}"),
    ("POST", "/v1/preview"),
    ("GET", "/v1/applications"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("GET", "/v1/webhook-endpoints"),
    ("GET", "/v1/events"),
    ("POST", "/v1/events/{position}/replay"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/replies/{reply_id}"),
    ("PUT", "/v1/profiles/{name}"),
}


@pytest.fixture
async def pages(sqlite_database: Database) -> dict[str, httpx2.Response]:
    """The document and the pages that show it."""
    store = Store(sqlite_database, inline=True)
    store.open()
    async with open_api(store) as api:
        paths = ("/openapi.json", "/docs", "/redoc", "/static-offline-docs/swagger-ui-bundle.js")
        found = {path: await api.anonymous.get(path) for path in paths}
    await store.close()
    return found


def test_the_contract_is_there() -> None:
    assert set(endpoints()) >= CONTRACT
    assert len(endpoints()) == len(set(endpoints()))


async def test_every_collection_has_a_cursor_paged_get(pages: dict[str, httpx2.Response]) -> None:
    document = pages["/openapi.json"].json()
    creates = {path for method, path in endpoints() if method == "POST" and "{" not in path}
    collections = {path for path in creates if any(other.startswith(f"{path}/{{") for _, other in endpoints())}
    assert {"/v1/messages", "/v1/verifications", "/v1/keys", "/v1/webhook-endpoints"} <= collections
    for path in collections:
        names = {one["name"] for one in document["paths"][path]["get"]["parameters"]}
        assert {"limit", "cursor"} <= names, path


async def test_every_operation_documents_its_refusals_as_problems(pages: dict[str, httpx2.Response]) -> None:
    document = pages["/openapi.json"].json()
    for table in TABLES:
        for endpoint in table.endpoints:
            operation = document["paths"][endpoint.path][endpoint.method.lower()]
            assert operation["security"] == [{"key": []}]
            assert operation["description"]
            for status in ("400", "401", "403", "404", "413", "422", "429", "503"):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"]
            named = set(re.findall(r"`(\w+)`", str(operation["responses"])))
            assert set(endpoint.refuses) <= named <= PROBLEMS.keys()
            if endpoint.method == "POST":
                assert "Idempotency-Key" in {one["name"] for one in operation["parameters"]}


async def test_every_reference_of_the_document_leads_somewhere(pages: dict[str, httpx2.Response]) -> None:
    document = pages["/openapi.json"].json()
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)))
    assert references <= document["components"]["schemas"].keys()
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_pages_load_nothing_from_elsewhere(pages: dict[str, httpx2.Response]) -> None:
    for path in ("/docs", "/redoc"):
        assert pages[path].status_code == 200
        sources = re.findall(r'(?:src|href)="([^"]+)"', pages[path].text)
        assert sources
        assert all(source.startswith("/") for source in sources), sources
    assert pages["/static-offline-docs/swagger-ui-bundle.js"].status_code == 200


def test_no_module_of_the_api_decides_or_queries_by_itself() -> None:
    folder = Path(__file__).parents[1] / "engine" / "api"
    for module in folder.glob("*.py"):
        text = module.read_text()
        assert "import workflows" not in text
        assert "from workflows" not in text
        assert "import phonenumbers" not in text
