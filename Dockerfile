# unlearn-audit in an image, for the CPU by default:
#
#   docker build -t unlearn-audit .
#   docker build -t unlearn-audit:cuda --build-arg TORCH=cu130 .     # a name below https://download.pytorch.org/whl/
#   docker run --rm -v "$PWD:/work" unlearn-audit run --spec audit.yaml --out runs/x
#   docker run --rm --gpus all -v "$PWD:/work" unlearn-audit:cuda run --spec audit.yaml --out runs/x
#
# torch comes first, so that pip leaves its build in place. Its own index has that build (2.13.0+cpu goes before PyPI's 2.13.0),
# but not every version of what torch needs: that is PyPI's.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
ARG TORCH=cpu
ARG EXTRAS=run,sign
RUN apt-get update && apt-get install -y --no-install-recommends build-essential libicu-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/unlearn-audit
ENV PATH=/opt/unlearn-audit/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY constraints.txt ./
RUN pip install -c constraints.txt --extra-index-url "https://download.pytorch.org/whl/${TORCH}" torch
COPY pyproject.toml README.md LICENSE ./
COPY unlearn_audit unlearn_audit
COPY attacks attacks
COPY probes probes
RUN pip install -c constraints.txt ".[${EXTRAS}]" && unlearn-audit doctor

FROM python:${PYTHON}-slim
COPY --from=build /opt/unlearn-audit /opt/unlearn-audit
ENV PATH=/opt/unlearn-audit/bin:$PATH
RUN useradd --create-home auditor
USER auditor
WORKDIR /work
ENTRYPOINT ["unlearn-audit"]
CMD ["--help"]
