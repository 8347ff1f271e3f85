"""What the tests of the service share."""

from __future__ import annotations

import pytest


@pytest.fixture
def serve(bench, request):
    """Start the module's ``Service`` with given settings; each is ended."""
    services = []

    def start(**changes):
        services.append(request.module.Service(bench.settings(**changes)))
        return services[-1]

    yield start
    for service in services:
        service.end()
