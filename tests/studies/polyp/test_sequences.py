import itertools
from collections import Counter
from pathlib import Path

import pytest

from medseg.errors import MedsegError
from medseg.studies.polyp.layout import Centre, Pair
from medseg.studies.polyp.sequences import group_frames


def centre(name, *names, problems=()):
    pairs = [Pair(str(n), Path(f"images/{n}.tif"), Path(f"masks/{n}.tif")) for n in names]
    return Centre(name, Path(), None, "images + masks", pairs, [(Path(file), "") for file in problems])


def by_guess(name, *names, clinicdb_numbers=False):
    return group_frames(centre(name, *names), None, clinicdb_numbers=clinicdb_numbers)


def test_complete_clinicdb_has_its_29_published_sequences():
    found = by_guess("ClinicDB", *range(1, 613))
    sizes = Counter(found.group.values())
    assert len(sizes) == 29
    assert sum(sizes.values()) == 612
    assert (min(sizes.values()), max(sizes.values())) == (6, 26)
    assert found.group["200"] != found.group["199"]
    assert found.group["200"] == found.group["205"] == "ClinicDB/sequence 10"
    assert found.group["612"] == "ClinicDB/sequence 29"
    assert not found.guessed
    assert "published" in found.method


@pytest.mark.parametrize(("name", "last"), [("ClinicDB", 611), ("ColonDB", 612)])
def test_published_ranges_are_not_used_for_anything_else(name, last):
    found = by_guess(name, *range(1, last + 1))
    assert found.guessed
    assert "published" not in found.method


def test_clinicdb_frames_in_a_mixture_keep_their_sequences_and_the_rest_stands_alone():
    found = by_guess("TrainDataset", "1", "25", "26", "612", "cju0abc", "cju1xyz7", clinicdb_numbers=True)
    assert found.group["1"] == found.group["25"] != found.group["26"]
    assert found.group["cju0abc"] == "TrainDataset/cju0abc"
    assert len(set(found.group.values())) == 5
    assert found.method == "published frame ranges of CVC-ClinicDB; the others: each image by itself"


@pytest.mark.parametrize(("count", "blocks"), [(380, 16), (300, 12), (16, 6), (10, 5), (4, 4), (1, 1)])
def test_frame_numbers_give_contiguous_blocks(count, blocks):
    names = [str(n) for n in range(1, count + 1)]
    found = by_guess("ColonDB", *names)
    in_order = [found.group[name] for name in names]
    changes = sum(a != b for a, b in itertools.pairwise(in_order))
    assert changes == len(set(in_order)) - 1 == blocks - 1  # every block is one run
    sizes = Counter(in_order).values()
    assert max(sizes) - min(sizes) <= 1
    assert found.guessed


def test_blocks_never_cross_from_one_series_of_names_to_another():
    names = [f"{video}_{n}" for video in ("a", "b") for n in range(20)]
    found = by_guess("X", *names)
    assert all(len({name[0] for name in names if found.group[name] == group}) == 1 for group in found.group.values())


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "sequences.csv"
    path.write_text(text, encoding)
    return path


def test_a_table_decides_by_file_name_or_by_name_without_extension(tmp_path):
    table = write(tmp_path, "file,sequence\n1.tif,a\n2,a\n3.tif,b\n", "utf-8-sig")
    found = group_frames(centre("ETIS", 1, 2, 3), table, clinicdb_numbers=False)
    assert found.group == {"1": "ETIS/a", "2": "ETIS/a", "3": "ETIS/b"}
    assert (found.method, found.guessed, found.problems) == ("sequences.csv", False, [])


def test_images_that_the_table_leaves_out_and_lines_without_an_image_are_reported(tmp_path):
    table = write(tmp_path, "file,sequence\n1.tif,a\n3.tif,\n8.tif,b\n9.tif,b\n")
    found = group_frames(centre("ETIS", 1, 2, 3, problems=["images/8.tif"]), table, clinicdb_numbers=False)
    assert found.group == {"1": "ETIS/a"}
    assert [(path.name, reason) for path, reason in found.problems] == [
        ("2.tif", "sequences.csv names no sequence for it"),
        ("3.tif", "sequences.csv names no sequence for it"),
        ("sequences.csv", "lists '9.tif', which is not there"),  # 8.tif is, and was reported before
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file|sequence\n1.tif|a\n", r"has the columns file.sequence; expected"),
        ("", r"has the columns \(none\)"),
        ("file,sequence\n1.tif,a\n1.tif,b\n", "puts 1.tif in two sequences, a and b"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path, text, message):
    with pytest.raises(MedsegError, match=message):
        group_frames(centre("ETIS", 1), write(tmp_path, text), clinicdb_numbers=False)


def test_a_table_may_have_semicolons(tmp_path):
    found = group_frames(centre("ETIS", 1), write(tmp_path, "file;sequence\n1.tif;a\n"), clinicdb_numbers=False)
    assert found.group == {"1": "ETIS/a"}


def test_a_missing_or_binary_table_is_refused(tmp_path):
    with pytest.raises(MedsegError, match="cannot be read"):
        group_frames(centre("ETIS", 1), tmp_path / "none.csv", clinicdb_numbers=False)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MedsegError, match="cannot be read"):
        group_frames(centre("ETIS", 1), tmp_path / "b.csv", clinicdb_numbers=False)
