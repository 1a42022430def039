# The workflow with all that it needs; results and data lie in a folder of the host.
#
#   docker build -t shamsul .
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" shamsul
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" shamsul --configfile mine.yaml --resources gpu=1
#
# `--gpus all` after `run` gives it the GPUs. With Apptainer: `apptainer build shamsul.sif
# docker-daemon:shamsul:latest`, then `apptainer run [--nv] shamsul.sif`.
#
# Tried, as a user that the image does not know, on Debian 12 with its own Python 3.11 in place of the
# base image, which could not be fetched there. Not tried: GPUs in it, Apptainer.
FROM python:3.11-slim-bookworm

# What pip takes by itself runs on NVIDIA's GPUs and without; an index of other builds, such as
# PyTorch's own of smaller ones for processors alone, is given by --build-arg TORCH_INDEX=URL.
ARG TORCH_INDEX=

WORKDIR /opt/shamsul
# Before the code, so that an edit of it does not install everything anew.
COPY pyproject.toml .
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/requirements.txt \
    && pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt
COPY . .

# Any user may run it, also one that the image does not know; caches go where anybody may write.
ENV USER=shamsul HOME=/tmp PYTHONPATH=/opt/shamsul
RUN useradd --no-create-home shamsul && mkdir /work && chown shamsul /work
USER shamsul
WORKDIR /work
ENTRYPOINT ["snakemake", "--snakefile", "/opt/shamsul/Snakefile"]
