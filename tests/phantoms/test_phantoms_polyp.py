import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, UnidentifiedImageError

from medseg.errors import MedsegError
from phantoms.endoscopy.camera import visible
from phantoms.polyp import sample as polyp
from phantoms.polyp.centres import CENTRES, CLINICDB, COLONDB, ETIS, film
from phantoms.polyp.sample import sample_faults, write_polyp_sample
from phantoms.texture import fractal_noise, vessels

FRAMES = 2
FEW = {COLONDB.name: 4, CLINICDB.name: 2, ETIS.name: 4}
ONE = dict.fromkeys(FEW, 1)
PLACES = {  # images and masks of a centre
    COLONDB: (("", ".bmp"), ("p", ".bmp")),
    CLINICDB: (("Original/", ".tif"), ("Ground Truth/", ".tif")),
    ETIS: (("ETIS-LaribPolypDB/", ".tif"), ("Ground Truth/p", ".tif")),
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polyp, "SEQUENCES", FEW)
        yield write_polyp_sample(tmp_path_factory.mktemp("polyp") / "raw", frames_per_sequence=FRAMES)


def write_one(folder: Path, monkeypatch, centres=CENTRES, **options) -> Path:
    """One frame of each of ``centres``, without faults."""
    monkeypatch.setattr(polyp, "SEQUENCES", ONE)
    monkeypatch.setattr(polyp, "CENTRES", centres)
    monkeypatch.setattr(polyp, "sample_faults", lambda _: [])
    return write_polyp_sample(folder, **{"frames_per_sequence": 1} | options)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(path: Path) -> np.ndarray:
    return tifffile.imread(path) if CLINICDB.name in path.parts else np.asarray(Image.open(path))


def pairs(folder: Path, centre):
    """Sound image and mask of every frame of a centre."""
    (image, image_suffix), (mask, mask_suffix) = PLACES[centre]
    for number in range(1, FEW[centre.name] * FRAMES + 1):
        place = folder / centre.name
        yield read(place / f"{image}{number}{image_suffix}"), read(place / f"{mask}{number}{mask_suffix}")


