"""LiteLLM configs of every kind people write, none of them with a managed entry: (name, bytes)."""

# ruff: noqa: E501

from __future__ import annotations

import textwrap


def _text(text: str) -> bytes:
    return textwrap.dedent(text).lstrip("\n").encode()


USUAL = _text("""
    # LiteLLM proxy of the platform team
    model_list:
      - model_name: gpt-4o            # the default
        litellm_params:
          model: azure/gpt-4o-eu
          api_base: os.environ/AZURE_API_BASE
          api_key: "os.environ/AZURE_API_KEY"
          rpm: 480
        model_info:
          mode: chat
          base_model: 'azure/gpt-4o'

      # cheap one
      - model_name: claude-haiku
        litellm_params:
          model: anthropic/claude-3-5-haiku-20241022
          api_key: os.environ/ANTHROPIC_API_KEY

    litellm_settings:
      drop_params: true
      callbacks: ["prometheus"]   # see dashboards
      disable_copilot_system_to_assistant: true

    general_settings:
      master_key: os.environ/LITELLM_MASTER_KEY
      database_url: "os.environ/DATABASE_URL"
    """)

SETTINGS = _text("""
    litellm_settings:
      num_retries: 3
      request_timeout: 600
    # the key is in the vault
    general_settings:
      master_key: os.environ/LITELLM_MASTER_KEY
    """)

ANCHORS = _text("""
    x-defaults: &defaults
      api_base: os.environ/BASE
      timeout: 60
    model_list:
      - model_name: one
        litellm_params: &one
          <<: *defaults
          model: openai/one
      - model_name: two
        litellm_params:
          <<: [*one, *defaults]
          model: openai/two
    router_settings: {fallbacks: [{one: [two]}]}
    """)

ITEM = "  - model_name: a\n    litellm_params:\n      model: openai/a\n"
MANY = "".join(
    f"  - model_name: m{n}  # number {n}\n    litellm_params:\n      model: openai/m{n}\n      api_key: os.environ/K{n}\n\n"
    for n in range(2000)
)

