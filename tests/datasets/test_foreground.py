"""What of a mask is foreground, whatever its file calls it; and what nobody can know is refused with what was found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medseg.datasets import foreground
from medseg.datasets.folders import BadFile
from medseg.datasets.images import ReadMask, read_mask
from medseg.errors import MedsegError

VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128, 64, 0, 0]


def areas(*values):
    """A mask with a square of 8 x 8 pixels for each value, on 0."""
    mask = np.zeros((12, 12 * len(values)), np.uint8)
    for place, value in enumerate(values):
        mask[2:10, 12 * place + 2 : 12 * place + 10] = value
    return mask


def voc(path, mask, palette=VOC):
    image = Image.fromarray(mask).convert("P")
    image = Image.fromarray(mask, "P")
    image.putpalette(palette)
    image.save(path)
    return path


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_palette_with_colours_is_read_by_index(tmp_path):
    mask = areas(1, 8)
    read = read_mask(voc(tmp_path / "m.png", mask))
    assert (read.kind, read.exact) == ("index", True)
    np.testing.assert_array_equal(read.values, mask)
    assert foreground.classes(read) == [1, 8]  # class 8 is dark red, 64: brightness would lose it
    np.testing.assert_array_equal(foreground.cleaned(read), (mask > 0) * 255)
    np.testing.assert_array_equal(foreground.cleaned(read, [8]), (mask == 8) * 255)


def test_the_void_of_voc_is_no_class(tmp_path):
    mask = areas(1, 255)
    palette = VOC + [0, 0, 0] * (255 - len(VOC) // 3) + [224, 224, 192]
    read = read_mask(voc(tmp_path / "m.png", mask, palette))
    np.testing.assert_array_equal(foreground.cleaned(read), (mask == 1) * 255)


def test_a_palette_of_greys_counts_by_brightness(tmp_path):
    mask = areas(1)
    read = read_mask(voc(tmp_path / "m.png", mask, [0, 0, 0, 255, 255, 255]))
    np.testing.assert_array_equal(foreground.cleaned(read), (mask > 0) * 255)
    inverse = read_mask(voc(tmp_path / "i.png", 1 - mask, [255, 255, 255, 0, 0, 0]))
    np.testing.assert_array_equal(foreground.cleaned(inverse), (mask > 0) * 255)


def test_colours_of_which_none_is_black_are_refused_until_someone_says_what_is_foreground(tmp_path):
    read = read_mask(voc(tmp_path / "m.png", areas(1), [0, 0, 90, 200, 0, 0]))
    with pytest.raises(BadFile, match=r"whose first is not black; it holds the values 0 and 1.*foreground=\[1\]"):
        foreground.cleaned(read)
    assert foreground.cleaned(read, [1]).max() == 255


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((2,), "no white: it holds the values 0 and 2,"),
        ((1, 2), "no white: it holds the values 0, 1 and 2,"),
        ((1, 255), "neither black nor white; it holds the values 0, 1 and 255,"),
        ((85, 170, 255), "neither black nor white; it holds the values 0, 85, 170 and 255,"),
    ],
)
def test_grey_classes_are_named_and_taken_by_the_parameter(tmp_path, values, named):
    mask = areas(*values)
    read = read_mask(saved(tmp_path / "m.png", mask))
    with pytest.raises(BadFile, match=named + " which may be classes. Say which are polyp, such as foreground="):
        foreground.cleaned(read)
    for value in values:
        np.testing.assert_array_equal(foreground.cleaned(read, [value]), (mask == value) * 255)
    assert foreground.cleaned(read, [7]).max() == 0


def test_black_white_and_what_lies_between_at_an_edge_is_no_class(tmp_path):
    soft = np.zeros((24, 24), np.uint8)
    soft[4:20, 4:20] = 255
    soft[4, 4:20] = soft[19, 4:20] = 64
    soft[4:20, 4] = 191
    assert (foreground.cleaned(read_mask(saved(tmp_path / "m.png", soft))) == (soft > 127) * 255).all()
    noisy = areas(255) + np.random.default_rng(0).integers(0, 40, (12, 12)).astype(np.uint8) * (areas(255) == 0)
    assert (foreground.cleaned(read_mask(saved(tmp_path / "n.png", noisy))) == (noisy > 127) * 255).all()
    for border in ((11,), (6, 7, 9, 19)):  # as masks of CVC-ClinicDB have them over parts of their borders
        dark = areas(255, *border)
        assert (foreground.cleaned(read_mask(saved(tmp_path / "c.png", dark))) == (dark > 127) * 255).all()
    ones = areas(1)
    assert (foreground.cleaned(read_mask(saved(tmp_path / "o.png", ones))) == ones * 255).all()
    assert not foreground.cleaned(ReadMask(np.zeros((4, 4), np.uint8))).any()


def test_a_jpeg_holds_no_classes(tmp_path):
    read = read_mask(saved(tmp_path / "m.jpg", areas(255), quality=90))
    assert not read.exact
    assert foreground.cleaned(read).any()
    with pytest.raises(BadFile, match=r"a JPEG, whose compression changes values, so that foreground \(1\)"):
        foreground.cleaned(read, [1])
    grey = read_mask(saved(tmp_path / "g.jpg", areas(80), quality=95))
    with pytest.raises(BadFile, match="no white: its highest value is 8., as of classes in a JPEG"):
        foreground.cleaned(grey)
    empty = read_mask(saved(tmp_path / "e.jpg", areas(6), quality=95))
    assert not foreground.cleaned(empty).any()


def test_colours_darker_than_half_are_not_lost(tmp_path):
    coloured = np.zeros((12, 24, 3), np.uint8)
    coloured[2:10, 2:10, 0] = 128
    coloured[2:10, 14:22, 0] = 64
    read = read_mask(saved(tmp_path / "m.png", coloured))
    assert read.kind == "colour"
    with pytest.raises(BadFile, match="neither black nor white; it holds the values 0, 64 and 128"):
        foreground.cleaned(read)
    with pytest.raises(BadFile, match="in colours, not in class values"):
        foreground.cleaned(read, [1])


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 8), min_size=1, max_size=4), st.sets(st.integers(1, 8), min_size=1, max_size=4))
def test_what_is_said_to_be_foreground_is(present, wanted):
    mask = areas(*sorted(present))
    for kind in ("grey", "index"):
        found = foreground.cleaned(ReadMask(mask, kind), sorted(wanted))
        np.testing.assert_array_equal(found, np.isin(mask, sorted(wanted)) * 255)


def test_what_is_no_value_of_a_mask_is_refused():
    with pytest.raises(MedsegError, match="foreground holds 0; expected values of the masks from 1 to 255"):
        foreground.check([1, 0])
    foreground.check([1, 255])
