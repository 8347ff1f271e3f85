"""A start-up hook that makes LiteLLM refuse an entry: no value that passes the sidecar's own checks does that any more.

LITELLM_WORKER_STARTUP_HOOKS=picky:start,litellm_hot_reload:start
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

REFUSED = "refused"
"""The ``category`` in an entry's model_info for which LiteLLM refuses it in its own way: it took None."""


def _is_refused(deployment: Any) -> bool:
    return getattr(deployment.model_info, "category", "") == REFUSED


async def start() -> None:
    from litellm import Router

    if hasattr(Router, "apply"):
        apply = Router.apply

        def picky_apply(self, changes):
            refused = any(map(_is_refused, changes.upsert or ()))
            return SimpleNamespace(upserted=[None]) if refused else apply(self, changes)

        Router.apply = picky_apply
    else:
        upsert = Router.upsert_deployment

        def picky_upsert(self, deployment):
            return None if _is_refused(deployment) else upsert(self, deployment)

        Router.upsert_deployment = picky_upsert
