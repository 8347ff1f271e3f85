"""github.com and api.github.com: the device login, the token exchange, and who somebody is."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import urlencode

from .state import State
from .wire import Reply, Request, json_reply

# Which kind of access token an OAuth app gets: VS Code's Copilot extension, and the GitHub CLI.
CLIENT_IDS = {"Iv1.b507a08c87ecfe98": "ghu_", "178c6fc778ccc68e1d6a": "gho_"}
SCOPES = {"read:user", "user:email", "repo", "gist", "read:org"}
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"

ERRORS = {
    "authorization_pending": "The authorization request is still pending.",
    "slow_down": "Too many requests have been made in the same timeframe.",
    "expired_token": "This 'device_code' has expired.",
    "access_denied": "The authorization request was denied.",
    "incorrect_device_code": "The device_code provided is not valid.",
    "incorrect_client_credentials": "The client_id is not valid.",
    "unsupported_grant_type": "The grant type is not supported.",
    "device_flow_disabled": "Device flow must be explicitly enabled for this App.",
    "invalid_scope": "The scope requested is invalid, unknown or malformed.",
}


def device_code(state: State, request: Request) -> Reply:
    """POST /login/device/code. GitHub overlooks unknown scopes; here they are an error, to be seen."""
    fields = _fields(request)
    client_id = fields.get("client_id")
    if client_id not in CLIENT_IDS:
        return json_reply({"error": "Not Found"}, 404)
    if not set(str(fields.get("scope", "")).replace(",", " ").split()) <= SCOPES:
        return _oauth_error(request, "invalid_scope")
    if state.device.mode == "disabled":
        return _oauth_error(request, "device_flow_disabled")
    with state.lock:
        code = state.device.start(client_id)
    return _oauth_reply(
        request,
        {
            "device_code": code.device_code,
            "user_code": code.user_code,
            "verification_uri": state.device.verification_uri or request.base_url + "/login/device",
            "expires_in": state.device.expires_in,
            "interval": code.interval,
        },
    )


def access_token(state: State, request: Request) -> Reply:
    """POST /login/oauth/access_token: one poll. Errors come with status 200."""
    fields = _fields(request)
    client_id = fields.get("client_id")
    if client_id not in CLIENT_IDS:
        return _oauth_error(request, "incorrect_client_credentials")
    if fields.get("grant_type") != GRANT_TYPE:
        return _oauth_error(request, "unsupported_grant_type")
    with state.lock:
        error, code = state.device.poll(fields.get("device_code"), client_id)
    if error:
        return _oauth_error(request, error, interval=code.interval if error == "slow_down" and code else None)
    token = state.new_access_token(kind=CLIENT_IDS[client_id])
    return _oauth_reply(request, {"access_token": token, "token_type": "bearer", "scope": "read:user"})


def exchange(state: State, request: Request) -> Reply:
    """GET /copilot_internal/v2/token: an access token for a Copilot token."""
    token = _credential(request)
    login = state.owner(token)
    if login is None:
        return _api_error("Bad credentials", 401)
    if limited := _rate_limited(state):
        return limited
    if not token.startswith("ghu_"):
        return _api_error("Not Found", 404)
    if not state.subscribed:
        return json_reply(
            {
                "can_signup_for_limited": True,
                "error_details": {
                    "notification_id": "no_copilot_access",
                    "title": "Sign up for GitHub Copilot",
                    "message": f"No access to GitHub Copilot found. You are currently logged in as {login}.",
                    "url": "https://github.com/github-copilot/signup",
                },
            },
            403,
        )
    copilot_token, expires_at = state.new_copilot_token()
    return json_reply(
        {
            "chat_enabled": True,
            "endpoints": {
                "api": state.api_endpoint(request.base_url),
                "proxy": request.base_url + "/proxy",
                "telemetry": request.base_url + "/telemetry",
            },
            "expires_at": expires_at,
            "individual": state.plan == "individual",
            "refresh_in": state.refresh_in,
            "sku": f"fake_{state.plan}",
            "token": copilot_token,
            "tracking_id": "fake-tracking-id",
        }
    )


def user(state: State, request: Request) -> Reply:
    """GET /user: whose access token it is."""
    login = state.owner(_credential(request))
    if login is None:
        return _api_error("Bad credentials", 401)
    return _rate_limited(state) or json_reply({"login": login, "id": 1, "type": "User"})


def copilot_user(state: State, request: Request) -> Reply:
    """GET /copilot_internal/user: the account's plan, its Copilot address, and what is left of its quota."""
    login = state.owner(_credential(request))
    if login is None:
        return _api_error("Bad credentials", 401)
    if limited := _rate_limited(state):
        return limited
    free = state.plan == "free"
    reset = datetime.datetime.fromtimestamp(state.now(), datetime.UTC).replace(day=1) + datetime.timedelta(31)
    day = reset.replace(day=1).strftime("%Y-%m-%d")
    body: dict[str, Any] = {
        "login": login,
        "access_type_sku": f"fake_{state.plan}" if state.subscribed else "no_access",
        "analytics_tracking_id": "fake-tracking-id",
        "assigned_date": "2026-01-05T10:00:00Z",
        "can_signup_for_limited": not state.subscribed,
        "chat_enabled": state.subscribed,
        "copilot_plan": "individual" if free else state.plan,
        "token_based_billing": not free,
        "organization_login_list": [],
        "organization_list": [],
        "endpoints": {
            "api": state.api_endpoint(request.base_url),
            "proxy": request.base_url + "/proxy",
            "telemetry": request.base_url + "/telemetry",
        },
    }
    if free:
        body |= {
            "monthly_quotas": {"chat": 50, "completions": 2000},
            "limited_user_quotas": {"chat": 41, "completions": 1990},
            "limited_user_reset_date": day,
        }
    else:
        body |= {
            "quota_reset_date": day,
            "quota_reset_date_utc": f"{day}T00:00:00.000Z",
            "quota_snapshots": {
                "chat": _quota(state, "chat"),
                "completions": _quota(state, "completions"),
                "premium_interactions": _quota(state, "premium_interactions", 1500, 1230.5),
            },
        }
    body |= state.user_fields
    return json_reply({name: value for name, value in body.items() if value is not None})


