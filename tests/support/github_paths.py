"""The paths at GitHub and Copilot that the package asks for."""

from __future__ import annotations

EXCHANGE, MODELS, USER, CREDIT = "/copilot_internal/v2/token", "/models", "/user", "/copilot_internal/user"
DEVICE, POLL = "/login/device/code", "/login/oauth/access_token"