def colour_contrast(image: np.ndarray, polyp_mask: np.ndarray, inside: np.ndarray) -> float:
    """Distance between the mean log chromaticities of a polyp and of a ring round it."""
    width = max(3, image.shape[1] // 20) | 1
    ring = cv2.dilate(polyp_mask.astype(np.uint8), np.ones((width, width))) > 0
    means = [image[where & inside].mean(axis=0) for where in (polyp_mask, ring & ~polyp_mask)]
    own, around = (np.log(mean[1:] / mean[0]) for mean in means)
    return float(np.linalg.norm(own - around))


@pytest.mark.parametrize(("centre", "size"), [(COLONDB, (574, 500)), (CLINICDB, (384, 288)), (ETIS, (1225, 966))])
def test_frames_have_the_size_of_their_set_and_show_a_polyp(sample, centre, size):
    inside = visible(centre.camera.window, size) > 127
    for image, mask in pairs(sample, centre):
        assert (image.shape, image.dtype) == ((size[1], size[0], 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((size[1], size[0]), np.uint8)
        share = np.mean((mask > 127) & inside)
        assert 0.3 * centre.area[0] < share < 2.5 * centre.area[1]
        assert not (mask > 127)[~inside].any()
        assert image[inside].mean() > 50
        assert abs(image[visible(centre.camera.window, size) == 0].mean() - centre.camera.window.black) < 3
        red, green, blue = image[inside].mean(axis=0)
        assert red > 1.2 * green > 1.2 * blue  # mucosa


def test_colondb_and_etis_masks_are_pure_and_clinicdb_masks_are_not(sample):
    for centre in (COLONDB, ETIS):
        for _, mask in pairs(sample, centre):
            assert set(np.unique(mask)) == {0, 255}
    for _, mask in pairs(sample, CLINICDB):
        values = np.unique(mask)
        assert {0, 255} < set(values)
        assert len(values) > 10
        impure = (mask > 0) & (mask < 255)
        assert 0 < impure.sum() < 0.2 * (mask == 255).sum() + 0.2 * mask.size


def test_clinicdb_masks_are_grey_under_the_border():
    """As in the distributed set, where an annotation went on under the black border."""
    width, height = CLINICDB.camera.size
    window = visible(CLINICDB.camera.window, (width, height))
    frame = polyp.Frame(np.zeros((height, width, 3), np.uint8), np.ones((height, width), bool), window)
    mask = polyp._mask(CLINICDB, frame, 0, 1)
    assert (mask[window == 255] == 255).all()
    assert set(np.unique(mask[window == 0])) >= {10, 11, 12}
    assert mask[window == 0].max() < 20


def test_clinicdb_pictures_are_tagged_as_the_real_ones(sample):
    path = sample / CLINICDB.name / "Original" / "1.tif"
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert (page.samplesperpixel, page.compression) == (3, tifffile.COMPRESSION.NONE)
    with pytest.raises(UnidentifiedImageError):
        Image.open(path)
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ndim == 2  # a naive reader sees one channel


def test_sequences_are_disjoint_and_cover_every_image(sample):
    for centre in CENTRES:
        with (sample / centre.name / "sequences.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        (folder, suffix), _ = PLACES[centre]
        names = {path.name for path in (sample / centre.name / folder).glob(f"*{suffix}") if path.stem.isdecimal()}
        assert {row["file"] for row in rows} == names
        assert len(rows) == len(names)
        sequence_of = {int(Path(row["file"]).stem): int(row["sequence"]) for row in rows}
        sound = [sequence_of[number] for number in range(1, FEW[centre.name] * FRAMES + 1)]
        assert sound == [number // FRAMES + 1 for number in range(len(sound))]


def test_frames_of_a_sequence_are_alike_and_sequences_differ(sample):
    small = [
        cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA).astype(float) for image, _ in pairs(sample, ETIS)
    ]
    within = [np.abs(small[i] - small[i + 1]).mean() for i in range(0, len(small), FRAMES)]
    across = [np.abs(small[i] - small[i + FRAMES]).mean() for i in range(0, len(small) - FRAMES, FRAMES)]
    assert min(within) > 0.5  # the camera moves
    assert np.mean(within) < 0.6 * np.mean(across)


def test_etis_is_the_hardest_centre(sample):
    contrast, area = {}, {}
    for centre in CENTRES:
        inside = visible(centre.camera.window, centre.camera.size) > 250
        frames = [(image.astype(float), mask > 127) for image, mask in pairs(sample, centre)]
        contrast[centre.name] = np.mean([colour_contrast(image, mask, inside) for image, mask in frames])
        area[centre.name] = np.mean([mask.mean() for _, mask in frames])
    assert contrast[ETIS.name] < 0.8 * contrast[COLONDB.name]
    assert area[ETIS.name] < 0.7 * area[COLONDB.name]


def test_faults_are_faults(sample):
    faults = sample_faults(FRAMES)
    assert json.loads((sample / "sample.json").read_text())["faults"] == [fault._asdict() for fault in faults]
    assert len({fault.kind for fault in faults}) == len(faults) == 4
    for fault in faults:
        path = sample / fault.path
        if fault.kind == "truncated image":
            assert (sample / CLINICDB.name / "Ground Truth" / path.name).is_file()
            with pytest.raises(ValueError, match="failed to read"):
                tifffile.imread(path)
        elif fault.kind == "no mask":
            assert read(path).shape == (288, 384, 3)
            assert not (sample / CLINICDB.name / "Ground Truth" / path.name).exists()
        elif fault.kind == "mask of another size":
            assert read(path).shape == (250, 287)
            assert read(path.with_name(path.name.removeprefix("p"))).shape == (500, 574, 3)
        else:
            assert not read(path).any()


def test_faults_of_the_default_sample_come_after_its_frames():
    per_sequence = polyp.FRAMES_PER_SEQUENCE
    for fault in sample_faults():
        assert polyp._number(fault.path) > polyp.SEQUENCES[fault.path.split("/")[0]] * per_sequence


def test_same_arguments_give_the_same_bytes(tmp_path, monkeypatch):
    first = content(write_one(tmp_path / "a", monkeypatch))
    assert content(write_one(tmp_path / "b", monkeypatch)) == first
    assert first.keys() >= {"sample.json", "CVC-ColonDB/1.bmp", "CVC-ColonDB/p1.bmp", "CVC-ColonDB/sequences.csv"}


def test_a_frame_does_not_depend_on_how_many_others_there_are():
    alone = next(film(CLINICDB, 3, 1, 1))
    among = list(film(CLINICDB, 3, 1, 2))
    np.testing.assert_array_equal(alone.image, among[0].image)
    assert (among[0].image != among[1].image).any()
    assert (next(film(CLINICDB, 4, 1, 1)).image != alone.image).any()


def test_a_complete_sample_is_left_alone_and_another_is_drawn_anew(tmp_path, monkeypatch):
    folder = write_one(tmp_path / "raw", monkeypatch, (CLINICDB,))
    before = content(folder)
    (folder / "trace").touch()
    write_one(folder, monkeypatch, (CLINICDB,))
    assert (folder / "trace").exists()
    write_one(folder, monkeypatch, (CLINICDB,), seed=1)
    after = content(folder)
    assert after.keys() == before.keys()  # the old folder is gone as a whole
    assert after["CVC-ClinicDB/Original/1.tif"] != before["CVC-ClinicDB/Original/1.tif"]
    (folder / "sample.json").write_text("{")
    assert content(write_one(folder, monkeypatch, (CLINICDB,))) == before


def test_a_failure_leaves_nothing_half_written(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(polyp, "_put", fail)
    with pytest.raises(MedsegError, match="disk is full"):
        write_one(tmp_path / "raw", monkeypatch, (CLINICDB,))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_other_content_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(MedsegError, match="something other than sample data"):
        write_one(tmp_path, monkeypatch)
    assert (tmp_path / "holiday.jpg").exists()


@pytest.mark.parametrize("options", [{"frames_per_sequence": 0}, {"seed": -1}])
def test_bad_arguments_are_refused(tmp_path, options):
    with pytest.raises(MedsegError, match="expected 1 or more, and 0 or more"):
        write_polyp_sample(tmp_path / "raw", **options)


def test_textures_wrap_round():
    rng = np.random.default_rng(0)
    for texture in (fractal_noise(rng, (120, 90), (5, 4), 2), 4 * vessels(rng, (200, 160), 8)):
        for edge in (np.abs(texture[0] - texture[-1]), np.abs(texture[:, 0] - texture[:, -1])):
            steps = np.abs(np.diff(texture, axis=0))
            assert edge.mean() < 3 * steps.mean()
