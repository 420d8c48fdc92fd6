import errno
import filecmp
import hashlib
import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medseg.datasets import index
from medseg.errors import MedsegError
from medseg.studies.polyp import prepare as polyp
from medseg.studies.polyp import protocol_file, protocols
from medseg.studies.polyp.layout import CENTRES

SIZE = (40, 32)  # width, height


def draw(path: Path, seed: int, size=SIZE, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(path)


def draw_mask(path: Path, seed: int, size=SIZE, values=(0, 255)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.full((size[1], size[0]), values[0], np.uint8)
    mask[5 : 15 + seed % 5, 8:20] = values[-1]
    for i, value in enumerate(values[1:-1]):
        mask[0, i] = value
    Image.fromarray(mask).save(path)


def fill(folder: Path, names, images="images", masks="masks", suffix="png", prefix="", **options):
    for i, name in enumerate(names):
        draw(folder / images / f"{name}.{suffix}", zlib.crc32(f"{folder.name}/{i}".encode()))  # another one in each set
        draw_mask(folder / masks / f"{prefix}{name}.{suffix}", i, **options)


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "raw"
    fill(root / "CVC-ColonDB", range(1, 21), suffix="bmp")
    fill(root / "CVC-ClinicDB", range(1, 7), "Original", "Ground Truth", "tif", values=(0, 10, 11, 90, 130, 255))
    fill(root / "ETIS-LaribPolypDB", range(1, 5), "ETIS-LaribPolypDB", "Ground Truth", "tif", "p")
    return root


def rejected(folder: Path) -> dict[str, str]:
    table = pd.read_csv(folder / "rejected.csv", keep_default_na=False)
    return dict(zip(table["file"], table["reason"], strict=True))


def test_colondb_protocol(source, tmp_path):
    calls = []
    data = polyp.prepare(source, tmp_path / "out", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 30) for i in range(1, 31)]
    assert data.info["counts"]["test_sets"] == {"ClinicDB": 6, "ETIS": 4}
    assert len(data.split("validation")) == 4
    assert len(data.split("train")) == 16
    assert set(data.index["group"][data.index["split"] == "train"]).isdisjoint(data.split("validation")["group"])
    assert data.index["group"].str.startswith(tuple(f"{name}/" for name in ("ColonDB", "ClinicDB", "ETIS"))).all()
    assert list(data.split("train")["case_id"])[:3] == ["ColonDB/1", "ColonDB/2", "ColonDB/3"]
    assert data.info["grouping"]["ColonDB"] == "frame blocks of up to 4"
    assert data.info["source"]["ETIS"]["layout"] == "ETIS-LaribPolypDB + Ground Truth"
    assert "ColonDB" in data.info["notes"][0]
    assert rejected(data.folder) == {}
    row = data.split("test").iloc[0]
    assert (row.case_id, row.mask_values, row.width_px, row.height_px) == ("ClinicDB/1", 6, *SIZE)
    mask = np.asarray(Image.open(data.path(row.label)))
    original = np.asarray(Image.open(source / row.source_mask))
    np.testing.assert_array_equal(mask, np.where(original > 127, 255, 0))
    assert row.polyp_fraction == pytest.approx((mask > 0).mean(), abs=1e-6)
    np.testing.assert_array_equal(
        np.asarray(Image.open(data.path(row.image))), np.asarray(Image.open(source / row.source_image))
    )
    assert Image.open(data.path(row.image)).mode == "RGB"
    assert Image.open(data.path(row.label)).mode == "L"


@pytest.fixture
def pranet(tmp_path):
    root = tmp_path / "pranet"
    fill(root / "TrainDataset", [1, 2, 26, 27, *(f"cju{c}" for c in "abcdef")], "image", "masks")
    for name in ("CVC-300", "CVC-ClinicDB", "CVC-ColonDB", "ETIS-LaribPolypDB", "Kvasir"):
        fill(root / "TestDataset" / name, [3, 28])
    (root / "TestDataset" / "extra").mkdir()
    return root


def test_pranet_protocol(pranet, tmp_path):
    data = polyp.prepare(pranet, tmp_path / "out", protocol="pranet", validation_fraction=0.3)
    sets = ("CVC-300", "ClinicDB", "ColonDB", "ETIS", "Kvasir")
    assert data.info["counts"]["test_sets"] == dict.fromkeys(sets, 2)
    assert len(data.split("validation")) == 3
    groups = data.index.set_index("case_id")["group"]
    assert groups["TrainDataset/1"] == groups["TrainDataset/2"] != groups["TrainDataset/26"]
    assert any("TrainDataset too" in note for note in data.info["notes"])
    assert "not recognised" in rejected(data.folder)["TestDataset/extra"]


def test_sequences_table_decides(source, tmp_path):
    table = "file,sequence\n" + "".join(f"{i}.bmp,{'ab'[i > 17]}\n" for i in range(1, 21))
    (source / "CVC-ColonDB" / "sequences.csv").write_text(table)
    other = tmp_path / "tables" / "ETIS.csv"
    other.parent.mkdir()
    other.write_text("file,sequence\n" + "".join(f"{i}.tif,x\n" for i in range(1, 5)))
    data = polyp.prepare(source, tmp_path / "out", sequences=other.parent)
    assert set(data.split("validation")["group"]) == {"ColonDB/b"}
    assert set(data.split("train")["group"]) == {"ColonDB/a"}
    assert data.info["grouping"]["ETIS"] == "sequences.csv"
    other.rename(other.with_name("Etis.csv"))
    with pytest.raises(MedsegError, match="'Etis'; this protocol reads ColonDB, ClinicDB, ETIS"):
        polyp.prepare(source, tmp_path / "out", sequences=other.parent)
    with pytest.raises(MedsegError, match="holds no CSV file; expected DATASET.csv, such as ETIS.csv"):
        polyp.prepare(source, tmp_path / "out", sequences=source)


#: sha256 of index.csv as it was before protocols were files: splits, groups and cases are still the same.
INDEX_OF = {
    "colondb": "9f2f36918feb6ab6f0ba6c5144409d74cb40d8542ddd83b9b4048bbc6c155d6c",
    "pranet": "941f10ebf5c6d04a5e07bb1cb5bddb52e4b45edfb2832474447800cc59eed4a7",
}


def test_the_published_protocols_give_the_datasets_that_they_gave_before(source, pranet, tmp_path):
    for root, protocol, fraction in ((source, "colondb", 0.2), (pranet, "pranet", 0.3)):
        for asked in (protocol, ""):  # nobody has to name it, since all its sets are there
            data = polyp.prepare(root, tmp_path / "out", protocol=asked, validation_fraction=fraction)
            assert data.info["name"] == f"polyp-{protocol}"
            assert hashlib.sha256((data.folder / "index.csv").read_bytes()).hexdigest() == INDEX_OF[protocol]
            assert any("Nobody named a protocol" in note for note in data.info["notes"]) == (not asked)


def test_bad_files_are_left_out_with_their_reason_and_never_stop_the_work(source, tmp_path):
    clinic, colon = source / "CVC-ClinicDB", source / "CVC-ColonDB"
    whole = (clinic / "Original" / "1.tif").read_bytes()
    (clinic / "Original" / "1.tif").write_bytes(whole[: len(whole) // 2])
    (clinic / "Ground Truth" / "2.tif").write_bytes(b"")
    draw_mask(clinic / "Ground Truth" / "3.tif", 0, size=(20, 16))
    draw_mask(clinic / "Ground Truth" / "4.tif", 0, values=(0,))
    (clinic / "Original" / "5.tif").write_text("no picture")
    (colon / "masks" / "7.bmp").unlink()
    (colon / "images" / "8.bmp").unlink()
    draw(colon / "images" / "9.png", 0)
    (source / "raw pair").mkdir()
    data = polyp.prepare(source, tmp_path / "out")
    found = rejected(data.folder)
    expected = {
        "CVC-ClinicDB/Original/1.tif": "damaged or truncated",
        "CVC-ClinicDB/Ground Truth/2.tif": "0 bytes",
        "CVC-ClinicDB/Ground Truth/3.tif": "the mask is 20 x 16 pixels, its image 40 x 32",
        "CVC-ClinicDB/Ground Truth/4.tif": "the mask is empty: its highest value is 0",
        "CVC-ClinicDB/Original/5.tif": "not a picture",
        "CVC-ColonDB/images/7.bmp": "no usable mask",
        "CVC-ColonDB/masks/8.bmp": "no usable image",
        "CVC-ColonDB/images/9.bmp": "9.bmp and 9.png have the same name",
        "CVC-ColonDB/images/9.png": "9.bmp and 9.png have the same name",
        "CVC-ColonDB/masks/9.bmp": "no usable image",
        "raw pair": "not recognised",
    }
    assert set(found) == set(expected)
    assert all(expected[file] in found[file] for file in expected)
    assert data.info["counts"]["test_sets"] == {"ClinicDB": 1, "ETIS": 4}
    assert data.info["rejected"] == len(expected)
    assert sorted(path.name for path in (data.folder / "images" / "ClinicDB").iterdir()) == ["6.png"]
    kept = polyp.prepare(source, tmp_path / "kept", allow_empty=True)
    assert "ClinicDB/4" in set(kept.index["case_id"])


def test_same_input_gives_the_same_bytes_whatever_the_order_of_listing(source, tmp_path, monkeypatch):
    polyp.prepare(source, tmp_path / "a")
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(listed(self))))
    polyp.prepare(source, tmp_path / "b")
    monkeypatch.undo()
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 3 + 2 * 30
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False) == (files, [], [])


