import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medseg.errors import MedsegError
from medseg.masks.rle import decode, encode, runs, text


def plain(mask):
    """The definition, pixel by pixel."""
    numbers, run = [], 0
    for position, value in enumerate([*mask.flatten().tolist(), 0]):
        if value:
            run += 1
        elif run:
            numbers += [position - run + 1, run]
            run = 0
    return " ".join(map(str, numbers))


def framed(mask, frame):
    return np.pad(mask, frame)


masks = st.builds(
    framed,
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 1)),
    st.tuples(*[st.tuples(*[st.integers(0, 3)] * 2)] * 2),
)


def test_runs_by_hand():
    mask = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]], np.uint8)
    assert encode(mask) == "2 2 9 1 12 1"
    np.testing.assert_array_equal(decode("2 2 9 1 12 1", (3, 4)), mask)


def test_a_run_goes_on_into_the_next_row():
    mask = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 0]], np.uint8)
    assert encode(mask) == "3 3"
    np.testing.assert_array_equal(decode("3 3", (3, 3)), mask)


@settings(deadline=None, derandomize=True)
@given(masks)
@example(np.zeros((3, 4), np.uint8))
@example(np.ones((3, 4), np.uint8))
@example(np.ones((1, 1), np.uint8))
@example(np.pad(np.ones((2, 5), np.uint8), ((1, 1), (0, 0))))  # full-width rows, one run
@example(np.array([[1, 0, 1], [1, 0, 1]], np.uint8))  # joined across rows, as wide as the mask
@example(np.zeros((0, 4), np.uint8))
def test_code_follows_the_definition_and_comes_back(mask):
    code = encode(mask)
    assert code == plain(mask)
    assert encode(mask.astype(bool)) == code
    decoded = decode(code, mask.shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, mask)


@settings(deadline=None, derandomize=True)
@given(masks)
def test_views_code_like_copies(mask):
    for view in (mask.T, mask[::-1], mask[:, ::2], np.asfortranarray(mask)):
        assert encode(view) == plain(view)


def test_a_large_mask_with_small_structures():
    mask = np.zeros((2048, 2048), np.uint8)
    mask[1000:1040, 700:790] = np.random.default_rng(0).integers(0, 2, (40, 90))
    mask[2047, 2047] = 1
    code = encode(mask)
    assert code.endswith(f" {2048 * 2048} 1")
    np.testing.assert_array_equal(decode(code, mask.shape), mask)


def test_touching_runs_and_odd_spacing_are_read():
    np.testing.assert_array_equal(decode(" 1 2  3 1\n", (1, 4)), [[1, 1, 1, 0]])


@settings(deadline=None, derandomize=True)
@given(masks)
def test_runs_are_the_numbers_of_the_code(mask):
    code = encode(mask)
    found = runs(code, mask.shape)
    assert found.shape[1] == 2
    assert text(found) == code
    assert found[:, 1].sum() == mask.sum()


@pytest.mark.parametrize("blank", ["", " ", "\n", " \t\r\n"])
def test_a_blank_code_is_the_empty_mask(blank):
    assert not decode(blank, (2, 3)).any()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 2 3", "3 numbers, so that the last start has no length"),
        ("1 two", "number 2 is 'two', not a whole number"),
        ("1 2 -3 1", "number 3 is '-3'"),
        ("1 2.0", "number 2 is '2.0'"),
        ("1 " + "9" * 30, "number 2 is '999"),
        ("0 2", "run 1 is '0 2', but starts and lengths count from 1"),
        ("1 1 3 0", "run 2 is '3 0'"),
        ("5 2 1 1", "run 2 starts at 1, but the run before it ends at 6"),
        ("1 3 3 1", "run 2 starts at 3, but the run before it ends at 3"),
        ("1 1 12 2", "run 2 is '12 2' and ends at 13, beyond pixel 12"),
        ("13 1", "beyond pixel 12"),
        ("5 " + "9" * 18, "beyond pixel 12"),
        ("1\xa01", "white space other than"),
        ("1 \N{ARABIC-INDIC DIGIT TWO}", "number 2 is"),
        ("nan", "number 1 is 'nan'"),
    ],
)
def test_malformed_codes_say_what_is_wrong(code, message):
    with pytest.raises(MedsegError, match="Malformed run-length code for a mask of 3 x 4") as error:
        decode(code, (3, 4))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "mask",
    [np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2), np.float32), np.full((2, 2), 255, np.uint8)],
)
def test_what_is_not_a_mask_is_refused(mask):
    with pytest.raises(ValueError, match="expected a mask"):
        encode(mask)
