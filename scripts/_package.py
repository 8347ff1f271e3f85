"""Makes this clone's package importable for the scripts in this directory, from any working directory.

It, and they, have to parse on a Python that is refused here, back to 3.6: no newer syntax.
"""

import os
import shlex
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_ENVIRONMENT = os.path.join(ROOT, ".venv")


def _use_environment():
    """Go on in the clone's own environment, if there is one, and this Python is not it."""
    python = os.path.join(_ENVIRONMENT, "bin", "python")
    if os.access(python, os.X_OK) and os.path.realpath(sys.prefix) != os.path.realpath(_ENVIRONMENT):
        os.execv(python, [python, *sys.argv])  # noqa: S606


def _refuse(problem, cure):
    print(f"{os.path.basename(sys.argv[0])}: {problem}\n  {cure}", file=sys.stderr)
    sys.exit(2)


def load():
    """``sidecar.cli.main``. Exits with 2 if a package that it needs is missing."""
    sys.path.insert(0, ROOT)
    try:
        from sidecar.cli import main
    except ModuleNotFoundError as error:
        _use_environment()
        # Never into the system's Python, which belongs to its package manager.
        words = (sys.executable, _ENVIRONMENT, os.path.join(_ENVIRONMENT, "bin", "pip"), f"{ROOT}/requirements.lock")
        python, environment, pip, lock = map(shlex.quote, words)
        _refuse(
            f"the Python package {error.name} is missing",
            f"Give it an environment of its own: {python} -m venv {environment} && {pip} install --require-hashes -r "
            f"{lock}\n  (on Debian and Ubuntu, `apt install python3-venv` first), then run this again.",
        )
    return main


def run(arguments, environ):
    """Run a command of the package and return its exit code."""
    return load()(arguments, environ)


if sys.version_info < (3, 11):  # noqa: UP036  # it is what this file is read by
    _use_environment()
    _refuse(
        "Python 3.11 or newer is needed, and this is {}.{}".format(*sys.version_info[:2]),
        f"Run it with a newer one, such as `python3.11 {shlex.quote(sys.argv[0])}`.",
    )
