"""What a CRM posts: /crm/{name}, whose signature is checked before anything is read (HubSpot, version 3).

Not of the API: no key opens it, and the answer says nothing but a status, after the commit.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.api.context import Context
from engine.cases import lead_crm
from engine.crm import hubspot
from engine.errors import CommitUnknown, StoreUnavailable

_REFUSED: Final = 401
_MALFORMED: Final = 400
_AGAIN: Final = 503


def routes(context: Context) -> list[Route]:
    """Return the route of what CRMs post."""
    secrets = {one.name: one.client_secret for one in context.settings.crm}

    async def posted(request: Request) -> Response:
        name: str = request.path_params["name"]
        secret = secrets.get(name)
        body = await request.body()
        timestamp = request.headers.get(hubspot.TIMESTAMP_HEADER, "")
        signed = request.headers.get(hubspot.SIGNATURE_HEADER, "")
        uri = f"{context.settings.http.public_url}{request.url.path}"
        now = context.clock.now()
        if secret is None or not hubspot.is_genuine(secret.get_secret_value(), uri, body, timestamp, signed, now):
            return Response(status_code=_REFUSED)
        try:
            changes = hubspot.changes(body)
        except ValueError:
            return Response(status_code=_MALFORMED)
        try:
            wakes = await context.store.write(lambda tx: lead_crm.heard(tx, context.leads, name, changes, now))
        except (StoreUnavailable, CommitUnknown):
            return Response(status_code=_AGAIN)
        context.wake(wakes.queued, wakes.bells, wakes.on_air)
        return Response(status_code=204)

    return [Route("/crm/{name}", posted, methods=["POST"], include_in_schema=False)]
