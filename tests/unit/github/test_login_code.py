"""The code of a login that is under way, for the status page: there while it counts, and never a reason to fail."""

from __future__ import annotations

import os
import threading

import pytest

from sidecar.errors import LoginNeeded
from sidecar.github import login
from sidecar.github.login_code import FILE, LoginCode, forget_code, leave_code, read_code
from tests.support.bench import Bench

CODE = LoginCode("ABCD-1234", "https://github.com/login/device", 1_800_000_000.5)


def test_left_read_and_forgotten(bench: Bench):
    """What is left can be read by others, and is gone when it is forgotten, twice if need be."""
    settings = bench.settings()
    assert read_code(settings) is None
    leave_code(settings, CODE)
    assert read_code(settings) == CODE and oct((bench.tokens / FILE).stat().st_mode)[-3:] == "644"
    forget_code(settings)
    forget_code(settings)
    assert read_code(settings) is None and FILE not in os.listdir(bench.tokens)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"{}", b'{"code": "A", "address": "x"}', b'{"code": 5, "address": "a", "until": 1}',
        b'{"code": "A", "address": ["https://x"], "until": 1}', b'{"code": "A", "address": "a", "until": "soon"}',
        b'{"code": "A", "address": "a", "until": NaN}', b'{"code": "A", "address": "a", "until": 1e999}',
        b"\xff\xfe", b"[" * 4000, b'"' + b"x" * 100_000 + b'"',
    ],
)  # fmt: skip
def test_what_cannot_be_a_code_is_none(bench: Bench, content):
    """Whatever else is in the file."""
    (bench.tokens / FILE).write_bytes(content)
    assert read_code(bench.settings()) is None


def test_a_hostile_code_is_shown_as_text(bench: Bench):
    """Neither control characters nor a text without end."""
    leave_code(bench.settings(), LoginCode("A\x1b[31m\n" + "B" * 1000, "https://x/\u202e" + "y" * 1000, 5.0))
    found = read_code(bench.settings())
    assert found is not None and found.code.isprintable() and len(found.code) <= 60
    assert found.address.isprintable() and len(found.address) <= 260


def test_a_login_does_not_fail_for_it(bench: Bench):
    """Where it cannot be written, nobody sees it, and that is all."""
    (bench.tokens / FILE).mkdir(parents=True)
    leave_code(bench.settings(), CODE)
    forget_code(bench.settings())
    assert read_code(bench.settings()) is None


def test_a_login_leaves_its_code_until_it_is_over(bench: Bench, monkeypatch):
    """There while GitHub waits for it; gone when it was used or refused; the last one stays when it ran out."""
    seen = []

    def waits(outcome):
        def wait(settings, code, stop, say):
            left = read_code(settings)
            assert left is not None and left.code == code.user_code and left.address == code.address
            seen.append(left)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return wait

    settings, stop = bench.settings(), threading.Event()
    for outcome in (LoginNeeded("declined"), KeyboardInterrupt()):
        monkeypatch.setattr(login, "_wait_for_confirmation", waits(outcome))
        with pytest.raises(type(outcome)):
            login.log_in(settings, stop)
        assert read_code(settings) is None
    monkeypatch.setattr(login, "_wait_for_confirmation", waits(None))
    with pytest.raises(LoginNeeded, match="expired"):
        login.log_in(settings, stop)
    assert read_code(settings) == seen[-1] and len(seen) == 2 + login.MAX_CODES
