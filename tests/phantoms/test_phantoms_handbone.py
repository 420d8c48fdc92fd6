import csv
import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from medseg.datasets import polygons
from medseg.errors import MedsegError
from medseg.studies.handbone import bones
from phantoms.handbone import sample as hand
from phantoms.handbone.outlines import cut, cut_to_picture, resampled
from phantoms.handbone.patient import imagine_patient
from phantoms.handbone.sample import draw_hand, sample_faults, sample_oddities, write_hand_sample
from phantoms.handbone.skeleton import pose_hand

SIZE = 256
PATIENTS = 5
SEEDS = range(12)
#: What a frontal view shows one over the other in nearly every hand, the larger overlap first.
OVERLAPPING = (
    ("Triquetrum", "Pisiform"), ("Trapezium", "Trapezoid"), ("Capitate", "Hamate"), ("finger-15", "finger-19"),
)  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_hand_sample(tmp_path_factory.mktemp("hand") / "raw", patients=PATIENTS, size=SIZE)


@pytest.fixture(scope="module")
def hands():
    """Outlines by name of both hands of some people."""
    return [outlines_of(seed, side) for seed in SEEDS for side in "RL"]


def outlines_of(seed, side, size=512) -> dict[str, np.ndarray]:
    return {bone.name: bone.outline for bone in pose_hand(seed, size, side).bones}


def masks_of(outlines: dict[str, np.ndarray], size=512) -> dict[str, np.ndarray]:
    shapes = [(bones.CLASSES.index(name), outline) for name, outline in outlines.items()]
    drawn = polygons.rasterise(polygons.PolygonSet.of(shapes, (size, size)), len(bones.CLASSES))
    return {name: drawn[bones.CLASSES.index(name)] > 0 for name in outlines}


def middle(outline: np.ndarray) -> np.ndarray:
    return (outline.min(axis=0) + outline.max(axis=0)) / 2


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def label(folder: Path, path: str) -> dict:
    return json.loads((folder / path).read_text("utf-8"))


def oddity(kind: str) -> str:
    return next(odd.path for odd in sample_oddities() if odd.kind == kind)


def fault(kind: str) -> str:
    return next(fault.path for fault in sample_faults() if fault.kind == kind)


def test_a_hand_has_every_bone_once_in_the_order_of_the_classes():
    _, outlines = draw_hand(3, 128, "L")
    assert tuple(name for name, _ in outlines) == bones.CLASSES


def test_outlines_lie_within_the_picture_and_have_some_dozen_corners(hands):
    for outlines in hands:
        assert all(30 <= len(outline) <= 120 for outline in outlines.values())
        points = np.concatenate(list(outlines.values()))
        assert points.min() >= 0
        assert points.max() <= 512


def test_each_finger_runs_from_the_tip_to_the_wrist(hands):
    for outlines in hands:
        for finger, names in bones.FINGERS.items():
            heights = [middle(outlines[name])[1] for name in names]
            assert heights == sorted(heights), finger
            assert heights[-1] < middle(outlines["Capitate"])[1]


def test_fingers_carpals_and_forearm_stand_side_by_side_as_in_anatomy(hands):
    across = [
        [names[-1] for names in bones.FINGERS.values()],
        list(bones.CARPALS[:4]),
        ["Scaphoid", "Lunate", "Triquetrum"],
        ["Radius", "Ulna"],
    ]
    for outlines, side in zip(hands, "RL" * len(SEEDS), strict=True):
        for names in across:
            x = [middle(outlines[name])[0] for name in names]
            assert x == sorted(x, reverse=side == "L"), (names, side)  # the thumb of a right hand is on the left
        for distal, proximal in (("Trapezium", "Scaphoid"), ("Capitate", "Lunate"), ("Hamate", "Triquetrum")):
            assert middle(outlines[distal])[1] < middle(outlines[proximal])[1]
        assert middle(outlines["Lunate"])[1] < outlines["Radius"][:, 1].max()


def test_the_thumb_points_away_from_the_fingers():
    for seed in SEEDS:
        axes = {bone.name: bone.axis for bone in pose_hand(seed, 512, "R").bones}
        directions = [axes[names[-1]][1] - axes[names[-1]][0] for names in bones.FINGERS.values()]
        angles = [np.degrees(np.arctan2(x, -y)) for x, y in directions]
        assert angles[0] < angles[1] - 18
        assert angles[1] < angles[2] < angles[3] < angles[4] < angles[1] + 45


