# The server of a run: its API and its page, without a GPU.
#   docker build -t iiae .
#   docker run --rm --init -p 8000:8000 -e IIAE_TOKEN=... -v "$PWD/runs/mine:/model:ro" iiae
# Requests carry the token, since others can reach the server; the page asks for it. With a gallery:
#   docker run --rm --init -p 8000:8000 -e IIAE_TOKEN=... -v "$PWD/runs/mine:/model:ro" iiae \
#     /model --gallery /model/gallery --host 0.0.0.0
# --init stops a server that still loads the run; --stop-timeout 45 lets uploads under way end.
# The user 10001 must be allowed to read the run. /run would hide what platforms mount below it.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY experiments/digits-cdcb.toml experiments/
RUN python -m venv /opt/iiae \
 && /opt/iiae/bin/pip install --no-cache-dir --no-deps "torch==2.13.0" \
      --extra-index-url https://download.pytorch.org/whl/cpu \
 && /opt/iiae/bin/pip install --no-cache-dir ".[search,web]" \
 && cd /opt/iiae/lib/python*/site-packages/torch && rm -rf test $(ls -d bin/* | grep -v shm)  # torch's own tests

FROM python:3.11-slim
COPY --from=build /opt/iiae /opt/iiae
RUN useradd --create-home --uid 10001 iiae
USER iiae
WORKDIR /home/iiae
ENV PATH=/opt/iiae/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["iiae", "serve"]
CMD ["/model", "--host", "0.0.0.0"]
