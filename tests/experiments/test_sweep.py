import pytest
import yaml

from medseg import project
from medseg.datasets import index
from medseg.errors import MedsegError
from medseg.experiments import sweep

PARAMETERS = """data: str = "data/toy"
backbone: str = "resnet18"  # encoder
resolution: int = 96
learning_rate: float = 1e-3
seed: int = 1
"""


@pytest.fixture
def toy(tmp_path, monkeypatch, write_notebook):
    """A project with one study; returns a function that writes its sweep file."""
    monkeypatch.setattr(project, "root", lambda: tmp_path)
    monkeypatch.setenv(project.RUNS_VARIABLE, str(tmp_path / "reports" / "runs"))
    write_notebook(tmp_path / "notebooks" / "toy" / "2_train.ipynb", PARAMETERS)
    with index.writing(tmp_path / "data" / "toy", study="toy", name="toy", classes=["polyp"]) as draft:
        draft.write_file("0.png", b"0")
        files = {"image": "0.png", "label": "0.png"}
        draft.rows.append({"case_id": "0", **files, "group": "g", "split": "train", "fold": -1, "test_set": ""})

    def write(text: str = "", **keys):
        content = {"study": "toy", "title": "Toy", "train": "2_train", "data": "data/toy", **keys}
        file = tmp_path / "notebooks" / "toy" / "sweeps" / "backbones.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text or yaml.safe_dump(content))
        return file

    return write


def test_rows_times_grid_and_a_profile(toy):
    file = toy(
        parameters={"learning_rate": 0.01},
        runs=[{"backbone": "resnet18"}, {"backbone": "resnet50"}],
        grid={"resolution": [64, 96], "seed": [1, 2]},
        profiles={"sample": {"learning_rate": 0.1, "grid": {"resolution": [32]}}},
    )
    planned = sweep.load(file)
    assert planned.name == "toy-backbones"
    assert [tuple(p.varied.values()) for p in planned.planned[:3]] == [
        ("resnet18", 64, 1),
        ("resnet18", 64, 2),
        ("resnet18", 96, 1),
    ]
    assert len({p.run.id for p in planned.planned}) == 8
    assert all(p.parameters["learning_rate"] == 0.01 for p in planned.planned)
    sample = sweep.load(file, "sample")
    assert sample.name == "toy-backbones-sample"
    assert [p.varied for p in sample.planned] == [{"backbone": "resnet18"}, {"backbone": "resnet50"}]
    assert all(p.parameters["learning_rate"] == 0.1 and p.parameters["resolution"] == 32 for p in sample.planned)


def test_the_record_of_a_started_sweep_names_its_runs(toy):
    planned = sweep.load(toy(grid={"seed": [1, 2]}))
    sweep.write_record(planned)
    assert sweep.read_record("toy-backbones")["run_ids"] == [p.run.id for p in planned.planned]
    with pytest.raises(MedsegError, match="Started: toy-backbones"):
        sweep.read_record("toy-losses")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"girds": {}}, "unknown key 'girds'. Did you mean 'grid'?"),
        ({"grid": {"resolution": 64}}, "grid.resolution: found 64 (int)"),
        ({"title": 3}, "title: found 3 (int)"),
        ({"runs": [{}, {"resolutoin": 64}]}, "run 2:\n  - unknown key 'resolutoin'. Did you mean 'resolution'?"),
        ({"parameters": {"resolution": "64"}}, "resolution: found '64' (str), expected int"),
        ({"parameters": {"learning_rate": "1e-4"}}, "YAML takes 1e-4 for text"),
        ({"grid": {"seed": [1, 1]}}, "run 2: asks the same as an earlier run"),
        ({"data": "data/none"}, "No prepared dataset at data/none: the folder does not exist"),
        ({"train": "2_trian"}, "No notebook notebooks/toy/2_trian.ipynb. There are: 2_train"),
    ],
)
def test_a_faulty_file_is_refused_whole(toy, keys, expected):
    with pytest.raises(MedsegError) as refusal:
        sweep.load(toy(**keys))
    assert expected in str(refusal.value)


def test_other_faults_of_a_file(toy, tmp_path):
    with pytest.raises(MedsegError, match="has no profile 'smaple'. It has: sample"):
        sweep.load(toy(profiles={"sample": {}}), "smaple")
    with pytest.raises(MedsegError, match="backbones.yaml cannot be read as YAML: while"):
        sweep.load(toy("study: [toy"))
    with pytest.raises(MedsegError, match="found str, expected keys"):
        sweep.load(toy("just words"))
    with pytest.raises(MedsegError, match="the key 'data' is missing"):
        sweep.load(toy("study: toy\ntitle: Toy\ntrain: 2_train"))
    with pytest.raises(MedsegError, match="The project has: notebooks/toy/sweeps/backbones.yaml"):
        sweep.load(tmp_path / "nothing.yaml")
