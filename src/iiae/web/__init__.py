"""A server for one run: an API over HTTP and one page. `app.create_app`, `serving.serve`."""
