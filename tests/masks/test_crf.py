import importlib.util
import sys
import types

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.masks import crf
from medseg.masks.crf import refine


class StubField:
    """Records what it is told, and answers the probability that its energy stands for, of both classes swapped."""

    made = None

    def __init__(self, width, height, labels):
        self.size, self.calls = (width, height, labels), {}
        StubField.made = self

    def setUnaryEnergy(self, energy):
        assert energy.flags.c_contiguous
        self.energy = energy

    def addPairwiseGaussian(self, **arguments):
        self.calls["gaussian"] = arguments

    def addPairwiseBilateral(self, **arguments):
        assert arguments["rgbim"].flags.c_contiguous
        self.calls["bilateral"] = arguments

    def inference(self, iterations):
        self.calls["iterations"] = iterations
        return np.exp(-self.energy)[::-1]


@pytest.fixture
def stub(monkeypatch):
    package, module = types.ModuleType("pydensecrf"), types.ModuleType("pydensecrf.densecrf")
    module.DenseCRF2D = StubField
    package.densecrf = module
    monkeypatch.setitem(sys.modules, "pydensecrf", package)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", module)
    return StubField


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf", None)  # an import then fails, installed or not


def example():
    probability = np.zeros((40, 60), np.float32)
    probability[10:14, 20:30] = np.linspace(0.1, 1, 40, dtype=np.float32).reshape(4, 10)
    picture = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    return picture, probability


def test_the_field_is_told_the_box_the_energies_and_the_kernels(stub, monkeypatch):
    for name, value in {"ITERATIONS": 7, "SMOOTHNESS": (2.0, 3.0), "APPEARANCE": (4.0, 50.0, 6.0), "MARGIN": 5}.items():
        monkeypatch.setattr(crf, name, value)
    picture, probability = example()
    refined = refine(picture, probability)
    rows, columns = slice(5, 19), slice(15, 35)
    field = stub.made
    assert field.size == (20, 14, 2)
    assert field.energy.shape == (2, 280)
    assert field.energy.dtype == np.float32
    inside = np.clip(probability[rows, columns], 1e-5, 1 - 1e-5).ravel()
    np.testing.assert_allclose(np.exp(-field.energy), [1 - inside, inside], rtol=1e-4)  # background first
    assert field.calls["iterations"] == 7
    assert field.calls["gaussian"] == {"sxy": 3.0, "compat": 2.0}
    bilateral = field.calls["bilateral"]
    assert {name: bilateral[name] for name in ("sxy", "srgb", "compat")} == {"sxy": 50.0, "srgb": 6.0, "compat": 4.0}
    for channel in range(3):
        np.testing.assert_array_equal(bilateral["rgbim"][..., channel], picture[rows, columns])
    expected = probability.copy()
    expected[rows, columns] = 1 - probability[rows, columns]  # the stub swaps the classes
    np.testing.assert_allclose(refined, expected, atol=2e-5)
    assert refined.dtype == np.float32


def test_the_box_ends_at_the_picture_and_colour_is_taken_as_it_is(stub, monkeypatch):
    monkeypatch.setattr(crf, "MARGIN", 12)
    picture, probability = example()
    colour = np.stack([picture, picture // 2, 255 - picture], axis=2)
    refine(colour, probability.astype(np.float64))
    assert stub.made.size == (34, 26, 2)
    np.testing.assert_array_equal(stub.made.calls["bilateral"]["rgbim"], colour[0:26, 8:42])


def test_a_picture_without_the_structure_needs_no_field(stub):
    stub.made = None
    picture, probability = example()
    refined = refine(picture, probability * 0)
    assert stub.made is None
    assert not refined.any()


def test_a_missing_package_says_how_to_install_it(missing):
    with pytest.raises(
        MedsegError, match=r"pydensecrf2, which is not installed here.*uv pip install \"medseg\[crf\]\""
    ):
        refine(*example())


@pytest.mark.parametrize(
    ("picture", "probability", "message"),
    [
        (np.zeros((4, 5)), np.zeros((4, 5)), "expected a picture"),
        (np.zeros((4, 5, 1), np.uint8), np.zeros((4, 5)), "expected a picture"),
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4)), "floating probability \\(4, 5\\)"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8), "of uint8"),
    ],
)
def test_wrong_arrays_are_refused(stub, picture, probability, message):
    with pytest.raises(ValueError, match=message):
        refine(picture, probability)


@pytest.mark.skipif(importlib.util.find_spec("pydensecrf") is None, reason="the optional package is not installed")
def test_the_package_itself_moves_an_outline_to_the_edge():
    picture = np.full((60, 60), 30, np.uint8)
    picture[20:40, 20:40] = 220
    probability = np.full((60, 60), 0.05, np.float32)
    probability[22:42, 22:42] = 0.8
    mask = refine(picture, probability) > 0.5
    assert (mask != (picture > 100)).mean() < ((probability > 0.5) != (picture > 100)).mean()