def test_shafts_are_narrower_than_both_ends(hands):
    for outlines in hands[:4]:
        for names in bones.FINGERS.values():
            for name in names:
                outline = resampled(outlines[name], 400) - outlines[name].mean(axis=0)
                along = outline @ np.linalg.svd(outline, full_matrices=False)[2].T
                places = (along[:, 0] - along[:, 0].min()) / np.ptp(along[:, 0])
                widths = [np.ptp(along[np.abs(places - share) < 0.04, 1]) for share in np.arange(0.1, 0.95, 0.05)]
                assert min(widths[5:-5]) < 0.9 * min(max(widths[:4]), max(widths[-4:])), name


def test_radius_and_ulna_leave_through_the_lower_border_and_nothing_else_touches_it(hands):
    for outlines in hands:
        at_border = {name for name, outline in outlines.items() if outline[:, 1].max() == 512}
        assert at_border == set(bones.FOREARM)
        for name in bones.FOREARM:  # cut off square: no corner is lost at the border
            at_border = outlines[name][outlines[name][:, 1] == 512]
            assert abs(np.ptp(at_border[:, 0]) - masks_of({name: outlines[name]})[name][508].sum()) < 1.6


def test_named_pairs_overlap_and_the_pisiform_is_almost_wholly_before_the_triquetrum(hands):
    for outlines in hands:
        masks = masks_of(outlines)
        for one, other in OVERLAPPING:
            assert (masks[one] & masks[other]).any(), (one, other)
        pisiform = masks["Pisiform"]
        assert np.sum(pisiform & masks["Triquetrum"]) > 0.8 * pisiform.sum()


def test_overlapping_pairs_are_bones():
    assert {bone for pair in OVERLAPPING for bone in pair} <= set(bones.CLASSES)


def test_joints_between_finger_bones_are_open(hands):
    for outlines in hands:
        masks = masks_of(outlines)
        for names in bones.FINGERS.values():
            for one, other in pairwise(names):
                assert not (masks[one] & masks[other]).any(), (one, other)


def test_the_left_hand_is_the_mirror_image_of_the_right_but_for_the_pose(hands):
    for right, left in zip(hands[::2], hands[1::2], strict=True):
        mirrored = {name: outline * (-1, 1) for name, outline in left.items()}
        areas = [[cv2.contourArea(h[n].astype(np.float32)) for n in bones.CLASSES[:27]] for h in (right, mirrored)]
        assert np.corrcoef(*areas)[0, 1] > 0.99
        places = np.array(
            [[middle(h[n]) - middle(h["Capitate"]) for n in bones.CLASSES[:27]] for h in (right, mirrored)]
        )
        apart = np.linalg.norm(places[0] - places[1], axis=1)
        assert apart.max() < 120  # tips of fingers, turned by a few degrees
        assert apart.max() > 2
        unmirrored = np.array([middle(left[n]) - middle(left["Capitate"]) for n in bones.CLASSES[:27]])
        assert np.linalg.norm(places[0] - unmirrored, axis=1).mean() > 2 * apart.mean()


def test_women_are_smaller_and_worn_joints_are_narrower():
    people = [(imagine_patient(seed), seed) for seed in range(40)]
    lengths: dict[str, list[float]] = {"F": [], "M": []}
    gaps, ages = [], []
    for person, seed in people:
        posed = pose_hand(seed, 512, "R")
        by_name = {bone.name: bone for bone in posed.bones}
        lengths[person.sex].append(float(np.ptp(by_name["finger-11"].outline[:, 1])))
        knuckle = by_name["finger-10"].axis[0] - by_name["finger-11"].axis[1]
        gaps.append(np.linalg.norm(knuckle) / posed.scale)
        ages.append(person.age)
        assert 20 <= person.age < 70
        assert 17 < person.body_mass_index < 34
    assert np.mean(lengths["F"]) < 0.95 * np.mean(lengths["M"])
    assert np.corrcoef(ages, gaps)[0, 1] < -0.7


