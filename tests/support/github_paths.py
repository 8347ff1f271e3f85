"""The paths at GitHub and Copilot that the package asks for."""

from __future__ import annotations

EXCHANGE, MODELS, USER = "/copilot_internal/v2/token", "/models", "/user"
DEVICE, POLL = "/login/device/code", "/login/oauth/access_token"
