# All dependencies are wheels or pure Python: there is no compiler in the image, and none is needed.
# The program gets an environment of its own, so that nothing depends on where BASE puts packages.
ARG BASE=docker.io/library/python:3.12-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/build.txt requirements/
RUN python3 -m venv /opt/build && \
    /opt/build/bin/python -m pip install --require-hashes -r requirements/build.txt

# The dependencies before the source: this stays as it is when only the source changes.
# The tests that packages bring weigh more than 150 MB, and nothing imports them.
FROM build AS dependencies
COPY requirements.txt ./
RUN /opt/build/bin/python -m pip wheel --require-hashes --no-build-isolation \
        --wheel-dir /wheels -r requirements.txt && \
    python3 -m venv --without-pip /opt/bids_fx && \
    /opt/build/bin/python -m pip --python /opt/bids_fx/bin/python install \
        --no-index --no-deps /wheels/*.whl && \
    find /opt/bids_fx -type d -name tests -prune -exec rm -r {} + && \
    rm -r /wheels

# The viewer of the maps: what `make viewer` has fetched, else by an npm that stays here. May come
# out empty: the log says why, and reports have no viewer.
FROM build AS viewer
ARG BIDS_FX_VIEWER=auto
COPY requirements/npm.txt requirements/
COPY hatch_build.py ./
COPY bids_fx/data bids_fx/data
ENV PATH=/opt/build/bin:${PATH}
RUN mkdir -p bids_fx/data/viewer && \
    { test -n "$(ls bids_fx/data/viewer)" || test "${BIDS_FX_VIEWER}" = skip || \
        python -m pip install --require-hashes -r requirements/npm.txt || \
        echo 'bids_fx: there is no npm for this platform.' >&2; } && \
    python hatch_build.py

# Standard brains for the background of reports. May come out empty: the log says why. Only what
# fetches them is copied, so that they are not fetched again when other source changes.
FROM dependencies AS templates
COPY bids_fx/__init__.py bids_fx/archive.py bids_fx/errors.py bids_fx/logs.py bids_fx/suggest.py bids_fx/
COPY bids_fx/cli/__init__.py bids_fx/cli/fetch_templates.py bids_fx/cli/streams.py bids_fx/cli/
RUN /opt/bids_fx/bin/python -m bids_fx.cli.fetch_templates /opt/templateflow || test $? = 1

FROM dependencies AS package
ARG BIDS_FX_VIEWER=auto
COPY LICENSE README.md hatch_build.py pyproject.toml ./
COPY boilerplate boilerplate
COPY bids_fx bids_fx
COPY --from=viewer /build/bids_fx/data/viewer bids_fx/data/viewer
RUN /opt/build/bin/python -m pip wheel --no-build-isolation --no-deps --wheel-dir /wheels . && \
    /opt/build/bin/python -m pip --python /opt/bids_fx/bin/python install \
        --no-index --no-deps --no-warn-script-location --prefix /package /wheels/*.whl

FROM ${BASE}
COPY --from=dependencies /opt/bids_fx /opt/bids_fx
COPY --from=templates /opt/templateflow /opt/templateflow
# Any user id may run the image, one without a passwd entry too.
RUN mkdir -p /home/bids_fx && chmod 777 /home/bids_fx
COPY --from=package /package /opt/bids_fx

# Nothing is ever sent anywhere; PYTHONNOUSERSITE, since Apptainer mounts the caller's HOME.
# MPLCONFIGDIR is not set: the program gives matplotlib a folder in its work dir.
ARG TAG=bids_fx:local
ENV PATH=/opt/bids_fx/bin:${PATH} \
    LANG=C.UTF-8 \
    HOME=/home/bids_fx \
    USER=bids_fx \
    LOGNAME=bids_fx \
    NO_ET=1 \
    NIPYPE_NO_ET=1 \
    OMP_NUM_THREADS=1 \
    PYTHONNOUSERSITE=1 \
    TEMPLATEFLOW_AUTOUPDATE=off \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    BIDS_FX_DOCKER_TAG=${TAG}

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bids_fx" \
      org.opencontainers.image.description="First-level models and fixed effects for BIDS datasets, as a BIDS App" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.ref.name="${TAG}"

WORKDIR /tmp
ENTRYPOINT ["bids_fx"]
