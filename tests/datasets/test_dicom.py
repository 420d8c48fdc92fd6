import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import MPEG2MPML, ExplicitVRLittleEndian

from medseg.datasets import dicom, jpeg_header
from medseg.datasets.folders import BadFile
from medseg.errors import MedsegError
from phantoms.gastric.sample import encode_dicom

BUNDLED = sorted(path for path in (Path(pydicom.__file__).parent / "data" / "test_files").rglob("*") if path.is_file())


def picture(height=24, width=32, seed=0) -> np.ndarray:
    smooth = np.linspace(0, 200, width)[None, :, None] + np.arange(height)[:, None, None]
    return np.clip(smooth + np.array([40, 0, -30]) + seed, 0, 255).astype(np.uint8)


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def grey(path: Path, values: np.ndarray, **elements) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = values.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path)
    return path


def test_rgb_comes_back_as_it_was_written(tmp_path):
    path = save(tmp_path / "a.dcm", encode_dicom(picture(), "P001", "a"))
    read = dicom.read(path)
    np.testing.assert_array_equal(read.pixels, picture())
    assert (read.transfer_syntax, read.photometric) == ("Explicit VR Little Endian", "RGB")
    assert dicom.read_size(path) == (32, 24)


def test_jpeg_comes_back_in_rgb_and_nearly_the_same(tmp_path):
    read = dicom.read(save(tmp_path / "a.dcm", encode_dicom(picture(), "P001", "a", "JPEG baseline")))
    assert read.transfer_syntax.startswith("JPEG Baseline")
    assert read.photometric == "YBR_FULL_422"
    assert np.abs(read.pixels.astype(int) - picture()).mean() < 4


