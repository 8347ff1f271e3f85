# The sidecar image. Any Debian-based Python 3.11+ image works as the base: --build-arg BASE_IMAGE=…
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
COPY requirements.lock /tmp/
RUN python3 -m venv --without-pip /venv \
 && python3 -m pip --python /venv/bin/python install --no-cache-dir --no-compile --require-hashes \
      --disable-pip-version-check -r /tmp/requirements.lock
COPY sidecar /app/sidecar
COPY entrypoint /app/entrypoint
# Modules are compiled here because the root file system is read-only at run time.
RUN chmod -R a=rX /app && chmod 0555 /app/entrypoint/sidecar.sh \
 && /venv/bin/python -m compileall -q /app/sidecar /venv/lib

# checkov:skip=CKV_DOCKER_7:it does not see the default of BASE_IMAGE
FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="litellm-copilot-model-sync" \
      org.opencontainers.image.description="Keeps a LiteLLM proxy's model list exactly what a GitHub Copilot account may use" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new named volume inherits owner and mode from these directories. 10001 is an arbitrary user. If another user
# puts a token here (0600), they can still reach it, but cannot list the directory.
RUN install -d -o 10001 -g 10001 -m 0711 /github_auth && install -d -o 10001 -g 10001 -m 0755 /shared \
 && install -d -o 10001 -g 10001 -m 0700 /keys
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONPATH=/app \
    HOME=/tmp \
    GITHUB_COPILOT_TOKEN_DIR=/github_auth \
    COPILOT_MODELS_FILE=/shared/copilot_models.yaml
WORKDIR /app
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 CMD ["/venv/bin/python", "-m", "sidecar", "healthcheck"]
ENTRYPOINT ["/app/entrypoint/sidecar.sh"]
CMD ["run"]