def prepare_fails(source, out, message, **options):
    with pytest.raises(MedsegError, match=message):
        polyp.prepare(source, out, **options)


def test_what_is_missing_is_said_at_once(source, tmp_path):
    out = tmp_path / "out"
    prepare_fails(
        tmp_path / "none", out, "does not exist. Expected one subfolder per dataset: CVC-ColonDB", protocol="colondb"
    )
    prepare_fails(tmp_path / "none", out, "does not exist. Expected a folder with 'images' . 'masks'")
    (tmp_path / "hollow").mkdir()
    prepare_fails(tmp_path / "hollow", out, "is empty")
    prepare_fails(
        source, out, "no protocol 'colon'. There are: colondb, kvasir, pranet.* mean 'colondb'", protocol="colon"
    )
    prepare_fails(source, out, "between 0 and 1", validation_fraction=1.5)
    prepare_fails(source, out, "Found: none of them; TrainDataset, CVC-300.* missing", protocol="pranet")
    prepare_fails(source / "CVC-ColonDB", out, "looks like one dataset; give the folder", protocol="colondb")
    shutil.rmtree(source / "ETIS-LaribPolypDB")
    shutil.rmtree(source / "CVC-ClinicDB" / "Ground Truth")
    (source / "Etiss").mkdir()
    prepare_fails(
        source,
        out,
        r"needs ColonDB, ClinicDB, ETIS in .*Found: ColonDB \(20 images\); ETIS missing; no image with its mask in "
        r"CVC-ClinicDB .*Not used: Etiss\. Expected one subfolder per dataset",
        protocol="colondb",
    )
    assert not out.exists()


