import pytest

from medseg.errors import MedsegError
from medseg.studies.polyp import places
from medseg.studies.polyp.layout import centre_named, read_centre


@pytest.fixture
def tree(tmp_path):
    def make(*files):
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"never opened")
        return tmp_path

    return make


def paired(centre):
    folder = centre.folder
    return [(p.name, *(x.relative_to(folder).as_posix() for x in (p.image, p.mask))) for p in centre.pairs]


def reasons(centre):
    return {path.relative_to(centre.folder).as_posix(): reason for path, reason in centre.problems}


@pytest.mark.parametrize(
    ("name", "centre"),
    [
        ("CVC-ColonDB", "ColonDB"),
        ("colondb", "ColonDB"),
        ("cvc_clinicDB", "ClinicDB"),
        ("ETIS-LaribPolypDB", "ETIS"),
        ("Etis Larib", "ETIS"),
        ("Kvasir-SEG", "Kvasir"),
        ("CVC 300", "CVC-300"),
        ("raw_clinicdb_pair", None),
        ("my ColonDB", None),
    ],
)
def test_centres_are_recognised_by_name_alone(name, centre):
    assert centre_named(name) == centre


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["Original/1.tif", "Ground Truth/1.tif"], ("1", "Original/1.tif", "Ground Truth/1.tif")),
        (["PNG/Original/1.png", "PNG/Ground Truth/1.png"], ("1", "PNG/Original/1.png", "PNG/Ground Truth/1.png")),
        (["C/C/images/1.png", "C/C/masks/1.png"], ("1", "C/C/images/1.png", "C/C/masks/1.png")),
        (["images/cju0.jpg", "masks/cju0.jpg"], ("cju0", "images/cju0.jpg", "masks/cju0.jpg")),
        (["image/1.png", "masks/1.png"], ("1", "image/1.png", "masks/1.png")),
        (["Images/1.bmp", "MASKS/p1.png"], ("1", "Images/1.bmp", "MASKS/p1.png")),
        (["images/1.png", "masks/1_mask.png"], ("1", "images/1.png", "masks/1_mask.png")),
        (["CVC-ColonDB/1.bmp", "CVC-ColonDB/p1.bmp"], ("1", "CVC-ColonDB/1.bmp", "CVC-ColonDB/p1.bmp")),
        (["1.tif", "1_mask.tif"], ("1", "1.tif", "1_mask.tif")),
        (
            ["ETIS-LaribPolypDB/1.tif", "Ground Truth/p1.tif"],
            ("1", "ETIS-LaribPolypDB/1.tif", "Ground Truth/p1.tif"),
        ),
    ],
)
def test_layouts_as_distributed(tree, files, expected):
    centre = read_centre("X", tree(*files))
    assert paired(centre) == [expected]
    assert centre.problems == []


def test_contours_and_dark_areas_of_colondb_are_neither_images_nor_problems(tree):
    centre = read_centre("ColonDB", tree(*(f"{kind}{i}.bmp" for i in (1, 2, 10) for kind in ("", "p", "c", "s"))))
    assert [name for name, *_ in paired(centre)] == ["1", "2", "10"]
    assert centre.problems == []


def test_the_original_tiff_is_read_and_its_conversion_reported(tree):
    root = tree(
        *(f"{kind}/{part}/1.{kind.lower()}" for kind in ("PNG", "TIF") for part in ("Original", "Ground Truth"))
    )
    centre = read_centre("ClinicDB", root)
    assert paired(centre) == [("1", "TIF/Original/1.tif", "TIF/Ground Truth/1.tif")]
    assert "only" in reasons(centre)["PNG/Original"]


def test_whole_names_are_the_identity(tree):
    names = ["a_1", "a_2", "a", "b.1", "b.2", "p1", "1"]
    centre = read_centre("X", tree(*(f"{part}/{name}.png" for name in names for part in ("images", "masks"))))
    assert {(name, image, mask) for name, image, mask in paired(centre)} == {
        (name, f"images/{name}.png", f"masks/{name}.png") for name in names
    }
    assert centre.problems == []


def test_a_mask_belongs_to_the_image_of_its_own_name_first(tree):
    centre = read_centre("X", tree("images/1.png", "images/p1.png", "masks/p1.png"))
    assert [name for name, *_ in paired(centre)] == ["p1"]
    assert set(reasons(centre)) == {"images/1.png"}


