# syntax=docker/dockerfile:1
# The service without root and without writing outside /jobs: see docs/serve.md for how to run it read-only.
FROM python:3.12-slim AS build
WORKDIR /source
RUN python -m venv /opt/mien
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/mien/bin/pip install --no-cache-dir ".[serve,parquet,plot]"

FROM python:3.12-slim
COPY --from=build /opt/mien /opt/mien
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin mien \
    && install -d -o mien -m 700 /jobs
ENV PATH=/opt/mien/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MIEN_CACHE_DIR=/tmp/mien \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001
VOLUME ["/jobs"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["mien", "serve", "--host", "0.0.0.0", "--port", "8000", "--jobs-folder", "/jobs"]
