"""One sweep that nothing disturbed, and a project for each that something does."""

import pytest
from interrupted_study import Toy
from pandas.testing import assert_frame_equal


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """History and cases of the sweep as they should be."""
    toy = Toy(tmp_path_factory.mktemp("undisturbed"))
    code, said = toy.sweep()
    assert code == 0, said
    return toy.tables()


@pytest.fixture
def toy(tmp_path, undisturbed):
    """A project in a folder whose name has blanks and letters beyond ASCII; its tables are right at the end."""
    toy = Toy(tmp_path / "Läufe und Größen")
    assert " " in str(toy.root)
    assert not str(toy.root).isascii()
    yield toy
    assert toy.left() == []
    for found, expected in zip(toy.tables(), undisturbed, strict=True):
        assert_frame_equal(found, expected)
