"""From the moment at which a models file is published to the moment at which the last worker has told the sidecar
that it serves it: 60 changes of a price among 42 models, at random moments, with LiteLLM {newest} and two workers
that nobody asks anything. By the sidecar's own count (`status.workers`, the metric
`copilot_published_to_served_seconds`), so that the report of a worker is part of it. Compared with a poll of one
second, which alone takes up to that.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from scripts.litellm_versions import of_role
from tests.fakes.control import Control
from tests.litellm.proxy import Proxy
from tests.litellm.reload_cost import stand_in
from tests.support.receiver import Receiver
from tests.support.waiting import until

from .figures import Figure, percentile
from .models import USUAL, models

__doc__ = (__doc__ or "").format(newest=of_role("newest"))
CHANGES, WORKERS = 60, 2
POLL = {"a poll of a second": (1.0,)}


def measure(left_out: list[str]) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home, stand_in() as env, Receiver() as sidecar:
        Control(env["GITHUB_COPILOT_API_BASE"]).set_catalog(items=models(USUAL))
        proxy = Proxy(Path(home), {**env, "COPILOT_SYNC_URL": sidecar.url}, workers=WORKERS)
        proxy.login("ghu_bench")
        with proxy:
            until(lambda: len(sidecar.workers.snapshot(time.monotonic())) == WORKERS, 60, "a report of each worker")
            for number in range(CHANGES):
                time.sleep(random.uniform(0, 1))
                items = models(USUAL)[:-1] + models(USUAL, price=400 + number)[-1:]
                proxy.publish(items)
                sidecar.published(proxy.models_file, [item["id"] for item in items])
                until(lambda: sidecar.in_step() == WORKERS, 30, "the change in every worker")
        taken = [seconds for _, seconds in sidecar.workers.latest]
    assert len(taken) == CHANGES
    return [
        Figure("median", "s", (percentile(taken, 0.5),), POLL),
        Figure("p99", "s", (percentile(taken, 0.99),), POLL, most=1.2),
        Figure("longest", "s", (max(taken),), POLL),
    ]
