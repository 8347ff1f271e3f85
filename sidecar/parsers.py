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
    """One of ``values``."""

    def parse(text: str) -> str:
        if text.strip() not in values:
            raise ValueError(f"is not one of: {', '.join(values)}")
        return text.strip()

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
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    # Of some characters, urlsplit and other parsers disagree whether they end the host or can be left out.
    if not valid or "@" in parts.netloc or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise ValueError("is not an http(s) address without a user name")
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


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


BOOLEAN = Parser("true or false", _boolean)
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
