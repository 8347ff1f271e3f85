"""``run``: the service, with its port."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from sidecar import __version__
from sidecar.cli.output import warn_of_typos
from sidecar.commands import SUPERVISED
from sidecar.errors import UsageError
from sidecar.service.loop import run
from sidecar.service.trigger import Trigger
from sidecar.service.watchdog import watched
from sidecar.settings import Settings
from sidecar.signals import run_until_signalled
from sidecar.status.server import serve
from sidecar.status.state import Status

log = logging.getLogger(__name__)


def command(settings: Settings, environ: Mapping[str, str]) -> int:
    """Run until a signal ends it, which is success."""
    if settings.configmap:
        raise UsageError("COPILOT_CONFIGMAP is only supported by `sync`, in a CronJob", hint="Unset it for `run`.")
    trigger = Trigger()
    status = Status(settings, trigger.pull)
    server = serve(settings.health_port, status) if settings.health_port else None
    try:
        with watched(status):
            where = f"port {settings.health_port}: /livez, /readyz and /metrics" if server else "no port"
            extra = {"event": "service.started", "version": __version__, "port": settings.health_port}
            log.info("version %s listens on %s", __version__, where, extra=extra)
            warn_of_typos(environ)
            code = run_until_signalled(
                lambda stop: run(settings, stop, status, trigger, SUPERVISED in environ), on_usr1=trigger.pull
            )
    finally:
        if server:
            server.close()
    log.info("stopped", extra={"event": "service.stopped"})
    return 0 if code in {130, 143} else code


def stay(error: UsageError, environ: Mapping[str, str]) -> None:
    """Show what is wrong with the settings, unready, until a signal comes: a new start would find them as they are."""
    try:
        settings = Settings.load(
            {name: environ.get(name, "") for name in ("COPILOT_HEALTH_PORT", "COPILOT_STATUS_PORT")}
        )
    except UsageError:
        settings = Settings()
    status = Status(settings)
    status.beat(math.inf)
    status.failed(error)
    with ExitStack() as ends:
        if settings.health_port:
            with suppress(UsageError):
                ends.callback(serve(settings.health_port, status).close)
        run_until_signalled(lambda stop: not stop.wait())
