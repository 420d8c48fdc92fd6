import pytest

from medseg.datasets.augmentation.transforms import read_terms
from medseg.errors import MedsegError


def test_terms_come_in_their_order_and_presets_are_resolved():
    presets = {"none": "", "usual": "flip + Rotate(limit=(1, 2), p=0.5)"}
    assert read_terms(" none ", presets, "") == read_terms("", presets, "") == []
    assert read_terms("usual", presets, "") == [("flip", None), ("Rotate", {"limit": (1, 2), "p": 0.5})]
    assert [name for name, _ in read_terms("c + a() + b", presets, "")] == ["c", "a", "b"]


@pytest.mark.parametrize("text", ["a - b", "a +", "[1]", "A.b()", "f(1)", "f(**{})", "f(x=1, x=2)", "f(x=y)"])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(MedsegError):
        read_terms(text, {}, "Write it so.")
