"""Protocol files, and folders of any name: what is trained, validated and tested on."""

import numpy as np
import pytest
import yaml
from PIL import Image
from test_polyp_prepare import draw_mask, fill, prepare_fails, rejected

from medseg.datasets.splits import hold_out
from medseg.errors import MedsegError
from medseg.studies.polyp import prepare as polyp
from medseg.studies.polyp import protocol_file


def frames(*patients, count=3):
    return [f"{patient}_{n}" for patient in patients for n in range(1, count + 1)]


@pytest.fixture
def hospital(tmp_path):
    """One folder, ten patients of three frames each."""
    fill(tmp_path / "my hospital", frames(*"abcdefghij"))
    return tmp_path / "my hospital"


@pytest.fixture
def centres(tmp_path):
    """Three folders, six patients each, and one that holds no pictures."""
    for name in ("Lyon", "Oslo", "서울"):
        fill(tmp_path / "raw" / name, frames(*"abcdef"), masks="gt")
    (tmp_path / "raw" / "papers").mkdir()
    return tmp_path / "raw"


def write(folder, **keys):
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(keys, allow_unicode=True, sort_keys=False), "utf-8")
    return file


def places(data, column="split"):
    """Cases of every split, or other column, without their set."""
    return {value: {case.rpartition("/")[2] for case in part["case_id"]} for value, part in data.index.groupby(column)}


def refused(folder, match, **keys):
    with pytest.raises(MedsegError, match=match):
        protocol_file.read(write(folder, **keys))


def test_one_folder_of_any_name_is_split_by_whole_patients(hospital, tmp_path):
    data = polyp.prepare(hospital, tmp_path / "out")
    assert {split: len(cases) for split, cases in places(data).items()} == {"train": 18, "validation": 6, "test": 6}
    patients = {split: {case[0] for case in cases} for split, cases in places(data).items()}
    assert sum(map(len, patients.values())) == 10
    assert data.info["counts"]["test_sets"] == {"my hospital": 6}
    assert (data.info["name"], data.info["protocol"]) == ("polyp-one-folder", "one-folder")
    guess, chosen = data.info["notes"]
    assert "its validation scores and its test scores may flatter" in guess
    assert "the one folder with pictures and masks (my hospital) was split" in chosen


def test_the_folder_may_lie_in_another_and_the_shares_are_parameters(hospital, tmp_path):
    source = tmp_path / "unpacked"
    source.mkdir()
    hospital.rename(source / "my hospital")
    (source / "papers").mkdir()
    data = polyp.prepare(source, tmp_path / "out", test_fraction=0.5, validation_fraction=0.4)
    assert data.info["counts"]["test_sets"] == {"my hospital": 15}
    assert len(data.split("validation")) == 6
    assert list(rejected(data.folder)) == ["papers"]
    prepare_fails(source, tmp_path / "out", "validation fraction is 2; expected", test_fraction=2)


def test_several_folders_need_a_word_on_what_is_tested(centres, tmp_path):
    prepare_fails(centres, tmp_path / "out", r"holds 3 sets: Lyon \(18 images\), Oslo .* hold_out=FOLDER")
    (tmp_path / "hollow" / "papers").mkdir(parents=True)
    prepare_fails(tmp_path / "hollow", tmp_path / "out", "No picture with its mask was found")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("asked", "held"), [("Oslo", "Oslo"), ("lyon", "Lyon"), ("서울", "서울")])
def test_one_centre_is_held_out(centres, tmp_path, asked, held):
    data = polyp.prepare(centres, tmp_path / "out", hold_out=asked)
    assert data.info["counts"]["test_sets"] == {held: 18}
    assert set(data.split("test")["case_id"].str.partition("/")[0]) == {held}
    others = {name for split in ("train", "validation") for name in data.split(split)["case_id"].str.partition("/")[0]}
    assert others == {"Lyon", "Oslo", "서울"} - {held}
    assert data.info["protocol"] == f"hold-out-{asked}"
    assert list(rejected(data.folder)) == ["papers"]


def test_a_centre_that_is_not_there_cannot_be_held_out(centres, tmp_path):
    prepare_fails(centres, tmp_path / "out", "no folder 'Osl' .* Did you mean 'Oslo'", hold_out="Osl")
    prepare_fails(centres / "Lyon", tmp_path / "out", "Lyon is the only set", hold_out="Lyon")


