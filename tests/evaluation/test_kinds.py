"""What is scored of each kind of label."""

import numpy as np
import pytest

from medseg.errors import MedsegError
from medseg.evaluation import kinds, measures


def class_of(*probabilities):
    """The class of one pixel with these probabilities, background first."""
    kind = kinds.of("class_map", ["1", "2", "3", "4"])
    (maps,) = kind.maps(lambda pictures: [np.array(probabilities, np.float32).reshape(5, 1, 1)], [None])
    return kind.whole([maps[0] > 0.5], maps)[0, 0]


def test_a_pixel_is_lesion_where_the_phases_add_up_and_has_the_likeliest():
    assert class_of(0.4, 0.25, 0.35, 0, 0) == 2
    assert class_of(0.6, 0.4, 0, 0, 0) == 0
    assert class_of(0.3, 0.1, 0, 0, 0.6) == 4


def test_a_sum_of_rounded_probabilities_stays_a_probability():
    probabilities = np.full((5, 1, 1), 0.2500001, np.float32)
    (maps,) = kinds.of("class_map", "abcd").maps(lambda pictures: [probabilities], [None])
    assert probabilities[1:].sum() > 1
    assert maps[0].max() == 1
    with pytest.raises(IndexError):
        maps[1]


def test_the_pieces_of_a_class_map_are_its_classes():
    whole = np.array([[0, 1], [3, 3]], np.uint8)
    kind = kinds.of("class_map", ["x", "y", "z"])
    assert {name: int(mask.sum()) for name, mask in kind.pieces(whole)} == {"x": 1, "y": 0, "z": 2}
    assert {name: int(mask.sum()) for name, mask in kind.true_pieces(whole)} == {"x": 1, "y": 0, "z": 2}
    assert kind.part(whole, 0).tolist() == kind.truth(whole, 0).tolist() == [[False, True], [True, True]]


def test_there_is_a_kind_for_every_one_of_the_registry_of_measures():
    assert [kinds.of(name, ["a"]).name for name in measures.KINDS] == list(measures.KINDS)
    with pytest.raises(MedsegError, match="no kind of label 'volume'.*overlapping"):
        kinds.of("volume", ["a"])
