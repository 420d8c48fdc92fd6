"""For every run of pytest, of tests and of notebooks alike."""

pytest_plugins = ["quiet_notebooks"]

#: Folders of tests that need a framework or a browser.
HEAVY = ("pytorch", "keras", "keras_legacy", "tf_shared", "browser")


def pytest_addoption(parser):
    parser.addoption("--light", action="store_true", help="leave out the tests that need a framework or a browser")


def pytest_ignore_collect(collection_path, config):
    folder = config.rootpath / "tests"
    return True if config.getoption("light") and collection_path in [folder / name for name in HEAVY] else None