def test_folders_train_validate_and_test_under_the_names_of_the_file(centres, tmp_path):
    file = write(tmp_path, train=["Lyon"], validation="Oslo", test={"Seoul": "서울"}, groups="^(.)_")
    data = polyp.prepare(centres, tmp_path / "out", protocol=str(file))
    assert data.info["counts"]["test_sets"] == {"Seoul": 18}
    assert {split: set(data.split(split)["case_id"].str.partition("/")[0]) for split in ("train", "validation")} == {
        "train": {"Lyon"},
        "validation": {"Oslo"},
    }
    assert set(data.split("test")["group"]) == {f"Seoul/{patient}" for patient in "abcdef"}
    assert data.info["notes"] == []
    assert data.info["protocol"] == "mine"
    assert data.info["protocol_rules"]["test"] == {"Seoul": "서울"}


def test_a_file_beside_the_data_and_a_centre_to_hold_out_go_together(centres, tmp_path):
    write(centres, train={"a": "Lyon", "b": "Oslo"}, test={"c": "서울"}, validation=0.34)
    data = polyp.prepare(centres, tmp_path / "out", protocol="mine.yaml", hold_out="b")
    assert data.info["counts"]["test_sets"] == {"b": 18, "c": 18}
    assert (len(data.split("train")), len(data.split("validation"))) == (12, 6)
    assert data.info["name"] == "polyp-mine-without-b"


def test_names_that_do_not_fit_the_pattern_of_groups_are_listed(hospital, tmp_path):
    (hospital / "images" / "a_1.png").rename(hospital / "images" / "stray.png")
    (hospital / "masks" / "a_1.png").rename(hospital / "masks" / "stray.png")
    data = polyp.prepare(hospital, tmp_path / "out", protocol=str(write(tmp_path, groups="^([a-z])_")))
    assert rejected(data.folder) == {"images/stray.png": "the pattern of groups, ^([a-z])_, finds nothing in its name"}
    assert data.index["group"].nunique() == 10


def test_one_table_of_sequences_for_all_sets_or_none(centres, tmp_path):
    lines = [f"{name}.png,{name[0] in 'ab'}" for name in frames(*"abcdef")]
    (tmp_path / "all.csv").write_text("\n".join(["file,sequence", *lines, "lost.png,x"]))
    keys = {"train": ["Lyon", "Oslo"], "test": {"Seoul": "서울"}}
    data = polyp.prepare(centres, tmp_path / "out", protocol=str(write(tmp_path, **keys, sequences="all.csv")))
    assert data.index["group"].nunique() == 6
    assert [reason for reason in rejected(data.folder).values() if "lost" in reason] == [
        "lists 'lost.png', which is not there"
    ]
    alone = polyp.prepare(centres, tmp_path / "out", protocol=str(write(tmp_path, **keys, sequences="none")))
    assert alone.index["group"].nunique() == 54
    assert alone.info["notes"] == []


def test_lists_of_files_decide_and_what_they_leave_out_is_said(hospital, tmp_path):
    (tmp_path / "train.txt").write_text("\n".join(f"{name}.png" for name in frames(*"abcdef")) + "\n\n")
    file = write(tmp_path, files={"train": "train.txt", "test": [*frames("g"), "my hospital/h_1", "lost"]})
    data = polyp.prepare(hospital, tmp_path / "out", protocol=str(file), validation_fraction=0.5)
    assert places(data)["test"] == {*frames("g"), "h_1"}
    assert (len(data.split("train")), len(data.split("validation"))) == (9, 9)
    found = rejected(data.folder)
    assert found["lost"] == "the list of files for test names it, but it is not there"
    left_out = {"h_2", "h_3", *frames("i", "j")}
    assert set(found) == {"lost", *(f"images/{name}.png" for name in left_out)}
    assert "nobody can say whether frames of one are in two splits" in data.info["notes"][0]


def test_lists_of_files_never_tear_a_known_group_or_name_a_file_twice(hospital, tmp_path):
    def fails(match, **keys):
        prepare_fails(hospital, tmp_path / "out", match, protocol=str(write(tmp_path, **keys)))

    torn = {"train": frames(*"abcd"), "test": ["e_1"], "validation": ["e_2"]}
    fails("into several splits: my hospital/e", files=torn, groups="^(.)_")
    fails("'a_1' is in the lists for train and for test", files={"train": frames("a"), "test": ["a_1"]})
    fails("leaves test without a frame", files={"train": frames(*"abcd"), "test": ["lost"]})
    fails("The list of files .*none.txt cannot be read", files={"train": "none.txt"})
    assert not (tmp_path / "out").exists()


