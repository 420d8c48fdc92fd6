"""What both Keras rooms share is not to be had outside of them, nor in both at a time."""

import subprocess
import sys

import pytest


def _python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", ["model", "npz"])
def test_outside_of_a_room_it_is_refused_before_tensorflow_loads(module):
    code = (
        "import sys\n"
        "try:\n"
        f"    import medseg.tf_shared.{module}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = _python(code)
    assert done.returncode == 0, done.stderr
    assert "Import either medseg.keras or medseg.keras_legacy before it" in done.stdout


def test_in_both_rooms_it_is_refused():
    done = _python("import medseg.keras, medseg.keras_legacy\nimport medseg.tf_shared")
    assert "never both in one process" in done.stderr
