# A Dask scheduler or worker for `train.search.backend: dask`, of the checkout's code; deploy/dask.yaml
# builds it. PYTHON has to be the version of the machine that searches: others are refused.
ARG PYTHON=3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
FROM python:${PYTHON}
COPY requirements-dask.txt /
RUN python -m pip install --quiet --no-cache-dir --no-deps --require-hashes -r /requirements-dask.txt
COPY engine/mlops /app/mlops
COPY src/project /app/project
ENV LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app DASK_TEMPORARY_DIRECTORY=/tmp
USER 10001:10001
ENTRYPOINT ["python", "-m", "dask"]
