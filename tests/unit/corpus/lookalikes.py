"""Files that are no LiteLLM config, though many have one inside: (name, text, what the refusal says)."""

# ruff: noqa: E501

from __future__ import annotations

import textwrap

MANIFEST, VALUES, COMPOSE, TEMPLATE = (
    "a Kubernetes manifest",
    "the values of a Helm chart",
    "a compose file",
    "a template",
)
ACTIONS, GITLAB, PACKAGE = "a workflow of GitHub Actions", "a pipeline of GitLab", "a package.json"
OTHER = "none of the keys at its top level is only LiteLLM's"

INSIDE = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"""


def _inside(indent: int) -> str:
    return textwrap.indent(INSIDE.strip("\n"), " " * indent) + "\n"


def _manifest(kind: str, rest: str, version: str = "v1") -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: litellm\n  namespace: ai\n{rest}"


_FILES: dict[str, tuple[str, str]] = {
    "ConfigMap": (_manifest("ConfigMap", "data:\n  config.yaml: |\n" + _inside(4)), f"{MANIFEST}.*`data.config.yaml`"),
    "ConfigMap, kept": (_manifest("ConfigMap", "data:\n  proxy.yml: |+\n" + _inside(4)), f"{MANIFEST}.*data.proxy.yml"),
    "ConfigMap, quoted": (
        _manifest("ConfigMap", 'data:\n  c.yaml: "model_list:\\n  - model_name: a\\n"\n'), f"{MANIFEST}.*`data.c.yaml`"
    ),
    "ConfigMap, folded": (_manifest("ConfigMap", "data:\n  LOG_LEVEL: >-\n    debug\n    and more\n"), MANIFEST),
    "ConfigMap without newline": (_manifest("ConfigMap", "data: {}").rstrip("\n"), MANIFEST),
    "ConfigMap, CRLF": (
        _manifest("ConfigMap", "data:\n  config.yaml: |\n" + _inside(4)).replace("\n", "\r\n"), MANIFEST
    ),
    "ConfigMap as JSON": ('{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}\n', MANIFEST),
    "ConfigMap, list added": (
        _manifest("ConfigMap", "data:\n  config.yaml: |\n" + _inside(4))
        + "model_list: # added by copilot-model-sync; it owns the entries whose id begins with github_copilot/managed/\n"
        "  - model_name: x\n    litellm_params: {model: github_copilot/x}\n"
        "    model_info: {id: github_copilot/managed/x}\n",
        MANIFEST,
    ),
    "Secret": (_manifest("Secret", "stringData:\n  config.yaml: |\n" + _inside(4)), f"{MANIFEST}.*stringData"),
    "Secret, base64": (_manifest("Secret", "type: Opaque\ndata:\n  config.yaml: bW9kZWxfbGlzdDoKICAtIHt9Cg==\n"), MANIFEST),
    "Deployment": (
        _manifest("Deployment", "spec:\n  replicas: 2\n  template: {spec: {containers: [{name: litellm}]}}\n", "apps/v1"),
        MANIFEST,
    ),
    "CronJob": (_manifest("CronJob", "spec: {schedule: '0 * * * *'}\n", "batch/v1"), MANIFEST),
    "Kustomization": (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [base]\n"
        "configMapGenerator:\n  - name: litellm\n    files: [config.yaml]\n",
        MANIFEST,
    ),
    "Argo CD Application": (
        _manifest("Application", "spec:\n  source:\n    helm:\n      values: |\n        proxy_config:\n" + _inside(10),
                  "argoproj.io/v1alpha1"),
        MANIFEST,
    ),
    "Flux HelmRelease": (
        _manifest("HelmRelease", "spec:\n  values:\n    proxy_config:\n" + _inside(6), "helm.toolkit.fluxcd.io/v2"),
        f"{MANIFEST}.*`spec.values.proxy_config`",
    ),
    "kubeconfig": ("apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n", MANIFEST),
    "Helm Chart.yaml": ("apiVersion: v2\nname: litellm\nversion: 0.1.0\nappVersion: v1\n", OTHER),
    "Helm values": (
        "replicaCount: 1\nimage:\n  repository: ghcr.io/berriai/litellm\n  tag: main-stable\nproxy_config:\n" + _inside(2),
        f"{VALUES}.*`proxy_config`",
    ),
    "Helm values, empty proxy_config": ("masterkeySecretName: litellm\nproxy_config: {}\n", VALUES),
    "Helm values with a list of variables": (
        "proxy_config:\n" + _inside(2) + "environmentSecrets: [litellm-env]\nenvVars: {DEBUG: '1'}\n", VALUES
    ),
    "values of a chart around it": ("litellm-helm:\n  proxy_config:\n" + _inside(4), f"{OTHER}.*`litellm-helm.proxy_config`"),
    "values of a chart of one's own": ("litellm:\n  config: |\n" + _inside(4), f"{OTHER}.*`litellm.config`"),
    "compose": (
        "services:\n  litellm:\n    image: ghcr.io/berriai/litellm:main-stable\n    command: [--config, /app/config.yaml]\n"
        "    volumes:\n      - ./config.yaml:/app/config.yaml\n",
        COMPOSE,
    ),
    "compose with a version": ("version: '3.9'\nservices:\n  db:\n    image: postgres:16\nvolumes:\n  db:\n", COMPOSE),
    "compose with a config inside": (
        "name: ai\nservices:\n  litellm: {image: litellm}\nconfigs:\n  litellm:\n    content: |\n" + _inside(6),
        f"{COMPOSE}.*`configs.litellm.content`",
    ),
    "compose with include": ("include:\n  - db.yaml\nservices:\n  litellm: {image: litellm}\n", COMPOSE),
    "compose with anchors": ("x-base: &base {restart: always}\nservices:\n  a:\n    <<: *base\n    image: b\n", COMPOSE),
    "workflow": (
        "name: ci\non:\n  push:\n    branches: [main]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - uses: actions/checkout@v4\n      - run: pytest\n",
        ACTIONS,
    ),
    "workflow on one line": ("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: []}}\n", ACTIONS),
    "GitLab": ("stages: [test]\ntest:\n  stage: test\n  script: [pytest]\n", GITLAB),
    "GitLab with include": ("include:\n  - local: /ci.yml\nstages: [a]\na: {script: [b]}\n", GITLAB),
    "GitLab without stages": ("include:\n  - local: /ci.yml\ntest:\n  script: [pytest]\n", OTHER),
    "package.json": (
        '{\n  "name": "web",\n  "version": "1.0.0",\n  "scripts": {"test": "jest"},\n  "dependencies": {}\n}\n', PACKAGE
    ),
    "tsconfig.json": ('{\n  "compilerOptions": {"strict": true},\n  "include": ["src"]\n}\n', OTHER),
    "promptfoo": ("prompts: [file://a.txt]\nproviders:\n  - openai:gpt-4o\ntests:\n  - vars: {x: 1}\n", OTHER),
    "agents of another program": ("agents:\n  root:\n    model: claude\n    instruction: help\nmodels: {}\n", OTHER),
    "Prometheus": ("global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: litellm\n", OTHER),
    "pre-commit": ("repos:\n  - repo: https://example.org/a\n    rev: v1\n    hooks: [{id: ruff}]\n", OTHER),
    "OpenAPI": ("openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths: {}\n", OTHER),
    "Ansible variables": ("litellm_version: 1.108\nlitellm_config:\n" + _inside(2), f"{OTHER}.*`litellm_config`"),
    "settings without LiteLLM's keys": ("port: 4000\nlog_level: info\n", OTHER),
    "misspelt": ("modellist:\n  - model_name: a\n", OTHER),
    "Helm template, unquoted value": (
        "model_list:\n  - model_name: {{ .Values.model }}\n    litellm_params:\n      model: {{ .Values.model }}\n", TEMPLATE
    ),
    "Helm template, a block": (
        "{{- if .Values.enabled }}\nmodel_list:\n  {{- toYaml .Values.models | nindent 2 }}\n{{- end }}\n", TEMPLATE
    ),
    "Helm template of a ConfigMap": (
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "litellm.fullname" . }}\ndata:\n  config.yaml: |\n'
        "{{ .Values.proxy_config | toYaml | indent 4 }}\n",
        TEMPLATE,
    ),
    "Helm template that is YAML": (
        "litellm_settings:\n  drop_params: {{ .Values.drop }}\n", TEMPLATE
    ),
    "Jinja": ("model_list:\n{% for m in models %}\n  - model_name: {{ m }}\n{% endfor %}\n", TEMPLATE),
}  # fmt: skip

LOOKALIKES: tuple[tuple[str, bytes, str], ...] = tuple(
    (name, text.encode(), says) for name, (text, says) in _FILES.items()
)