def test_what_does_not_pair_is_reported_with_its_reason(tree):
    root = tree(
        *("images/1.png", "masks/1.png", "images/2.png", "masks/3.png"),
        *("images/4.png", "images/4.jpg", "masks/4.png", "images/5.png", "masks/5.png", "masks/p5.png"),
        *("images/notes.txt", "images/Thumbs.db", "images/.DS_Store", "images/._1.png", "images/deeper/6.png"),
        *("bbox/1.png", "7.png", "readme.txt"),
    )
    centre = read_centre("X", root)
    assert [name for name, *_ in paired(centre)] == ["1", "5"]
    found = reasons(centre)
    assert set(found) == {
        *("images/2.png", "masks/3.png", "images/4.png", "images/4.jpg", "masks/4.png", "masks/p5.png"),
        *("images/notes.txt", "images/deeper", "bbox", "7.png"),
    }
    assert "no usable mask '2'" in found["images/2.png"]
    assert "no usable image" in found["masks/3.png"]
    assert "4.jpg and 4.png have the same name" in found["images/4.jpg"]


def test_unpaired_pictures_of_one_folder_are_reported(tree):
    centre = read_centre("X", tree("1.bmp", "p1.bmp", "2.bmp", "p3.bmp"))
    assert [name for name, *_ in paired(centre)] == ["1"]
    assert set(reasons(centre)) == {"2.bmp", "p3.bmp"}


def test_a_folder_without_a_known_layout_says_what_is_expected(tree):
    centre = read_centre("X", tree("images/readme.txt"))
    assert centre.pairs == []
    assert "'images' + 'masks'" in centre.problems[0][1]


def test_a_protocol_finds_its_folders_and_names_everything_that_it_leaves_out(tree):
    root = tree(
        *("cvc_colondb/images/1.png", "Kvasir/images/1.png", "other/1.png", "loose.png", "a.txt"),
        *("Test Data/Test Data/My Set/1.png", "Test Data/b/1.png"),
    )
    assert places.locate(root, "ColonDB") == root / "cvc_colondb"
    assert places.locate(root, "testdata/my set") == root / "Test Data" / "Test Data" / "My Set"
    assert places.locate(root, ".") == root
    assert places.locate(root, "ETIS") is None
    used = [root / "cvc_colondb", root / "Test Data" / "Test Data" / "My Set"]
    ignored = {path.relative_to(root).as_posix(): reason for path, reason in places.left_over(root, used, "ColonDB")}
    assert set(ignored) == {"Kvasir", "other", "loose.png", "Test Data/b"}
    assert ignored["Kvasir"] == "Kvasir is not part of this protocol, which reads ColonDB"
    assert ignored["other"] == "folder not recognised by its name: this protocol reads ColonDB"
    assert "outside" in ignored["loose.png"]


def test_a_set_that_is_there_twice_is_refused(tree):
    root = tree("CVC-ColonDB/1.bmp", "ColonDB/1.bmp", "c1/1.png", "C1/1.png")
    with pytest.raises(MedsegError, match="holds ColonDB twice: CVC-ColonDB and ColonDB"):
        places.locate(root, "ColonDB")
    assert places.locate(root, "C1") == root / "C1"


def test_sequences_table_is_found_in_the_folder_or_beside_the_pictures(tree, tmp_path):
    tree(
        "a/images/1.png", "a/masks/1.png", "a/sequences.csv", "b/B/1.bmp", "b/B/p1.bmp", "b/B/sequences.csv", "c/1.png"
    )
    assert read_centre("X", tmp_path / "a").table == tmp_path / "a" / "sequences.csv"
    assert read_centre("X", tmp_path / "b").table == tmp_path / "b" / "B" / "sequences.csv"
    assert read_centre("X", tmp_path / "b").problems == []
    assert read_centre("X", tmp_path / "c").table is None


def test_unicode_spelling_does_not_matter(tree):
    centre = read_centre("X", tree("C/images/e\u0301.png", "C/masks/\u00e9.png") / "C")
    assert [pair.name for pair in centre.pairs] == ["\u00e9"]
