"""For every run of pytest, of tests and of notebooks alike."""

pytest_plugins = ["quiet_notebooks"]
