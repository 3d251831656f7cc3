"""API keys, and the audit trail of admin actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.access import ApiKey, AuditRecord, Scope
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.api_keys import ApiKeyStore, NewApiKey
from tidemill_core.storage.audit import AuditStore
from tidemill_core.storage.database import Page
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router


@dataclass(frozen=True)
class AccessHandler:
    """Makes and revokes API keys, and shows the audit trail."""

    keys: ApiKeyStore
    audit: AuditStore
    router: Router
    clock: Clock

    @in_thread
    def list_keys(self) -> list[ApiKey]:
        """Return all keys, newest first."""
        return self.keys.list_all()

    @in_thread
    def create_key(
        self,
        name: str,
        scopes: Sequence[str],
        tasks: Sequence[str],
        requests_per_second: float | None,
        expire_time: datetime | None,
    ) -> tuple[ApiKey, str]:
        """Make a key, and return it with the text that its owner sends.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        for scope in scopes:
            if scope not in set(Scope):
                rule = f"{scope[:100]!r} is not one of {', '.join(Scope)}"
                raise InvalidArgument("UNKNOWN_SCOPE", "scopes", rule)
        for task in tasks:
            self.router.task_settings(task, field="tasks")
        allowed = frozenset(map(Scope, scopes))
        new = NewApiKey(name, allowed, frozenset(tasks), requests_per_second, expire_time)
        return self.keys.create(new, self.clock())

    @in_thread
    def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key, or raise NotFound."""
        check_words("key_id", key_id, MAX_KEY_LENGTH)
        return self.keys.revoke(key_id, self.clock())

    @in_thread
    def list_audit(self, task: str, caller: str, page: Page) -> tuple[list[AuditRecord], str]:
        """Return a page of audit records, newest first, and the next page's token."""
        found = self.audit.page(task, caller, page)
        return of_task(self.router, task, found, partial(self.audit.page, task, ""))