def test_folds_hold_every_patient_once(hospital, tmp_path):
    data = polyp.prepare(hospital, tmp_path / "out", protocol=str(write(tmp_path, folds=5, groups="^(.)_")))
    assert data.index.groupby("group")["fold"].nunique().max() == 1
    assert sorted(set(data.index["fold"])) == list(range(5))
    assert data.info["folds"] == 5
    assert set(data.split("test")["test_set"]) == {"fold-0"}
    other = polyp.prepare(
        hospital, tmp_path / "out", protocol=str(write(tmp_path, folds=5, test_fold=3, groups="^(.)_"))
    )
    assert set(other.split("test")["case_id"]) == set(data.index["case_id"][data.index["fold"] == 3])


def test_each_folder_may_be_a_fold_so_that_a_sweep_leaves_out_one_after_the_other(centres, tmp_path):
    data = polyp.prepare(centres, tmp_path / "out", protocol=str(write(tmp_path, folds="folders", groups="^(.)_")))
    sets = data.index["case_id"].str.partition("/")[0]
    assert {name: set(part["fold"]) for name, part in data.index.groupby(sets)} == {
        "Lyon": {0},
        "Oslo": {1},
        "서울": {2},
    }
    assert {name: set(part["split"]) for name, part in data.index.groupby(sets)} == {
        "Lyon": {"test"}, "Oslo": {"validation"}, "서울": {"train"}
    }  # fmt: skip
    assert data.info["folds"] == 3
    assert any(note.startswith("Each set is a fold: 0 Lyon, 1 Oslo, 2 서울.") for note in data.info["notes"])
    turned = hold_out(data, 2)
    assert set(turned.split("test")["test_set"]) == {"fold-2"}
    assert set(sets[turned.index["split"] == "test"]) == {"서울"}
    few = write(tmp_path, train=["Lyon", "Oslo"], folds="folders")
    prepare_fails(centres, tmp_path / "few", r"has 2 \(Lyon, Oslo\). At least 3 are needed", protocol=str(few))
    far = write(tmp_path, folds="folders", test_fold=3)
    prepare_fails(centres, tmp_path / "far", "a test_fold below their number", protocol=str(far))


def test_frames_without_a_finding_are_kept_where_the_protocol_says_so(hospital, tmp_path):
    for name in frames("a"):
        draw_mask(hospital / "masks" / f"{name}.png", 0, values=(0,))
    assert len(polyp.prepare(hospital, tmp_path / "out").index) == 27
    data = polyp.prepare(hospital, tmp_path / "out", protocol=str(write(tmp_path, allow_empty=True)))
    assert set(data.index["case_id"][data.index["polyp_fraction"] == 0]) == {f"my hospital/{n}" for n in frames("a")}
    assert data.info["allow_empty"]
    split = data.index.set_index("case_id")["split"]["my hospital/a_1"]
    assert data.info["notes"][-1].startswith(f"3 frames without a finding were kept ({split} 3). Where truth is empty")
    keys = write(tmp_path, allow_empty=False)
    assert len(polyp.prepare(hospital, tmp_path / "out", protocol=str(keys), allow_empty=True).index) == 27