def test_a_dataset_without_a_single_usable_image_is_an_error(source, tmp_path):
    for path in (source / "ETIS-LaribPolypDB" / "Ground Truth").iterdir():
        path.write_bytes(b"")
    prepare_fails(source, tmp_path / "out", r"None of the 4 images of ETIS in .*p1.tif: the file is empty")
    assert not (tmp_path / "out").exists()


def test_one_video_cannot_be_split(source, tmp_path):
    rows = "".join(f"{i}.bmp,only\n" for i in range(1, 21))
    (source / "CVC-ColonDB" / "sequences.csv").write_text("file,sequence\n" + rows)
    prepare_fails(source, tmp_path / "out", "only the group 'ColonDB/only'", progress=lambda *_: pytest.fail("worked"))


def test_images_of_the_user_are_never_replaced(source, tmp_path):
    prepare_fails(source, source, "lie in one another")
    prepare_fails(source, source.parent, "lie in one another")
    prepare_fails(source, source / "prepared", "lie in one another")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"dear")
    prepare_fails(source, tmp_path / "photos", "is not a prepared dataset")
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"dear"
    assert len(list(source.rglob("*.bmp"))) == 40


def interrupted(monkeypatch, error):
    written = []
    write_file = index.DatasetDraft.write_file

    def failing(self, relative, data):
        if len(written) == 7:
            raise error
        written.append(relative)
        write_file(self, relative, data)

    monkeypatch.setattr(index.DatasetDraft, "write_file", failing)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", ["nothing", "an older dataset"])