def test_a_picture_of_another_size_shows_the_same_hand():
    small, large = (outlines_of(5, "L", size) for size in (256, 2048))
    for name in bones.CLASSES:
        assert np.allclose(small[name].min(axis=0) * 8, large[name].min(axis=0), atol=1.5)
        assert np.array_equal(large[name], np.round(large[name]))
    assert any((np.abs(outline - np.round(outline)) > 0.05).any() for outline in small.values())


def test_the_picture_looks_like_an_x_ray_of_the_labelled_bones():
    for seed, side in ((1, "R"), (2, "L")):
        picture, outlines = draw_hand(seed, 512, side)
        assert (picture.shape, picture.dtype) == ((512, 512), np.uint8)
        masks = masks_of(dict(outlines))
        bone = np.any(list(masks.values()), axis=0)
        near = cv2.dilate(bone.astype(np.uint8), np.ones((9, 9))) > 0
        flesh = (cv2.dilate(bone.astype(np.uint8), np.ones((5, 5))) == 0) & near
        far = cv2.dilate(bone.astype(np.uint8), np.ones((121, 121))) == 0
        assert np.median(picture[far]) < 25
        assert np.median(picture[far]) + 25 < np.median(picture[flesh]) < np.median(picture[bone]) - 30
        assert np.median(picture[bone]) > 100
        # Bones behind one another are brighter than each alone.
        both = masks["Trapezium"] & masks["Trapezoid"]
        assert picture[both].mean() > picture[masks["Trapezium"] & ~both].mean() + 10
        # The cortex of a shaft is brighter than its marrow.
        shaft = masks["finger-11"].copy()
        middle_row = int(middle(dict(outlines)["finger-11"])[1])
        shaft[: middle_row - 10] = shaft[middle_row + 10 :] = False
        depth = cv2.distanceTransform(masks["finger-11"].astype(np.uint8), cv2.DIST_L2, 5)
        assert picture[shaft & (depth > 1.5) & (depth <= 3.5)].mean() > picture[shaft & (depth > 6)].mean() + 5


def test_the_same_seed_gives_the_same_picture_and_another_one_another():
    first, again, other = (draw_hand(seed, 128, "R") for seed in (7, 7, 8))
    assert np.array_equal(first[0], again[0])
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first[1], again[1], strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(("size", "side"), [(64, "R"), (256, "right")])
def test_draw_hand_refuses_what_it_cannot_draw(size, side):
    with pytest.raises(ValueError, match="size"):
        draw_hand(0, size, side)


def test_the_sample_has_the_public_layout(sample):
    for number in range(1, PATIENTS + 1):
        images = sorted((sample / f"DCM/ID{number:03}").iterdir())
        labels = sorted((sample / f"outputs_json/ID{number:03}").iterdir())
        assert [image.stem for image in images] == [file.stem for file in labels]
        assert len(images) == 2
        for image, file in zip(images, labels, strict=True):
            found = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
            assert (found.shape, found.dtype) == ((SIZE, SIZE), np.uint8)
            text = label(sample, str(file.relative_to(sample)))
            assert text["filename"] == image.name
            assert text["metadata"] == {"height": SIZE, "width": SIZE}
            assert {a["type"] for a in text["annotations"]} == {"poly_seg"}
            assert len({a["id"] for a in text["annotations"]}) == len(text["annotations"])


def test_the_first_picture_of_a_patient_is_the_right_hand_and_some_names_say_so(sample):
    said = []
    for folder in sorted((sample / "outputs_json").glob("ID00*")):
        for file, side in zip(sorted(folder.iterdir()), "RL", strict=True):
            x = {a["label"]: np.mean(a["points"], axis=0)[0] for a in label(sample, str(file))["annotations"]}
            assert (x["finger-1"] < x["finger-16"]) == (side == "R")
            if "_" in file.stem:
                said.append(file.stem[-1])
                assert said[-1] == side
    assert said == ["R", "L"] * 2
    assert (sample / oddity("side in the name")).is_file()


