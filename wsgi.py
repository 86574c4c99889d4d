"""The web application for any WSGI server: `gunicorn -k clarion.web.reading.Reader wsgi:app`.

With another worker than that, put a proxy in front that reads requests whole: slow
clients would hold all threads. Refuses to start for the same reasons as `clarion web`.
"""

from clarion.cli import start

start()

from clarion.web.app import create_app  # noqa: E402 -- after the settings were looked at

app = create_app()
