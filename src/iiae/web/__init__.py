"""A server for one run: an API over HTTP and one page. `app.create_app`, `serving.serve`."""

from importlib.util import find_spec

from iiae.errors import MissingExtra

if not all(map(find_spec, ("fastapi", "prometheus_client", "python_multipart", "uvicorn"))):
    raise MissingExtra("web", "the server")