def test_two_polygons_of_one_class_unite_to_the_whole_bone(sample):
    annotations = label(sample, oddity("two polygons"))["annotations"]
    halves = [np.array(a["points"]) for a in annotations if a["label"] == "finger-11"]
    assert len(halves) == 2
    assert len(annotations) == 30
    shapes = polygons.PolygonSet.of([(0, half) for half in halves], (SIZE, SIZE))
    whole = polygons.PolygonSet.of([(0, outlines_of((0, 2), "R", SIZE)["finger-11"])], (SIZE, SIZE))
    parts = [polygons.draw_class(polygons.PolygonSet.of([(0, half)], (SIZE, SIZE)), 0) for half in halves]
    assert min(part.sum() for part in parts) > 0.3 * sum(part.sum() for part in parts)
    assert np.array_equal(polygons.draw_class(shapes, 0), polygons.draw_class(whole, 0))


def test_one_label_is_misspelt_and_one_class_is_missing(sample):
    names = [a["label"] for a in label(sample, oddity("unknown label"))["annotations"]]
    assert sorted(names) == sorted((*bones.CLASSES, "Trapezuim"))
    names = [a["label"] for a in label(sample, oddity("missing class"))["annotations"]]
    assert set(bones.CLASSES) - set(names) == {"Pisiform"}


def test_the_broken_files_are_broken_as_they_say(sample):
    with pytest.raises(json.JSONDecodeError):
        label(sample, fault("broken JSON"))
    image = Path(fault("image without JSON"))
    assert (sample / image).is_file()
    assert not (sample / "outputs_json" / image.parent.name / f"{image.stem}.json").exists()
    alone = Path(fault("JSON without image"))
    assert len(label(sample, str(alone))["annotations"]) == 29
    assert not (sample / "DCM" / alone.parent.name / f"{alone.stem}.png").exists()


def test_the_table_has_korean_headers_and_lacks_one_patient(sample):
    with (sample / hand.TABLE).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == ("ID", "나이", "성별", "체중(몸무게)", "키(신장)", "Unnamed: 5")
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "900"]
    assert oddity("patient not in the table") == "DCM/ID005"
    person = imagine_patient((0, 2))
    assert rows[2][1:5] == [
        str(person.age), {"F": "여", "M": "남"}[person.sex], str(person.weight), str(person.height)
    ]  # fmt: skip


def test_the_same_arguments_give_the_same_bytes_and_are_not_drawn_twice(sample, tmp_path):
    again = write_hand_sample(tmp_path / "raw", patients=PATIENTS, size=SIZE)
    assert content(again) == content(sample)
    mark = again / "DCM" / "ID001" / "kept"
    mark.touch()
    write_hand_sample(again, patients=PATIENTS, size=SIZE)
    assert mark.exists()


def test_a_sample_of_an_older_version_is_drawn_anew(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(hand, "_write_patient", lambda *args: drawn.append(args[2]))
    monkeypatch.setattr(hand, "_write_faults", lambda *args: None)
    write_hand_sample(tmp_path / "raw", patients=PATIENTS, size=SIZE)
    monkeypatch.setattr(hand, "VERSION", hand.VERSION + 1)
    write_hand_sample(tmp_path / "raw", patients=PATIENTS, size=SIZE)
    assert sorted(drawn) == sorted([*range(1, PATIENTS + 1)] * 2)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(MedsegError, match="something other than sample data"):
        write_hand_sample(tmp_path, patients=PATIENTS, size=SIZE)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"patients": 4}, {"patients": 900}, {"size": 64}, {"seed": -1}])
def test_arguments_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(MedsegError, match="expected"):
        write_hand_sample(tmp_path / "raw", **wrong)
    assert not (tmp_path / "raw").exists()


def test_cutting_keeps_what_is_inside_and_its_new_corners():
    square = np.array([[-2.0, 1.0], [3.0, 1.0], [3.0, 6.0], [-2.0, 6.0]])
    assert sorted(cut_to_picture(square, 4.0).tolist()) == [[0, 1], [0, 4], [3, 1], [3, 4]]
    assert cut(square, 1, 7.0, below=False).shape == (0, 2)
    halves = [cut(square, 0, 1.0, below=below) for below in (True, False)]
    assert [cv2.contourArea(half.astype(np.float32)) for half in halves] == [15, 10]


def test_resampling_keeps_the_named_corners():
    square = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    around = resampled(square, 7, np.array([False, True, False, False]))
    assert len(around) == 8
    assert [10.0, 0.0] in around.tolist()
    assert [10.0, 10.0] not in around.tolist()
