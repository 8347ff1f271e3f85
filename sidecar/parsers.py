"""The types of settings: each parser turns the text of an environment variable into a value, or says what is wrong
with it, worded to follow the variable's name. Pure.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from sidecar.litellm_hot_reload.exchange import is_true
from sidecar.secret import Secret

T_co = TypeVar("T_co", covariant=True)

_FALSE = {"false", "0", "no", "off"}
ID_CHARACTERS = "A-Za-z0-9._:+-"
"""What the parts of a model's id, between slashes, consist of; as in a set of a regular expression."""


@dataclass(frozen=True)
class Parser(Generic[T_co]):
    """``takes`` describes the valid values for the reference; ``parse`` raises ValueError for all others."""

    takes: str
    parse: Callable[[str], T_co]


def whole_number(low: int, high: int) -> Parser[int]:
    """A whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        try:
            value = int(text.strip())
        except ValueError:
            raise ValueError("is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}")
        return value

    return Parser(f"whole number, {low} to {high}", parse)


def choice(*values: str) -> Parser[str]:
    """One of ``values``, in any case."""
    known = {value.lower(): value for value in values}

    def parse(text: str) -> str:
        if text.strip().lower() not in known:
            raise ValueError(f"is not one of: {', '.join(values)}")
        return known[text.strip().lower()]

    return Parser(" or ".join(f"`{value}`" for value in values), parse)


def expanded(text: str) -> Path:
    """A path with ``~`` expanded. Raises ValueError."""
    # Path.expanduser raises for a uid that has no home, as containers have; this leaves the `~` as it is.
    return Path(os.path.expanduser(_without_nul(text)))


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains a NUL character")
    return text


def _boolean(text: str) -> bool:
    if not is_true(text) and text.strip().lower() not in _FALSE:
        raise ValueError("is not true or false")
    return is_true(text)


def _address(text: str) -> str:
    text = text.strip()
    if "://" not in text:
        raise ValueError("does not begin with http:// or https://")
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    # Of some characters, urlsplit and other parsers disagree whether they end the host or can be left out.
    if not valid or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise ValueError("is not an http(s) address")
    if "@" in parts.netloc:
        raise ValueError("has a user name in it, which is not supported")
    return text.rstrip("/")


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", text.strip()):
        raise ValueError("is not a host name or an IP address")
    return text.strip()


def _command(text: str) -> str:
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not parts or "\0" in text:
        raise ValueError("does not contain a command")
    return text


def is_header_value(text: str) -> bool:
    """Whether ``text`` may be sent as the value of a header: printable ASCII, without blanks around it."""
    return re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", text) is not None


def _header_value(text: str) -> str:
    if not is_header_value(text):
        raise ValueError("is not plain ASCII text on one line")
    return text


def _configmap_name(text: str) -> str:
    parts = text.strip().split("/")
    subdomain = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
    if len(parts) > 2 or not all(subdomain.fullmatch(part) for part in parts):
        raise ValueError("is not the name of a ConfigMap, or namespace/name")
    return "/".join(parts)


def _credential_name(text: str) -> str:
    name = text.strip()
    # No slash: LiteLLM resolves what begins with os.environ/ or oidc/.
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:@+-]{0,126}[A-Za-z0-9._:@+-])?", name):
        raise ValueError(
            "is not a credential name: up to 128 letters, digits, spaces and ._:@+-, starting with a letter or digit"
        )
    return name


def pattern_problem(pattern: str) -> str:
    """Why ``pattern`` can match no model's id; empty if it can. Nothing of it is quoted but one character."""
    rest = re.sub(r"\[!?+\]?+[^\]]*\]", "?", pattern)
    if "[" in rest:
        return "has a `[` without its `]`"
    if odd := re.search(rf"[^{ID_CHARACTERS}/*?]", rest):
        return f"has {odd[0]!r}, which no model id has"
    if pattern.startswith("github_copilot/"):
        return "begins with `github_copilot/`, which no model id does"
    return ""


def _patterns(text: str) -> tuple[str, ...]:
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    if problem := next(filter(None, map(pattern_problem, patterns)), None):
        raise ValueError(f"can match nothing: a pattern {problem} (a comma separates patterns)")
    return patterns


BOOLEAN = Parser("true or false", _boolean)
ANYTHING = Parser("anything", lambda _: True)
PATH = Parser("path", expanded)
FILE_NAME = Parser("file name", _without_nul)
ADDRESS = Parser("address", _address)
COMMAND = Parser("command", _command)
HEADER_VALUE = Parser("text", _header_value)
CONFIGMAP_NAME = Parser("`name` or `namespace/name`", _configmap_name)
CREDENTIAL_NAME = Parser("letters, digits, spaces and `._:@+-`, up to 128", _credential_name)
HOST = Parser("host name or IP address", _host)
PATTERNS = Parser("comma-separated patterns (`*`, `?`, `[…]`)", _patterns)
SECRET = Parser("secret", lambda text: Secret(_header_value(text.strip())))
