# The sidecar image. Any Debian-based Python 3.11+ image works as the base: --build-arg BASE_IMAGE=…
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
COPY requirements.lock /tmp/
RUN python3 -m venv --without-pip /venv \
 && python3 -m pip --python /venv/bin/python install --no-cache-dir --no-compile --require-hashes \
      --disable-pip-version-check -r /tmp/requirements.lock
COPY scripts/strip_debug.py /tmp/
RUN python3 /tmp/strip_debug.py /venv/lib
COPY sidecar /app/sidecar
COPY entrypoint /app/entrypoint
# Modules are compiled here because the root file system is read-only at run time. No file says when or by whom it was
# made, and a compiled module has the time of its source in it: the same commit on the same base gives the same layers.
RUN chmod -R a=rX /app && chmod 0555 /app/entrypoint/sidecar.sh && find /app /venv -exec touch -hd @0 {} + \
 && /venv/bin/python -m compileall -q /app/sidecar /venv/lib && find /app /venv -exec touch -hd @0 {} + \
 && mkdir /out && mv /app /venv /out

# checkov:skip=CKV_DOCKER_7:it does not see the default of BASE_IMAGE
FROM ${BASE_IMAGE}
# Both are told by scripts/image.sh; an image that somebody builds is of no version.
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="litellm-copilot-model-sync" \
      org.opencontainers.image.description="Keeps a LiteLLM proxy's model list exactly what a GitHub Copilot account may use" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A new named volume inherits owner and mode from these directories. 10001 is an arbitrary user. If another user
# puts a token here (0600), they can still reach it, but cannot list the directory.
RUN install -d -o 10001 -g 10001 -m 0711 /github_auth && install -d -o 10001 -g 10001 -m 0755 /shared \
 && install -d -o 10001 -g 10001 -m 0700 /keys && touch -d @0 /github_auth /shared /keys
# Both at once, from their parent: a directory that a COPY makes itself has the time of the build.
COPY --from=build /out /
# Python runs one thread at a time: an arena for each of them would only be memory that the others cannot use.
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONPATH=/app \
    HOME=/tmp \
    MALLOC_ARENA_MAX=1 \
    GITHUB_COPILOT_TOKEN_DIR=/github_auth \
    COPILOT_MODELS_FILE=/shared/copilot_models.yaml
WORKDIR /app
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 CMD ["/venv/bin/python", "-m", "sidecar", "healthcheck"]
ENTRYPOINT ["/app/entrypoint/sidecar.sh"]
CMD ["run"]
