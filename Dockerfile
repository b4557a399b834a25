# The serving image: Python, the API and one model. `make image` builds it; it runs as any user, on a
# read-only root, without a shell. Predictions are logged to the volume /data.
#
# Layers, from seldom to often changed: base, libraries, code, model. File times are a constant, so
# the same content gives the same layers.
#
# To move the base: docker buildx imagetools inspect python:3.11-slim-bookworm shows the new digest.
FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS base
ENV LC_ALL=C.UTF-8 PYTHONHASHSEED=0
SHELL ["/bin/sh", "-ec"]

FROM base AS libraries
ARG REQUIREMENTS=requirements-serve.txt
COPY ${REQUIREMENTS} /requirements.txt
RUN python -m venv --without-pip /opt/venv; \
    python -m pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-compile \
      --no-deps --require-hashes -r /requirements.txt; \
    find /opt/venv -type d -name tests -prune -exec rm -rf {} +; \
    find /opt/venv -name '*.pyi' -delete; \
    mkdir -p /out/opt; mv /opt/venv /out/opt; \
    python -m compileall -q --invalidation-mode unchecked-hash -s /out /out/opt/venv/lib; \
    find /out -exec touch --no-dereference --date=1980-01-01 {} +

FROM base AS code
COPY engine/mlops /out/app/mlops
COPY src/project /out/app/project
RUN python -m compileall -q --invalidation-mode unchecked-hash -s /out /out/app; \
    chmod -R go=rX /out/app; mkdir -m 1777 /out/data; \
    find /out -exec touch --date=1980-01-01 {} +

FROM base AS model
COPY artifacts/bundle /out/app/bundle
# What serving doesn't need: the monitor's reference and, of an exported model, the pickled one.
RUN rm -f /out/app/bundle/reference.json; \
    grep -q '"engine": "joblib"' /out/app/bundle/manifest.json \
      || rm -f /out/app/bundle/model.joblib; \
    chmod -R go=rX /out/app; \
    find /out -exec touch --date=1980-01-01 {} +

FROM base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PREDICTION_LOG_URL=sqlite:////data/predictions.db \
    SERVE_BUNDLE=/app/bundle \
    SERVE_HOST=0.0.0.0 \
    SERVE_PORT=8000 \
    SERVE_RELOAD_SECONDS=0
COPY --from=libraries /out /
COPY --from=code /out /
COPY --from=model /out /
VOLUME /data
EXPOSE 8000
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-ISc", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"SERVE_PORT\"]}/health/ready', timeout=2)"]
CMD ["python", "-m", "mlops.serving"]
ARG REVISION=unknown
ENV SERVE_GIT_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="MLOps Loop API" \
      org.opencontainers.image.revision=${REVISION}
