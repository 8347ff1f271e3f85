"""The hook: makes every worker of a stock LiteLLM follow the models file, and keeps its Copilot token fresh.

    LITELLM_WORKER_STARTUP_HOOKS=litellm_hot_reload:start   (with this package's parent on PYTHONPATH)

LiteLLM awaits ``start`` in each worker before loading its configuration. The modules, from the bottom up:

``exchange``     pure rules: tokens, addresses, GitHub's answers, times    }
``managed``      pure: which entries of LiteLLM's list are ours            } the sidecar uses
``allowed``      pure: what such an entry may hold                         } these eight as well
``text``         pure: makes external text safe to display                 }
``reported``     pure: what a worker's report may hold                     }
``bounded``      reads a file of which nothing is known                    }
``connection``   ends a request from another thread                        }
``master_key``   LiteLLM's master key from a file                          }
``record``       the Copilot token that all workers share: LiteLLM's api-key.json, and a lock next to it
``exchange_client``  one request to GitHub, with a bounded wait
``keeper``       a thread that renews the Copilot token before it expires, and when Copilot refuses it
``models_file``  reads the models file          ``config_file``  reads a LiteLLM config as LiteLLM does
``adapter/``     everything the hook knows about LiteLLM's internals, one class per generation
``follower``     compares what the files want with what the router has, and applies the difference
``lookout``      a thread that looks whether there is anything to do
``billing``      pure: what Copilot billed, and the sums of it
``report``       tells the sidecar what this worker serves
``startup``      puts them together

It only needs the standard library and what LiteLLM ships, and nothing else from this project. It must never harm
LiteLLM: whatever the files contain and whatever fails, the proxy keeps serving what it served before. One thing does
keep LiteLLM from starting: a master key that is meant to be there and cannot be read.
"""

import logging
import os


async def start() -> None:
    """Start following in this worker. Only raises NoMasterKey, which keeps LiteLLM from starting open to everyone."""
    # Imported here because the sidecar, which has no LiteLLM, imports this package's pure modules.
    from . import master_key

    master_key.provide(os.environ)
    try:
        from . import startup

        await startup.start()
    except Exception:
        logging.getLogger("copilot_hook").exception(
            "the hook could not start; LiteLLM only serves what its configuration contains"
        )
