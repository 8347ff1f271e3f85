"""What the fault matrix stands on: the stand-in, the clock, and an environment without proxies."""

from __future__ import annotations

import logging

import pytest

from sidecar.litellm_hot_reload.exchange import CA_VARIABLES
from tests.fakes.catalog import model
from tests.fakes.github import GitHub

from . import wire
from .clock import Clock
from .stage import Stage

CATALOG = [model(f"model-{letter}") for letter in "abcd"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No proxy, and the certificates of the tests only: reading those of a machine takes longer than a row."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(wire.certificates()["bundle"]))
    monkeypatch.setattr(logging.getLogger("urllib3"), "level", logging.CRITICAL + 1)  # as sidecar.logs does


@pytest.fixture
def gh():
    """A stand-in with four models."""
    with GitHub(CATALOG) as github:
        yield github


def surroundings(gh, fault):
    """The environment of the service and the hook; some faults need TLS."""
    environ = {"SSL_CERT_FILE": str(wire.certificates()["bundle"])}
    if fault.tls:
        gh.tls = wire.server_context(wire.certificates()["good"])
        gh.plan_host = gh.url.replace("http://", "https://")
        environ |= {name: text.replace("http://", "https://") for name, text in gh.env().items()}
    return environ


@pytest.fixture
def stage(gh, tmp_path, monkeypatch):
    """All that a row needs; called with its fault."""
    return lambda fault: Stage(gh, tmp_path, Clock(gh), monkeypatch, **surroundings(gh, fault))
