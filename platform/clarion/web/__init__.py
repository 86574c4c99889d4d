"""HTTP: the room that knows Flask and Flask-AppBuilder."""