_PLAIN: dict[str, str | bytes] = {
    "usual": USUAL,
    "settings only": SETTINGS,
    "anchors and merge keys": ANCHORS,
    "empty file": "",
    "one empty line": "\n",
    "one empty line CRLF": "\r\n",
    "two empty lines": "\n\n",
    "spaces only": "   ",
    "comment only": "# nothing here yet\n",
    "comment only, no newline": "# nothing here yet",
    "BOM only": "\ufeff",
    "BOM and comment": "\ufeff# c\n",
    "list is []": "model_list: []\n",
    "list is [] without newline": "model_list: []",
    "list is [ ] with comment": "model_list: [ ]  # fill me\nx: 1\n",
    "list is [] over lines": "model_list: [\n]\nx: 1\n",
    "list is [] over lines with comments": "model_list: [ # first\n  # second\n]\nx: 1\n",
    "list is [] on the next line": "model_list:\n  []\nx: 1\n",
    "list is null": "model_list:\n",
    "list is null without newline": "model_list:",
    "list is null and not the last": "model_list:\ngeneral_settings: {}\n",
    "list is null with comments below": "model_list:  # c\n  # - model_name: old\n\n  # more\n# other\nx: 1\n",
    "list is the word null": "model_list: null\nx: 1\n",
    "list is the word Null with comment": "model_list: Null # later\n",
    "list is ~ without newline": "x: 1\nmodel_list: ~",
    "list is null on the next line": "model_list:\n  null\nx: 1\n",
    "list is null with dash-like comment": "model_list: # - a\n#- b\n",
    "only a list": "model_list:\n" + ITEM,
    "only a list without newline": ("model_list:\n" + ITEM).rstrip("\n"),
    "list ends in blank lines": "model_list:\n" + ITEM + "\n\n\n",
    "list ends in blanks": "model_list:\n" + ITEM + "   ",
    "list ends in comment without newline": "model_list:\n" + ITEM + "  # - model_name: b",
    "comments of three depths behind the list": "model_list:\n"
    + ITEM
    + "      # api_base: x\n  # - b\n\n# next\nx: 1\n",
    "comment on the last line of the list": "model_list:\n" + ITEM.rstrip("\n") + "  # last\nx: 1\n",
    "trailing blanks on the last line": "model_list:\n" + ITEM.rstrip("\n") + "   \nx: 1\n",
    "indentless list": "model_list:\n- model_name: a\n  litellm_params:\n    model: openai/a\n# about x\nx: 1\n",
    "indentless list at the end": "x: 1\nmodel_list:\n- model_name: a\n  litellm_params: {model: openai/a}",
    "deeply indented list": "model_list:\n        - model_name: a\n          litellm_params:\n                model: b\nx: 1\n",
    "wide dashes": "model_list:\n  -   model_name: a\n      litellm_params: {model: b}\n",
    "dash on its own line": "model_list:\n  -\n    model_name: a\n    litellm_params: {model: b}\nx: 1\n",
    "dash with a comment": "model_list:\n  - # the first\n    model_name: a\n    litellm_params: {model: b}\n",
    "indented top level": "  x: 1\n  model_list:\n    - model_name: a\n      litellm_params: {model: b}\n  y: 2\n",
    "indented top level without list": "  x: 1\n  y: 2\n",
    "indented top level, null": "  x: 1\n  model_list:\n  y: 2\n",
    "flow items in a block list": "model_list:\n  - {model_name: a, litellm_params: {model: b}}\n  - {model_name: c}\n",
    "last value is empty": "model_list:\n  - model_name: a\n    litellm_params:\n      model: b\n    model_info:\nx: 1\n",
    "last item is an alias": "x: &x {model_name: a, litellm_params: {model: b}}\nmodel_list:\n  - *x\ny: 1\n",
    "anchored list": "model_list: &models\n" + ITEM + "x: 1\n",
    "anchored list on its own line": "model_list:\n  &models\n" + ITEM + "x: 1\n",
    "tagged list": "model_list: !!seq\n" + ITEM + "x: 1\n",
    "anchored items": "model_list:\n  - &a\n    model_name: a\n    litellm_params: {model: b}\nx: *a\n",
    "flow list on one line": "model_list: [{model_name: a, litellm_params: {model: b}}]\nx: 1\n",
    "flow list on one line without newline": "model_list: [{model_name: a}, {model_name: b}]",
    "flow list, trailing comma": "model_list: [{model_name: a}, ]\n",
    "flow list over lines": "model_list: [\n  {model_name: a},\n  {model_name: b}\n]\nx: 1\n",
    "flow list over lines, trailing comma": "model_list: [\n  {model_name: a},\n  {model_name: b},\n]\nx: 1\n",
    "flow list with comments": "model_list: [ # c\n  {model_name: a}, # first\n  # mid\n  {model_name: b} # last\n  # end\n]\n",
    "flow list, comments, trailing comma": "model_list: [\n  {model_name: a}, # first\n  {model_name: b}, # last\n  # end\n]\n",
    "flow list, comma on its own line": "model_list: [\n  {model_name: a}\n  , {model_name: b}\n  ,\n]\n",
    "flow list with odd strings": 'model_list: [{model_name: \'a, ]\', litellm_params: {model: "}, {\\"#"}}] # ]\n',
    "anchored flow list": "model_list: &m [{model_name: a}]\n",
    "JSON": '{\n  "model_list": [\n    {\n      "model_name": "a",\n      "litellm_params": {"model": "b"}\n    }\n  ],\n  "x": {}\n}\n',
    "JSON on one line": '{"model_list": [{"model_name": "a"}], "general_settings": {}}',
    "JSON with empty list": '{"model_list": [], "general_settings": {}}\n',
    "JSON without list": '{\n  "general_settings": {\n    "master_key": "os.environ/K"\n  }\n}\n',
    "JSON without list on one line": '{"general_settings": {}}',
    "JSON with null": '{"x": 1, "model_list": null}\n',
    "JSON with null in the middle": '{\n  "model_list": null,\n  "x": 1\n}\n',
    "braces": "{}",
    "braces with comment": "--- {} # c\n",
    "braces with comment inside": "{ # c\n}\n",
    "braces, trailing comma": "{x: 1, }\n",
    "braces, list without value": "{model_list: , x: 1}\n",
    "BOM": b"\xef\xbb\xbf" + USUAL,
    "BOM, settings only": b"\xef\xbb\xbf" + SETTINGS,
    "CRLF": USUAL.replace(b"\n", b"\r\n"),
    "CRLF without newline": USUAL.rstrip(b"\n").replace(b"\n", b"\r\n"),
    "CRLF settings only": SETTINGS.replace(b"\n", b"\r\n"),
    "CRLF anchors": ANCHORS.replace(b"\n", b"\r\n"),
    "CRLF and BOM and flow": "\ufeffmodel_list: [\r\n  {model_name: a}, # x\r\n]\r\n",
    "CRLF null": "model_list:\r\n\r\nx: 1\r\n",
    "mixed line ends": "x: 1\r\nmodel_list:\n" + ITEM.replace("\n", "\r\n") + "y: 2\n",
    "CR line ends": "x: 1\rmodel_list:\r" + ITEM.replace("\n", "\r") + "y: 2\r",
    "lone CR at the end of LF lines": "x: 1\ny: 1\n# c\n\r\r",
    "NEL and LS in comments": "# a\x85# b\u2028model_list:\n" + ITEM + "# c\u2029x: 1\n",
    "no newline": USUAL.rstrip(b"\n"),
    "settings without newline": SETTINGS.rstrip(b"\n"),
    "tabs in comments": "model_list: # \there\n" + ITEM + "#\tc\t\n\nx: 1 #\tc\n",
    "unicode": "# Модели 🚀\nmodel_list:\n  - model_name: größe-模型\n    litellm_params: {model: 'openai/é'} # 🎉\nx: 日本\n",
    "quoting": "\"model_list\":\n  - 'model_name': \"a\\tb\"\n    \"litellm_params\": {'model': \"x\"}\n'x': 'it''s'\n",
    "quoted key with blanks": "'model_list'  :\n" + ITEM,
    "include": "include:\n  - /etc/litellm/more.yaml\nlitellm_settings: {drop_params: true}\n",
    "include and list": "include: [a.yaml, b.yaml]\nmodel_list:\n" + ITEM,
    "environment": "environment_variables:\n  OPENAI_API_KEY: os.environ/OPENAI_API_KEY\nmodel_list:\n" + ITEM,
    "document start": "---\nmodel_list:\n" + ITEM + "x: 1\n",
    "document start and end": "---\nmodel_list:\n" + ITEM + "...\n",
    "document end with comment": "x: 1\n...\n# bye\n",
    "document start only": "---\n",
    "document start only without newline": "--- # c",
    "document start and end, empty": "---\n...\n",
    "directive": "%YAML 1.1\n# c\n---\nmodel_list:\n" + ITEM + "...\n",
    "directive, settings only": "%YAML 1.1\n--- # c\nx: 1",
    "tagged top level": "--- !!map\nx: 1\n",
    "complex keys": "? - a\n  - b\n: c\n? x\n: y\nmodel_list:\n" + ITEM,
    "list under a complex key": "? model_list\n: - model_name: a\n    litellm_params: {model: b}\n  - model_name: c\nx: 1\n",
    "null under a complex key": "? model_list\n: null\nx: 1\n",
    "unknown tags": "x: !secret vault/a\nmodel_list:\n  - model_name: !env A\n    litellm_params: {model: !join [a, b]}\n",
    "block scalar at the end of the list": "model_list:\n  - model_name: a\n    note: |\n      text\n\n        more\n\n\nx: 1\n",
    "keep scalar at the end of the list": "model_list:\n  - model_name: a\n    note: |+\n      text\n\n\nx: 1\n",
    "keep scalar at the end of the file": "model_list:\n  - model_name: a\n    note: >+\n      text\n\n\n",
    "strip scalar without newline": "model_list:\n  - model_name: a\n    note: |-\n      text",
    "scalar without newline": "model_list:\n  - model_name: a\n    note: |\n      text",
    "scalar without newline, settings only": "x: 1\ny: >\n  text",
    "scalar without newline, comment on top": "# c\n\nx: 1\ny: |+\n  text",
    "scalar that ends in blanks": "model_list:\n  - model_name: a\n    note: |\n      text\n          \n      \nx: 1\n",
    "scalar that looks like entries": "x: |\n  model_list:\n    - model_name: a\nmodel_list:\n" + ITEM,
    "scalar and comment without newline": "y: |\n  text\n# c",
    "scalar and blanks without newline": "y: |\n  text\n ",
    "folded plain value": "model_list:\n  - model_name: a\n    note: one\n      two\n\n      three\nx: 1\n",
    "nested model_list": "x:\n  model_list:\n    - y\nrouter_settings:\n  model_list: []\n",
    "duplicate names": "model_list:\n" + ITEM + ITEM + "x: 1\n",
    "wildcard": "model_list:\n  - model_name: 'openai/*'\n    litellm_params: {model: 'openai/*'}\n",
    "hand-written copilot model": "model_list:\n  - model_name: mine\n    litellm_params: {model: github_copilot/gpt-4o}\n",
    "empty item": "model_list:\n  -\nx: 1\n",
    "recursive settings": "x: &x\n  self: *x\nmodel_list:\n" + ITEM,
    "long": "# long\nmodel_list:\n" + MANY + "x: 1\n",
    "long settings": "x:\n" + "".join(f"  k{n}: [1, 2, 3]\n" for n in range(2000)),
}

