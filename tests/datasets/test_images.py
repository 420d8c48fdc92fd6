import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from medseg.datasets.folders import BadFile
from medseg.datasets.foreground import before_after, clean_mask, cleaned
from medseg.datasets.images import encode_png, read_grey, read_mask, read_pair, read_picture


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_lossless_pictures_come_back_exactly(tmp_path, rgb, suffix):
    np.testing.assert_array_equal(read_picture(saved(tmp_path / f"a.{suffix}", rgb)), rgb)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK"])
def test_every_mode_becomes_8_bit_rgb(tmp_path, rgb, mode):
    image = Image.fromarray(rgb).convert(mode)
    picture = read_picture(saved(tmp_path / "a.tif", image))
    assert picture.dtype == np.uint8
    assert picture.shape == (20, 30, 3)
    np.testing.assert_array_equal(picture, np.asarray(image.convert("RGB")))


def test_alpha_and_a_fourth_tiff_channel_are_dropped_not_blended(tmp_path, rgb):
    transparent = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "a.png", transparent)), rgb)
    tifffile.imwrite(tmp_path / "b.tif", transparent, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_picture(tmp_path / "b.tif"), rgb)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_that_describes_three_channels_as_grey_keeps_its_colours(tmp_path, rgb, planar):
    path = tmp_path / "clinic.tif"
    pixels = rgb if planar == "contig" else np.moveaxis(rgb, -1, 0)
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig=planar)
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(path)
    np.testing.assert_array_equal(read_picture(path), rgb)


