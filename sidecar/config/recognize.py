"""Tells a LiteLLM config from what only looks like one, and reads it as LiteLLM does. Pure.

To add a `model_list:` at the top of a manifest or of a compose file would help nobody, and look like success.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from sidecar.config.locate import KEY
from sidecar.config.splice import ADDED
from sidecar.config.yamltext import FastLoader, Source, is_plain, parse
from sidecar.errors import UsageError
from sidecar.text import printable

SHARED_KEYS = frozenset({"agents", "guardrails", "include", "mcp_servers", "policies", "prompts"})
"""Keys of LiteLLM's that other programs' files have too: alone they do not tell a config."""
KNOWN_KEYS = SHARED_KEYS | {
    *(KEY, "agent_list", "assistant_settings", "callback_settings", "credential_list", "default_vertex_config"),
    *("environment_variables", "files_settings", "finetune_settings", "general_settings", "litellm_settings"),
    *("mcp_tools", "policy_attachments", "router_settings", "sandbox_tools", "search_tools"),
    *("vector_store_registry", "worker_registry"),
}
"""The keys that LiteLLM reads at the top of its config, in any supported version (``test_config_keys.py``)."""

_OWN_FILE = "Put the config itself into a file of its own, and name that with --config or CONFIG_FILE."
_MAX_PAIRS = 1_000_000  # that merge keys may expand to: a few lines of them can mean gigabytes
_MAX_EXACT = 250_000  # bytes, some seven thousand lines; LiteLLM's own reader takes a second for them
_MAX_LOOK = 10_000  # nodes that are searched for the config inside
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


class _Form(NamedTuple):
    keys: frozenset[str]
    what: str
    hint: str = _OWN_FILE


_FORMS = (
    _Form(
        frozenset({"apiVersion", "kind"}),
        "a Kubernetes manifest",
        f"{_OWN_FILE} Or leave it as it is, and give LiteLLM the models by the models file or by COPILOT_CONFIGMAP "
        "(docs/kubernetes.md).",
    ),
    _Form(
        frozenset({"proxy_config"}),
        "the values of a Helm chart, with the config below `proxy_config`",
        f"{_OWN_FILE} Or leave it as it is, and give LiteLLM the models by the models file (docs/kubernetes.md).",
    ),
    _Form(frozenset({"services"}), "a compose file", "Name the config that it mounts with --config or CONFIG_FILE."),
    _Form(frozenset({"on", "jobs"}), "a workflow of GitHub Actions"),
    _Form(frozenset({"stages"}), "a pipeline of GitLab's"),
    _Form(frozenset({"name", "version", "scripts"}), "a package.json"),
    _Form(frozenset({"name", "version", "dependencies"}), "a package.json"),
)


def refuse_lookalike(source: Source) -> None:
    """Raise UsageError for a file that is somebody else's: with that program's keys, or with none of LiteLLM's.

    ``model_list`` does not count where we have added it ourselves.
    """
    if not isinstance(source.root, yaml.MappingNode):
        return
    keys = set(_keys(source.root))
    ours = _is_added(source, source.root)
    if keys & (KNOWN_KEYS - SHARED_KEYS) - ({KEY} if ours else set()):
        return
    form = next((form for form in _FORMS if form.keys <= keys), None)
    if form is None and (ours or keys <= KNOWN_KEYS):
        return
    what = f"this is {form.what}" if form else "none of the keys at its top level is only LiteLLM's"
    hint = form.hint if form else f"Name the right file; if it is LiteLLM's config, write `{KEY}: []` into it."
    place = next(_places(source.root), "")
    where = f"; a config seems to be in it at `{place}`" if place else ""
    left = f" Remove the `{KEY}` that an earlier version has added." if ours else ""
    raise UsageError(f"it is not a LiteLLM config: {what}{where}; nothing was changed", hint=hint + left)


def includes(source: Source) -> list[tuple[str, int]]:
    """The files that the config includes, each with its line."""
    pairs = source.root.value if isinstance(source.root, yaml.MappingNode) else []
    lists = [value for key, value in pairs if isinstance(key, yaml.ScalarNode) and key.value == "include"]
    items = [item for value in lists if isinstance(value, yaml.SequenceNode) for item in value.value]
    return [(item.value, item.start_mark.line + 1) for item in items if isinstance(item, yaml.ScalarNode)]


def parse_config(data: bytes) -> Source:
    """As ``parse``, and a template is refused as such."""
    try:
        return parse(data)
    except UsageError as error:
        raise _template_error(data, error) from None


def load(data: bytes, source: Source | None = None) -> Any:
    """What LiteLLM gets from the config: its own loader, on the file as it opens it. Raises UsageError.

    A plain or very large config is read by the faster loader of the same library, and not again if it is parsed
    already: that uses ``source`` up, because merge keys are expanded in its nodes.
    """
    exact = len(data) <= _MAX_EXACT and not is_plain(data)
    try:
        if source is not None and not exact:
            return source.root and _FastLoader("").construct_document(source.root)
        return yaml.load(io.TextIOWrapper(io.BytesIO(data), "utf-8"), Loader=_Loader if exact else _FastLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = f"LiteLLM cannot read the config: {where}{printable(error.problem or error.context or '')}"
    except RecursionError:
        problem = "the config is nested too deeply"
    except Exception as error:  # such as ValueError for a date that is none
        problem = f"LiteLLM cannot read the config: {printable(error)}"
    raise _template_error(data, UsageError(problem, hint="Correct it; nothing was changed."))


def _template_error(data: bytes, error: UsageError) -> UsageError:
    if not _TEMPLATE.search(data.decode("utf-8", "replace")):
        return error
    return UsageError(
        f"it is not a LiteLLM config: this is a template (`{{{{ … }}}}`); {error}",
        hint="Render it first (`helm template`), and name the result with --config or CONFIG_FILE.",
    )


def _keys(root: yaml.MappingNode) -> Iterator[str]:
    for key, value in root.value:
        if isinstance(key, yaml.ScalarNode):
            yield key.value
        for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if key.tag.endswith(":merge") and isinstance(merged, yaml.MappingNode):
                yield from (inner.value for inner, _ in merged.value if isinstance(inner, yaml.ScalarNode))


def _is_added(source: Source, root: yaml.MappingNode) -> bool:
    ends = [key.end_mark.index for key, _ in root.value if isinstance(key, yaml.ScalarNode) and key.value == KEY]
    return any(ADDED in source.text[end : source.line_end(end)] for end in ends)


def _places(root: yaml.Node) -> Iterator[str]:
    """Where a config seems to be inside: the keys on the way to what has its own keys, or to a text that has them."""
    todo: list[tuple[str, yaml.Node]] = [("", root)]
    seen: set[int] = set()
    while todo and len(seen) < _MAX_LOOK:
        path, node = todo.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            if path and KEY in _keys(node):
                yield path
            todo += [
                (f"{path}.{printable(key.value)}".lstrip("."), value)
                for key, value in node.value
                if isinstance(key, yaml.ScalarNode)
            ]
        elif isinstance(node, yaml.SequenceNode):
            todo += [(path, value) for value in node.value]
        elif path and re.search(rf"^{KEY}\s*:", node.value, re.MULTILINE):
            yield path


class _Bounded:
    """For a loader: merge keys of merge keys multiply, and what they expand to is bounded."""

    pairs = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As in PyYAML."""
        super().flatten_mapping(node)  # type: ignore[misc]
        self.pairs += len(node.value)
        if self.pairs > _MAX_PAIRS:
            raise yaml.constructor.ConstructorError(
                None, None, f"its merge keys (`<<`) expand to more than {_MAX_PAIRS} values", node.start_mark
            )


class _Loader(_Bounded, yaml.SafeLoader):
    pass


class _FastLoader(_Bounded, FastLoader):
    pass
