"""What is allowed in the settings and still deserves a line at start: one sentence per finding, no secrets.

Nothing here refuses; `settings` does that. The `serve`, `demo` and `config` commands print these.
"""

from collections.abc import Iterator

from engine.settings import Settings
from engine.settings_operators import Account
from engine.settings_routing import Sender, is_french_mobile


def start_warnings(settings: Settings) -> tuple[str, ...]:
    """Return the warnings of a start with these settings."""
    return (
        *_about_links(settings),
        *_about_senders(settings),
        *_about_routes(settings),
        *_about_listeners(settings),
    )


def _about_links(settings: Settings) -> Iterator[str]:
    for account in settings.accounts:
        for bind in account.binds:
            if bind.insecure and bind.tls is None and not bind.stays_here:
                yield (
                    f"accounts.{account.name}.binds.{bind.name}: password and messages travel in clear "
                    f"unless a VPN or tunnel protects the link to {bind.host}"
                )
        if not any(bind.receives for bind in account.binds):
            yield f"accounts.{account.name} has no RX or TRX bind: its receipts and replies arrive nowhere"
        yield from _about_dedication(account)


def _about_dedication(account: Account) -> Iterator[str]:
    sending = [bind for bind in account.binds if bind.sends]
    for lane in ("otp", "transactional", "bulk"):
        if sending and all(bind.dedicated_lane not in {None, lane} for bind in sending):
            yield f"accounts.{account.name}: every sending bind is dedicated to another lane than {lane}"


def _about_senders(settings: Settings) -> Iterator[str]:
    routed = {account for route in settings.routes for account in route.accounts}
    for sender in settings.senders:
        if any(is_french_mobile(address) for address in sender.addresses):
            yield f"senders.{sender.name}: 06 and 07 numbers may not send application messages in France"
        if routed and routed.isdisjoint(form.name for form in sender.accounts):
            yield f"senders.{sender.name}: no route leads to an account that carries it"
    yield from _about_shadows(settings.senders)


def _about_shadows(senders: tuple[Sender, ...]) -> Iterator[str]:
    for position, sender in enumerate(senders):
        for earlier in senders[:position]:
            if earlier.application in {"*", sender.application} and earlier.lane in {"*", sender.lane}:
                yield f"senders.{sender.name} is used only when asked for: senders.{earlier.name} stands before it"
                break


def _about_routes(settings: Settings) -> Iterator[str]:
    if not settings.accounts:
        yield "there are no accounts: nothing can be sent"
        return
    routed = {account for route in settings.routes for account in route.accounts}
    for account in settings.accounts:
        if routed and account.name not in routed:
            yield f"accounts.{account.name}: no route leads to it"
    if not settings.senders:
        yield "there are no senders: nothing can be sent"


def _about_listeners(settings: Settings) -> Iterator[str]:
    if settings.operations.exposed:
        yield "operations.exposed: health, metrics and bind control answer without authentication off this machine"
    if settings.webhooks.allow_http and settings.environment == "production":
        yield "webhooks.allow_http: events may travel in clear"