def test_grey_becomes_three_equal_channels_and_monochrome1_is_inverted(tmp_path):
    read = dicom.read(save(tmp_path / "a.dcm", encode_dicom(picture(), "P001", "a", "MONOCHROME2")))
    assert read.pixels.shape == (24, 32, 3)
    assert (read.pixels == read.pixels[..., :1]).all()
    values = np.arange(64, dtype=np.uint8).reshape(8, 8)
    inverted = dicom.read(grey(tmp_path / "b.dcm", values, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(inverted.pixels[..., 0], 255 - values)


def test_more_than_8_bits_are_divided_by_what_the_bits_hold_or_shown_through_the_window(tmp_path):
    values = np.array([[0, 1024], [2048, 4095]], np.uint16)
    plain = dicom.read(grey(tmp_path / "a.dcm", values, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(plain.pixels[..., 0], [[0, 64], [128, 255]])
    window = {"WindowCenter": 1024, "WindowWidth": 1024}
    shown = dicom.read(grey(tmp_path / "b.dcm", values, BitsStored=12, HighBit=11, **window))
    assert shown.pixels[0, 0, 0] == 0
    assert abs(int(shown.pixels[0, 1, 0]) - 128) <= 1
    assert (shown.pixels[1] == 255).all()


def test_signed_values_start_at_their_lowest(tmp_path):
    values = np.array([[-32768, 0], [16384, 32767]], np.int16)
    np.testing.assert_array_equal(dicom.read(grey(tmp_path / "a.dcm", values)).pixels[..., 0], [[0, 128], [191, 255]])


def test_a_truncated_file_is_told_from_a_sound_one(tmp_path):
    data = encode_dicom(picture(), "P001", "a")
    with pytest.raises(BadFile, match=r"a.dcm: truncated: holds \d+ of the 2304 bytes"):
        dicom.read(save(tmp_path / "a.dcm", data[: len(data) - 500]))
    coded = encode_dicom(picture(240, 320), "P001", "b", "JPEG baseline")
    with pytest.raises(BadFile), pytest.warns(UserWarning, match="End of file"):
        dicom.read(save(tmp_path / "b.dcm", coded[: len(coded) * 2 // 3]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "not a DICOM file"), (b"\x89PNG", "not a DICOM file"), (b"\0" * 128 + b"DICM", "holds no picture")],
)
def test_what_is_no_picture_is_refused(tmp_path, data, reason):
    with pytest.raises(BadFile, match=reason):
        dicom.read(save(tmp_path / "a.dcm", data))


def test_several_pictures_in_one_file_are_refused_before_they_are_decoded(tmp_path):
    values = np.zeros((4, 4), np.uint8)
    with pytest.raises(BadFile, match="holds 3 pictures, expected one"):
        dicom.read(grey(tmp_path / "a.dcm", values, NumberOfFrames=3))
    with pytest.raises(BadFile, match="60000 x 60000"):
        dicom.read(grey(tmp_path / "b.dcm", values, Rows=60000, Columns=60000))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(BadFile, match="No such file"):
        dicom.read(tmp_path / "none.dcm")


def test_every_file_bundled_with_pydicom_gives_a_picture_or_a_reason():
    pictures, refused = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in BUNDLED:
            try:
                read = dicom.read(path)
            except MedsegError as error:
                refused.append(error.reason)
            else:
                pictures += 1
                assert read.pixels.dtype == np.uint8
                assert read.pixels.ndim == 3
                assert read.pixels.shape[2] == 3
            try:
                assert min(dicom.read_size(path)) > 0
            except MedsegError:
                continue
    assert pictures > 30  # the reader is not simply refusing
    assert len(refused) > 30
    assert all(len(reason) > 10 for reason in refused)


def test_a_known_colour_file_of_pydicom_is_read_right():
    path = Path(get_testdata_file("SC_rgb_rle.dcm", download=False))
    read = dicom.read(path)
    assert tuple(read.pixels[5, 50]) == (255, 0, 0)  # pydicom's documentation: the first bar is red


def without_jfif(stream: bytes) -> bytes:
    """A JPEG stream without its first segment, JFIF's, which says that the colours are YCbCr."""
    assert stream[:4] == b"\xff\xd8\xff\xe0"
    return stream[:2] + stream[4 + int.from_bytes(stream[4:6], "big") :]


def bundled(name: str) -> pydicom.Dataset:
    return pydicom.dcmread(get_testdata_file(name, download=False))


@pytest.mark.parametrize("name", ["SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+n2.dcm"])  # 4:2:0 and 4:2:2
def test_subsampled_chroma_under_a_header_that_says_rgb_is_ycbcr_and_noted(tmp_path, name):
    dataset = bundled(name)
    dataset.save_as(tmp_path / "right.dcm")
    right = dicom.read(tmp_path / "right.dcm")
    assert right.note == ""
    dataset.PhotometricInterpretation = "RGB"
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    for held in (stream, without_jfif(stream)):  # with the marker decoders know better than the header; without, not
        dataset.PixelData = encapsulate([held])
        dataset.save_as(tmp_path / "wrong.dcm")
        wrong = dicom.read(tmp_path / "wrong.dcm")
        np.testing.assert_array_equal(wrong.pixels, right.pixels)
        assert (wrong.note, wrong.photometric) == (dicom.YBR_NOTE, "RGB")
    assert np.abs(pydicom.dcmread(tmp_path / "wrong.dcm").pixel_array.astype(int) - right.pixels).mean() > 50


def test_so_it_is_in_every_frame_of_a_sequence(tmp_path):
    dataset = bundled("SC_rgb_dcmtk_+eb+cy+n1.dcm")
    dataset.save_as(tmp_path / "one.dcm")
    stream = without_jfif(get_frame(dataset.PixelData, 0, number_of_frames=1))
    dataset.NumberOfFrames, dataset.PhotometricInterpretation = 3, "RGB"
    for has_table in (True, False):
        dataset.PixelData = encapsulate([stream] * 3, has_bot=has_table)
        dataset.save_as(tmp_path / "three.dcm")
        for number in range(3):
            found = dicom.read(tmp_path / "three.dcm", number)
            np.testing.assert_array_equal(found.pixels, dicom.read(tmp_path / "one.dcm").pixels)
            assert found.note == dicom.YBR_NOTE


@pytest.mark.parametrize("name", ["SC_jpeg_no_color_transform.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_jpeg.dcm"])
def test_jpeg_that_holds_rgb_as_it_says_is_left_alone(name):
    path = Path(get_testdata_file(name, download=False))
    assert dicom.read(path).note == ""
    if name == "SC_rgb_dcmtk_+eb+cr.dcm":
        red, green, _ = dicom.read(path).pixels[5, 50]  # the first bar is red
        assert red > 200 > 60 > green


def test_a_damaged_jpeg_header_says_nothing():
    stream = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00"
    assert jpeg_header.read(stream).surely_ybr
    for end in range(len(stream)):
        assert jpeg_header.read(stream[:end]) is None
    assert not jpeg_header.read(
        stream.replace(b"\x03\x01\x22\x00\x02", b"\x03R\x22\x00G")[:-3] + b"B\x11\x00"
    ).surely_ybr


UNREAD = {"SC_rgb_jpeg_gdcm.dcm": "1.2.840.10008.1.2.4.70", "SC_rgb_jls_lossy_line.dcm": "1.2.840.10008.1.2.4.81"}


@pytest.mark.parametrize("name", UNREAD)
def test_without_a_decoder_the_reason_names_the_extra_in_full(monkeypatch, name):
    path = Path(get_testdata_file(name, download=False))
    monkeypatch.setattr(dicom, "get_decoder", lambda syntax: SimpleNamespace(is_available=False))
    with pytest.raises(BadFile) as error:
        dicom.read(path)
    assert error.value.reason.startswith("compressed as JPEG")
    assert error.value.reason.endswith("no decoder is installed; install one: pip install 'medseg[dicom]'")


@pytest.mark.skipif(not find_spec("gdcm"), reason="the extra [dicom] is not installed")
@pytest.mark.parametrize("name", UNREAD)
def test_with_the_extra_jpeg_lossless_and_jpeg_ls_are_read(name):
    read = dicom.read(Path(get_testdata_file(name, download=False)))
    assert read.pixels[5, 50, 0] > 200 > 60 > read.pixels[5, 50, 1]
    assert bundled(name).file_meta.TransferSyntaxUID == UNREAD[name]


def test_a_compression_that_no_extra_reads_is_to_be_converted(tmp_path):
    dataset = bundled("SC_rgb_jpeg_dcmtk.dcm")
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(BadFile, match="compressed as MPEG2 .*no decoder is installed; convert it"):
        dicom.read(tmp_path / "a.dcm")
