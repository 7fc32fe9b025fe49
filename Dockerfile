# did_tf and what it needs: docs/how-to/container.md. For a CPU, and with CUDA:
#   docker build --tag did_tf .
#   docker build --tag did_tf:gpu --build-arg EXTRAS=serve,gpu .
ARG PYTHON=3.12
ARG DEBIAN=bookworm

# The large image of Python has the compilers that the extra crf asks for; of it the environment alone is kept.
FROM python:${PYTHON}-${DEBIAN} AS build
ARG EXTRAS=serve
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/did_tf
WORKDIR /src
COPY setup.py README.md LICENSE ./
COPY data_pipelines data_pipelines
COPY experiments experiments
COPY did_tf did_tf
# A container has no windows: OpenCV without them needs neither libGL nor X11. Both packages have files of one name.
RUN /opt/did_tf/bin/pip install ".[${EXTRAS}]" \
    && /opt/did_tf/bin/pip uninstall --yes opencv-python \
    && /opt/did_tf/bin/pip install --no-deps "opencv-python-headless>=4.8.1.78,<5"

FROM python:${PYTHON}-slim-${DEBIAN}
# What rasterio's wheel takes from the system, in whatever version has Debian's latest mends.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/did_tf /opt/did_tf
RUN useradd --create-home --uid 1000 did_tf && install --directory --owner=did_tf --group=did_tf /work
# matplotlib wants a folder to write to, whoever the user is; the last two are for NVIDIA's runtime.
ENV PATH=/opt/did_tf/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# In numbers, by which Kubernetes sees that it is not root.
USER 1000:1000
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["did_tf"]
CMD ["--help"]
