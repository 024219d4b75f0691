"""One HTML page about a run, and the tables that a terminal shows too."""
