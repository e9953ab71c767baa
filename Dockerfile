# All dependencies are wheels or pure Python: there is no compiler in the image, and none is needed.
ARG BASE=docker.io/library/python:3.12-slim
FROM ${BASE}

ENV LANG=C.UTF-8 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONNOUSERSITE=1

# The dependencies first: this layer stays as it is when only the source changes.
COPY requirements.txt /usr/src/bids_fx/
COPY requirements/build.txt /usr/src/bids_fx/requirements/
WORKDIR /usr/src/bids_fx
RUN python3 -m pip install --require-hashes -r requirements/build.txt && \
    python3 -m pip install --require-hashes --no-build-isolation -r requirements.txt

COPY LICENSE README.md hatch_build.py pyproject.toml ./
COPY boilerplate boilerplate
COPY bids_fx bids_fx
RUN python3 -m pip install --no-build-isolation --no-deps . && \
    mkdir -p /home/bids_fx && \
    chmod go=u /home/bids_fx

# Any user id may run the image, one without a passwd entry too. Nothing is ever sent anywhere.
ARG TAG=bids_fx:local
ENV HOME=/home/bids_fx \
    USER=bids_fx \
    LOGNAME=bids_fx \
    MPLCONFIGDIR=/tmp/mpl \
    NO_ET=1 \
    NIPYPE_NO_ET=1 \
    OMP_NUM_THREADS=1 \
    TEMPLATEFLOW_AUTOUPDATE=off \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    BIDS_FX_DOCKER_TAG=${TAG}

LABEL org.opencontainers.image.title="bids_fx" \
      org.opencontainers.image.description="First-level models and fixed effects for BIDS datasets, as a BIDS App" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.ref.name="${TAG}"

WORKDIR /tmp
ENTRYPOINT ["bids_fx"]
