"""A pytest plugin: a notebook's cell that writes to stderr fails, since its reader would get a red block."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Look at what nbval collected from a cell that ran well."""
    result = yield
    outputs = getattr(item, "test_outputs", None) or []
    red = "".join(out.text for out in outputs if out.output_type == "stream" and out.name == "stderr")
    if red:
        item.raise_cell_error("The cell wrote to stderr", red)
    return result