def test_full_disk_or_ctrl_c_leave_what_was_there(source, tmp_path, monkeypatch, error, before):
    out = tmp_path / "out"
    if before != "nothing":
        polyp.prepare(source, out, seed=1)
    there = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    interrupted(monkeypatch, error)
    expected = (MedsegError, "disk is full") if isinstance(error, OSError) else (KeyboardInterrupt, None)
    with pytest.raises(expected[0], match=expected[1]):
        polyp.prepare(source, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == there
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]
    monkeypatch.undo()
    assert len(polyp.prepare(source, out).index) == 30


def test_names_survive_whole(tmp_path):
    root = tmp_path / "raw"
    names = ["a_1", "a_2", "b.1", "b.2", "NA", "x, y", "\u00e9t\u00e9", "007"]
    for centre in ("ColonDB", "ClinicDB", "ETIS"):
        fill(root / centre, names)
    data = polyp.prepare(root, tmp_path / "out")
    assert set(data.split("test")["case_id"]) == {f"{c}/{name}" for c in ("ClinicDB", "ETIS") for name in names}


def test_every_protocol_names_known_datasets():
    assert set(protocols.built_in()) == {"colondb", "kvasir", "pranet"}
    for file in protocols.built_in().values():
        rules = protocol_file.read(file)
        assert set(rules.folders("test")) <= {*CENTRES, *(f"PolypGen C{number}" for number in range(1, 7))}
        assert set(rules.train).isdisjoint(rules.folders("test"))


def test_a_frame_of_the_test_set_in_training_under_another_name_is_named_and_can_be_left_out(source, tmp_path):
    twin = source / "CVC-ColonDB" / "images" / "21.bmp"
    frame = source / "CVC-ClinicDB" / "Original" / "2.tif"
    with Image.open(frame) as image:
        image.resize((60, 48), Image.Resampling.BICUBIC).save(twin)
    draw_mask(source / "CVC-ColonDB" / "masks" / "21.bmp", 1, size=(60, 48))
    named = polyp.prepare(source, tmp_path / "out")
    [entry] = named.info["duplicates"]
    assert {entry["first"], entry["second"]} == {"ColonDB/21", "ClinicDB/2"}
    assert any("ColonDB/21 and ClinicDB/2" in note for note in named.info["notes"])
    left = polyp.prepare(source, tmp_path / "left", drop_duplicates=True)
    assert set(named.index["case_id"]) - set(left.index["case_id"]) == {"ColonDB/21"}
    [reason] = [reason for file, reason in rejected(left.folder).items() if file.endswith("images/21.bmp")]
    assert reason.startswith("looks the same as ClinicDB/2 (test); left out of ")