CONFIGS: tuple[tuple[str, bytes], ...] = tuple(
    (name, text if isinstance(text, bytes) else text.encode()) for name, text in _PLAIN.items()
)

OWN = "{model_name: o, litellm_params: {model: github_copilot/o}, model_info: {id: github_copilot/managed/o}}"
REFUSED: tuple[tuple[str, bytes, str], ...] = (
    ("invalid", b"x: 1\ny: [1, 2\nz: 3\n", r"line \d, column \d"),
    ("tab as indentation", b"x:\n\ty: 1\n", "line 2, column 1"),
    ("undefined alias", b"x: *nothing\n", "line 1, column 4"),
    ("not UTF-8", b"x: 1\ny: \xff\n", "not UTF-8 text .line 2"),
    ("UTF-16", "x: 1\n".encode("utf-16"), "not UTF-8"),
    ("control character", b"x: 1\n\ny: \x01\n", "control character in line 3"),
    ("two documents", b"x: 1\n---\ny: 1\n", "more than one YAML document"),
    ("a list", b"- x\n", "top level is not a mapping"),
    ("a word", b"x\n", "top level is not a mapping"),
    ("the word null", b"null\n", "top level is not a mapping"),
    ("list is a mapping", b"model_list: {a: 1}\n", "model_list is not a list"),
    ("list is text", b"model_list: nothing\n", "model_list is not a list"),
    ("list is a foreign tag", b"model_list: !include models.yaml\n", "model_list is not a list"),
    ("two lists", b"model_list: []\nx: 1\nmodel_list: []\n", "model_list appears twice .* lines 1 and 3"),
    ("two settings", b"x: 1\nx: 2\n", "x appears twice"),
    ("two on one line", b"{x: 1, x: 2}", "x appears twice"),
    ("list is an alias", b"x: &x []\nmodel_list: *x\n", "is an alias"),
    ("list from a merge key", b"x: &x {model_list: []}\n<<: *x\n", "merge key"),
    ("anchored null", b"model_list: &m\n", "tag or an anchor"),
    ("braces, list without colon", b"{model_list, x: 1}\n", "cannot be edited"),
    ("list used elsewhere", b"model_list: &m []\nx: *m\n", r"\*m in line 2"),
    ("top level used inside", b"&top\nx: *top\n", r"\*top in line 2"),
    ("managed entry used elsewhere", f"model_list:\n  - &o {OWN}\nx: *o\n".encode(), r"\*o in line 3"),
    ("nested without end", b"[" * 100_000, "nested too deeply|not valid YAML"),
)
