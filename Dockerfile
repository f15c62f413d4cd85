# Buoy in a container: buoy.db, logs and locks in /data, settings by environment or /data/buoy.toml.
# docs/deploy.md says how to run it. What is in the image: Python, Buoy, its locked dependencies; no secret, no compiler.

# The version that the locks are made and the tests are run with.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/image.lock requirements/image.lock
RUN python -m venv /opt/buoy \
    && /opt/buoy/bin/pip install --require-hashes --only-binary :all: -r requirements/image.lock
COPY requirements/build.lock requirements/build.lock
COPY pyproject.toml README.md ./
COPY src src
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.lock \
    && /opt/build/bin/python -m hatchling build -t wheel -d dist \
    && /opt/buoy/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/buoy/bin/buoy --version

FROM python:${PYTHON}-slim
# A number, so that Kubernetes' runAsNonRoot can check it.
RUN groupadd --gid 10001 buoy \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin buoy \
    && install -d -o buoy -g buoy -m 0700 /data
COPY --from=build /opt/buoy /opt/buoy
ENV PATH=/opt/buoy/bin:$PATH \
    BUOY_DATA_DIR=/data \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8765
STOPSIGNAL SIGTERM
# Ready: every bot can be reached. The answer comes over the control socket in /data, whatever web.listen says.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["buoy", "status"]
ENTRYPOINT ["buoy"]
CMD ["run"]