def test_16_bit_is_scaled_unless_it_holds_8_bit_values(tmp_path):
    wide = np.array([[0, 257, 400, 32896, 65535]], np.uint16)
    assert read_picture(saved(tmp_path / "a.png", wide))[0, :, 0].tolist() == [0, 1, 2, 128, 255]
    assert read_grey(saved(tmp_path / "b.png", wide // 257))[0].tolist() == [0, 1, 1, 128, 255]


def test_12_bits_in_a_16_bit_file_are_scaled_from_their_own_range(tmp_path):
    wide = np.array([[0, 8, 16, 2048, 4095]], np.uint16)
    assert read_picture(saved(tmp_path / "a.png", wide))[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert read_grey(saved(tmp_path / "b.tif", wide))[0].tolist() == [0, 0, 1, 128, 255]
    assert read_grey(saved(tmp_path / "d.png", np.array([[0, 4096]], np.uint16)))[0].tolist() == [0, 16]


def test_orientation_tag_is_applied_once_in_every_format(tmp_path, rgb):
    turned = np.rot90(rgb, -1)  # orientation 6: to be shown turned by 90 degrees clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in ("png", "tif"):
        np.testing.assert_array_equal(read_picture(saved(tmp_path / f"a.{suffix}", rgb, exif=exif)), turned)
    assert read_picture(saved(tmp_path / "a.jpg", rgb, exif=exif)).shape == turned.shape


def pixels_of(pair):
    return pair.picture, pair.mask.values


def tagged(path, pixels, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    return saved(path, pixels, **({"exif": exif} if tag != 1 else {}))


SHOWN = {  # how a viewer shows what is stored, by the EXIF standard (CIPA DC-008, 4.6.4)
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: np.swapaxes(p, 0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.swapaxes(np.rot90(p, 2), 0, 1),
    8: lambda p: np.rot90(p, 1),
}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(sorted(SHOWN)),
    st.sampled_from(sorted(SHOWN)),
    st.sampled_from(["png", "tif"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_an_accepted_mask_overlays_its_picture_or_the_tag_is_named(
    tmp_path, height, width, tag, mask_tag, suffix, on_shown, seed
):
    """The annotator saw the picture as stored, or as shown; the mask is stored so that it is shown as it was drawn."""
    assume(on_shown or tag != mask_tag or tag == 1)  # both tagged alike are turned together
    stored = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    shown = SHOWN[tag](stored)
    seen = shown if on_shown else stored
    back = {6: 8, 8: 6}.get(mask_tag, mask_tag)
    mask = np.ascontiguousarray(SHOWN[back](seen[..., 0]))
    image = tagged(tmp_path / f"a.{suffix}", stored, tag)
    label = tagged(tmp_path / f"m.{suffix}", mask, mask_tag)
    if tag != mask_tag and (1 not in (tag, mask_tag) or mask.shape == stored.shape[:2]):
        with pytest.raises(BadFile, match="orientation tag") as refused:
            read_pair(image, label)
        assert refused.value.path == label
        return
    picture, values = pixels_of(read_pair(image, label))
    np.testing.assert_array_equal(picture, shown)
    np.testing.assert_array_equal(values, picture[..., 0])


@pytest.mark.parametrize("tag", range(2, 9))
def test_orientation_of_the_picture_alone(tmp_path, rgb, tag):
    image = tagged(tmp_path / "a.png", rgb, tag)
    with pytest.raises(BadFile, match=f"orientation tag .EXIF. of the image is {tag}, that of its mask 1"):
        read_pair(image, saved(tmp_path / "stored.png", rgb[..., 0]))
    both = tagged(tmp_path / "both.png", rgb[..., 0], tag)
    picture, values = pixels_of(read_pair(image, both))
    np.testing.assert_array_equal(values, picture[..., 0])
    if tag >= 5:  # a mask whose size fits the turned picture only
        picture, values = pixels_of(read_pair(image, saved(tmp_path / "shown.png", SHOWN[tag](rgb[..., 0]))))
        np.testing.assert_array_equal(values, picture[..., 0])
    with pytest.raises(BadFile, match=f"orientation tag .EXIF. of the image is 1, that of its mask {tag}"):
        read_pair(saved(tmp_path / "plain.png", rgb), both)


def png_claiming(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def encoded(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def test_unusable_files_are_refused_with_a_reason(tmp_path, rgb):
    png, jpg, tif = (encoded(rgb, kind) for kind in ("PNG", "JPEG", "TIFF"))
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    odd = io.BytesIO()
    tifffile.imwrite(odd, rgb, photometric="minisblack", planarconfig="contig")
    turned = io.BytesIO()
    tifffile.imwrite(turned, rgb, photometric="minisblack", planarconfig="contig", extratags=[(274, 3, 1, 6, True)])
    grey = Image.fromarray(rgb[..., 0])
    pages = io.BytesIO()
    grey.save(pages, "TIFF", save_all=True, append_images=[grey])
    float_tiff = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.float32)).save(float_tiff, "TIFF")
    cases = {
        "empty": (b"", "0 bytes"),
        "text": (b"not an image at all", "not a picture"),
        "cut png": (png[: len(png) // 2], "damaged or truncated"),
        "png without its end": (png[:-12], "damaged or truncated"),
        "cut jpeg": (jpg[: len(jpg) // 2], "damaged or truncated"),
        "cut tiff": (tif[: len(tif) // 2], "damaged or truncated"),
        "cut odd tiff": (odd.getvalue()[:600], "damaged or truncated"),
        "turned odd tiff": (turned.getvalue(), "not supported"),
        "flipped bit": (bytes(flipped), "damaged or truncated"),
        "tiff header alone": (b"II*\0\xff\xff\xff\x7f", "damaged or truncated|not supported"),
        "bomb": (png_claiming(200_000, 200_000), "million pixels"),
        "large": (png_claiming(10_000, 10_000), "million pixels"),
        "two pages": (pages.getvalue(), "holds 2 pictures"),
        "float": (float_tiff.getvalue(), "floating-point"),
    }
    for name, (data, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(BadFile, match=reason):
            read_picture(path)
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        read_picture(tmp_path / "missing.png")


def test_every_truncation_of_a_file_is_refused_or_read_never_anything_else(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    path = tmp_path / "a"
    for kind in ("PNG", "JPEG", "TIFF", "BMP"):
        whole = encoded(pixels, kind)
        for length in range(0, len(whole), 7):
            path.write_bytes(whole[:length])
            try:
                assert read_picture(path).shape == (6, 6, 3)
            except BadFile:
                continue


def test_cleaning_thresholds_above_127_and_keeps_zero_one_labels():
    impure = np.array([[0, 11, 127, 128, 200, 255]], np.uint8)
    assert clean_mask(impure).tolist() == [[0, 0, 0, 255, 255, 255]]
    assert clean_mask(np.array([[0, 1, 1]], np.uint8)).tolist() == [[0, 255, 255]]
    assert clean_mask(np.array([[0, 1, 2]], np.uint8)).tolist() == [[0, 0, 0]]
    assert clean_mask(np.zeros((2, 2), np.uint8)).tolist() == [[0, 0], [0, 0]]
    assert clean_mask(impure).dtype == np.uint8


def test_coloured_and_palette_masks_count_by_their_brightest_channel(tmp_path):
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    palette = Image.fromarray(labels).convert("P")
    palette.putpalette([0, 0, 0, 128, 0, 0])  # the dark red of VOC palettes
    assert cleaned(read_mask(saved(tmp_path / "p.png", palette))).tolist() == [[0, 0, 255, 255]]
    red = np.zeros((1, 4, 3), np.uint8)
    red[0, 2:, 0] = 255
    assert cleaned(read_mask(saved(tmp_path / "r.png", red))).tolist() == [[0, 0, 255, 255]]


def test_before_after_finds_the_impure_values(tmp_path):
    before = np.array([[0, 0, 10, 10, 10, 120, 140, 250, 255]], np.uint8)
    cleaned = before_after(saved(tmp_path / "m.png", before))
    np.testing.assert_array_equal(cleaned.before, before)
    np.testing.assert_array_equal(cleaned.after, np.where(before > 127, 255, 0))
    assert before[cleaned.impure].tolist() == [10, 10, 10, 120, 140, 250]


def test_png_round_trip(rgb):
    for pixels in (rgb, rgb[..., 0]):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_real_clinicdb_pair_as_distributed():
    if "MEDSEG_CLINICDB_PAIR" not in os.environ:
        pytest.skip("set MEDSEG_CLINICDB_PAIR to a folder with 1.tif and its mask 1_mask.tif of CVC-ClinicDB")
    folder = Path(os.environ["MEDSEG_CLINICDB_PAIR"])
    picture = read_picture(folder / "1.tif")
    assert picture.shape == (288, 384, 3)
    assert picture[..., 0].mean() > 2 * picture[..., 2].mean()  # mucosa is red
    cleaned = before_after(folder / "1_mask.tif")
    assert len(np.unique(cleaned.before)) == 44
    assert set(np.unique(cleaned.after)) == {0, 255}


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_12_bits_in_a_16_bit_colour_png_are_scaled_from_their_own_range(tmp_path, channels):
    wide = np.random.default_rng(0).integers(0, 4096, (6, 5, channels)).astype(np.uint16)
    wide[0, 0] = 4095
    path = tmp_path / "a.png"
    path.write_bytes(wide_png(wide))
    kept = wide[..., :1].repeat(3, 2) if channels == 2 else wide[..., :3]
    notes = []
    np.testing.assert_array_equal(read_picture(path, notes), np.rint(kept / 4095 * 255))
    assert len(notes) == (channels != 3)
    tifffile.imwrite(tmp_path / "b.tif", kept if channels > 2 else wide[..., 0], photometric=KINDS[channels])
    np.testing.assert_array_equal(read_picture(tmp_path / "b.tif"), np.rint(kept / 4095 * 255))


KINDS = {2: "minisblack", 3: "rgb", 4: "rgb"}


def wide_png(pixels):
    """A PNG of 16 bits and 2, 3 or 4 channels, which Pillow cannot write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_what_was_dropped_of_a_picture_is_noted(tmp_path, rgb):
    def notes_of(path):
        notes = []
        read_picture(path, notes)
        return notes

    opaque, half = (np.dstack([rgb, np.full(rgb.shape[:2], value, np.uint8)]) for value in (255, 100))
    assert notes_of(saved(tmp_path / "a.png", opaque)) == ["an alpha channel dropped"]
    assert notes_of(saved(tmp_path / "b.png", half)) == ["an alpha channel, which hides part of the picture, dropped"]
    assert notes_of(saved(tmp_path / "c.png", rgb)) == notes_of(saved(tmp_path / "c.jpg", rgb)) == []
    tifffile.imwrite(
        tmp_path / "d.tif", np.dstack([rgb, rgb[..., :2]]), photometric="minisblack", planarconfig="contig"
    )
    assert notes_of(tmp_path / "d.tif") == ["2 channels after the third dropped"]
