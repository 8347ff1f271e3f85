"""The hook: makes every worker of a stock LiteLLM follow the models file and keeps its Copilot token fresh.

    LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start   (with this package's parent on PYTHONPATH)

LiteLLM awaits ``start`` in each worker before it loads its configuration. The modules, from the bottom up:

``exchange``     pure rules: tokens, addresses, GitHub's answers, times    } the sidecar follows these
``managed``      pure: which entries of LiteLLM's list are ours            } two as well
``record``       the Copilot token that all workers share: LiteLLM's api-key.json, and a lock beside it
``asking``       one question to GitHub, never waited for too long
``keeper``       a thread that renews the Copilot token ahead of its end, and when Copilot refuses it
``models_file``  reads the models file          ``config_file``  reads a LiteLLM config as LiteLLM does
``adapter/``     everything the hook knows of LiteLLM's inside, one class for each generation of it
``follower``     compares what the files want with what the router has, and applies the difference
``startup``      puts them together

It needs the standard library and what LiteLLM ships, and nothing else of this project. It must never harm
LiteLLM: whatever the files hold and whatever fails, the proxy serves what it served before.
"""

import logging


async def start() -> None:
    """Start following in this worker. Never raises: LiteLLM would not start."""
    try:
        # Imported here: the sidecar, which has no LiteLLM, imports the pure modules of this package.
        from . import startup

        await startup.start()
    except Exception:
        logging.getLogger("copilot_hook").exception(
            "the hook could not start; LiteLLM serves what its configuration contains"
        )