def _quota(state: State, kind: str, entitlement: int | None = None, remaining: float = 0) -> dict[str, Any]:
    """What is left of one quota; without an entitlement there is no limit."""
    now = datetime.datetime.fromtimestamp(state.now(), datetime.UTC)
    return {
        "quota_id": kind,
        "entitlement": entitlement or 0,
        "remaining": int(remaining),
        "quota_remaining": float(remaining),
        "percent_remaining": round(100 * remaining / entitlement, 1) if entitlement else 100.0,
        "unlimited": entitlement is None,
        "overage_count": 0,
        "overage_permitted": False,
        "timestamp_utc": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


def _fields(request: Request) -> dict[str, Any]:
    return request.body if isinstance(request.body, dict) else {}


def _credential(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("token", "bearer") else ""


def _oauth_reply(request: Request, body: dict[str, Any]) -> Reply:
    """GitHub answers with a form unless JSON is asked for."""
    if "json" in request.headers.get("accept", ""):
        return json_reply(body)
    return Reply(body=urlencode(body).encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})


def _oauth_error(request: Request, error: str, interval: float | None = None) -> Reply:
    body: dict[str, Any] = {
        "error": error,
        "error_description": ERRORS[error],
        "error_uri": "https://docs.github.com/developers/apps/authorizing-oauth-apps",
    }
    if interval is not None:
        body["interval"] = interval
    return _oauth_reply(request, body)


def _api_error(message: str, status: int, headers: dict[str, str] | None = None) -> Reply:
    body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return json_reply(body, status, headers)


def _rate_limited(state: State) -> Reply | None:
    wait = state.take_rate_limit()
    if wait is None:
        return None
    return _api_error(
        "API rate limit exceeded for user ID 1.",
        403,
        {
            "Retry-After": f"{wait:g}",
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(state.now() + wait)),
        },
    )