def test_missing_folders_are_named_before_anything_is_written(centres, tmp_path):
    file = write(tmp_path, train="Lyon", test={"B": "Bergen", "P": "papers"})
    message = r"'mine' needs Lyon, B, P in .* Found: Lyon \(18 images\); B missing; no image with its mask in papers"
    prepare_fails(centres, tmp_path / "out", message, protocol=str(file))
    nested = write(tmp_path, train="Lyon", test={"B": "lyon"})
    prepare_fails(centres, tmp_path / "out", "Lyon and B are the same folder", protocol=str(nested))
    alone = write(tmp_path, train="Lyon", test="Oslo", groups="(Lyon)_")
    prepare_fails(centres, tmp_path / "out", r"None of the 18 images of Lyon .* \(Lyon\)_, finds", protocol=str(alone))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"trian": "a"}, "unknown key 'trian'. Did you mean 'train'"),
        ({"train": "a", "test": {"b": "a"}}, "the folder 'a' is in train and in test"),
        ({"train": "a", "test": {"A": "b"}}, "train and test both show a set as 'A'"),
        ({"train": ["x/a", "y/a"]}, "two folders would be shown as 'a'"),
        ({"train": "../a"}, "does not lie in the source folder"),
        ({"train": 3}, "train: found 3 .int.; expected a folder, a list of folders"),
        ({"test": {"a/b": "c"}}, "'a/b' cannot name a set"),
        ({"validation": 1.5}, "expected a share between 0 and 1"),
        ({"groups": "^.*_"}, "expected a regular expression with one group"),
        ({"groups": "(a"}, "not a regular expression"),
        ({"files": {"trian": ["a"]}}, "expected some of the keys train, validation, test"),
        ({"files": {"train": [1, 2]}}, "a list of names in quotes"),
        ({"files": {"test": ["a"]}}, "files has no list for train"),
        ({"files": {"train": ["a"], "test": ["b"]}, "test": "c"}, "test is given beside a list of files"),
        ({"folds": 2}, "folds: found 2 .*expected a whole number from 3, or folders"),
        ({"folds": True}, "folds: found True"),
        ({"folds": 5, "hold_out": "a"}, "hold_out contradicts that"),
        ({"folds": 5, "test_fold": 5}, "test_fold is 5"),
        ({"hold_out": "a", "test": 0.2}, "a share for test contradicts that"),
        ({"groups": "(a)", "sequences": "none"}, "groups and sequences both say"),
        ({"allow_empty": "yes"}, "allow_empty: found 'yes' .str.; input should be a valid boolean"),
    ],
)
def test_faults_of_a_file_are_named(tmp_path, keys, match):
    refused(tmp_path, match, **keys)


def test_all_faults_are_named_at_once_and_what_is_no_mapping_is_refused(tmp_path):
    refused(
        tmp_path,
        r"mine.yaml:\n  - folds: found '5' .*\n  - unknown key 'tset'. Did you mean 'test'",
        folds="5",
        tset="a",
    )
    file = tmp_path / "mine.yaml"
    for text, match in (("- a", "found list, expected keys such as train"), ("a: [", "cannot be read as YAML")):
        file.write_text(text)
        with pytest.raises(MedsegError, match=match):
            protocol_file.read(file)


def test_what_is_said_of_groups_that_are_a_guess_fits_how_they_were_guessed(tmp_path):
    names = ("anna", "bert", "cleo", "dora", "emil", "fritz")
    fill(tmp_path / "alone", names)
    fill(tmp_path / "series", [f"{name}{number:02d}" for name in names for number in range(1, 13)])
    alone = polyp.prepare(tmp_path / "alone", tmp_path / "out").info["notes"]
    assert alone[0].startswith("The videos and patients of alone are not known, so every frame stands for itself")
    series = polyp.prepare(tmp_path / "series", tmp_path / "out").info["notes"]
    assert series[0].startswith("The videos of series are not known, so frames were grouped by their numbers")


def test_masks_of_classes_are_named_and_the_parameter_or_the_protocol_says_which_are_polyp(hospital, tmp_path):
    for number, name in enumerate(frames(*"abcdefghij")):
        draw_mask(hospital / "masks" / f"{name}.png", number, values=(0, 1, 2))
    prepare_fails(hospital, tmp_path / "no", r"no white: it holds the values 0, 1 and 2.*foreground=\[1\]")
    data = polyp.prepare(hospital, tmp_path / "out", foreground=[2])
    assert len(data.index) == 30
    assert data.info["mask_classes"] == {"1": 30, "2": 30}
    assert "1 in 30, 2 in 30 masks. Counted as polyp: 2 (foreground)." in data.info["notes"][-1]
    assert data.info["cleaning"] == "polyp where the mask has the value 2"
    both = polyp.prepare(hospital, tmp_path / "both", protocol=str(write(tmp_path, foreground=[1, 2])), foreground=[2])
    assert (both.index["polyp_fraction"].to_numpy() > data.index["polyp_fraction"].to_numpy()).all()
    refused(tmp_path, r"foreground.0: found 0 \(int\)", foreground=[0])
    prepare_fails(hospital, tmp_path / "no", "foreground holds 300", foreground=[300])


def test_a_channel_that_was_dropped_is_said(hospital, tmp_path):
    for name in frames("a"):
        path = hospital / "images" / f"{name}.png"
        picture = np.asarray(Image.open(path).convert("RGB"))
        Image.fromarray(np.dstack([picture, np.full(picture.shape[:2], 90, np.uint8)])).save(path)
    notes = polyp.prepare(hospital, tmp_path / "out").info["notes"]
    assert notes[-1] == (
        "3 of the files: an alpha channel, which hides part of the picture, dropped (images/a_1.png, images/a_2.png, "
        "images/a_3.png)."
    )
