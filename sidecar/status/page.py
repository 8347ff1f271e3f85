"""The status page: one HTML document, complete without JavaScript, that loads nothing else.

``page.html`` is its frame, ``page.css`` and ``page.js`` go into it; the Content-Security-Policy names both by their
hashes and forbids everything else. Whatever comes from outside is escaped here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from string import Template
from xml.sax.saxutils import escape, quoteattr

from sidecar import __version__
from sidecar.models.credit import Quota
from sidecar.status.markup import linked, shown_time
from sidecar.status.sections import history, models, workers
from sidecar.status.sentence import Sentence, sentence
from sidecar.status.state import Status, View

_FRAME, _STYLE, _SCRIPT = (
    Path(__file__).with_name(f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js")
)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_COLOURS = {"good": "136f3a", "waiting": "0b5cad", "warning": "b87100", "bad": "b3182a"}
_ICON = Template(
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%23$colour'/%3E%3C/svg%3E"
)
_WORDS = {"good": "Fine", "waiting": "Waiting", "warning": "Warning", "bad": "Problem"}

_BUTTON = (
    '<p class="needs-script" hidden><button id="sync" type="button">Sync now</button> '
    '<span id="synced" role="status"></span></p>'
)


def page(status: Status) -> str:
    """The whole document."""
    view = status.view()
    said = sentence(view)
    return Template(_FRAME).substitute(
        style=_STYLE,
        script=_SCRIPT,
        icon=_ICON.substitute(colour=_COLOURS[said.level]),
        title=escape(f"{_WORDS[said.level]}: {len(view.rows)} Copilot models"),
        state=_state(view, said),
        facts=_facts(view, trigger=status.settings.status_trigger),
        credit=_credit(view),
        workers=workers(view),
        models=models(view),
        changes=history(view),
        footer=_footer(),
    )


def _state(view: View, said: Sentence) -> str:
    parts = [
        f'<p class="says {said.level}"><span class="word">{_WORDS[said.level]}.</span> {escape(said.text)}</p>',
        f'<p class="cure">{linked(said.cure)}</p>' if said.cure else "",
    ]
    if said.state == "login_waiting" and view.login is not None:
        link = ""
        if view.login.address.startswith("https://"):
            href = quoteattr(view.login.address)
            link = f'<a class="button main" href={href} rel="noreferrer" target="_blank">Open GitHub</a>'
        parts.append(
            f'<div class="login"><span class="code" id="code">{escape(view.login.code)}</span>'
            '<button id="copy" type="button" class="needs-script" hidden>Copy the code</button>'
            f'{link}<span id="copied" role="status"></span>'
            f"<span class=soft>It counts until {shown_time(view.login.until)}.</span></div>"
        )
    return "".join(parts)


def _facts(view: View, *, trigger: bool) -> str:
    facts = {
        "Account": escape(view.credit.login) if view.credit else "",
        "Plan": escape((view.credit.plan if view.credit else "") or view.plan),
        "Last sync": shown_time(view.last_success),
        "Next sync": shown_time(view.next_sync),
        "Last change": shown_time(view.last_change),
        "Models": str(len(view.rows)),
        "Kept, though absent from the catalog": escape(", ".join(view.absent)),
        "Written to": f"<code>{escape(view.target)}</code>",
    }
    shown = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts.items() if text)
    return f"<dl>{shown}</dl>{_BUTTON if trigger else ''}"


def _credit(view: View) -> str:
    if view.credit is None or not view.credit.quotas:
        return ""
    until = f" Resets on {escape(view.credit.resets_at)}." if view.credit.resets_at else ""
    return f"<h2>Credit</h2>{''.join(map(_quota, view.credit.quotas))}<p class=soft>{until}</p>"


def _quota(quota: Quota) -> str:
    name = f"credit-{quota.name}"
    text = f'<label for="{name}">{escape(quota.text())}</label>'
    if quota.remaining is None:
        return f"<p>{escape(quota.text())}</p>"
    bounds = 'min="0" low="0.05" high="0.2" optimum="1" max="1"'
    return f'<p>{text}<meter id="{name}" {bounds} value="{quota.remaining:.4f}"></meter></p>'


def _footer() -> str:
    links: Iterable[tuple[str, str]] = (
        ("/api/status", "status"),
        ("/api/models", "models"),
        ("/api/changes", "changes"),
        ("/metrics", "metrics"),
    )
    shown = ", ".join(f'<a href="{path}">{text}</a>' for path, text in links)
    return f"copilot-model-sync {__version__}. For programs: {shown}."
