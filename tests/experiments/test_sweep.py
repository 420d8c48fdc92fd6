import pytest
import yaml

from medseg import project
from medseg.datasets import index
from medseg.errors import MedsegError
from medseg.experiments import console, sweep

PARAMETERS = """data: str = "data/toy"
backbone: str = "resnet18"  # encoder
resolution: int = 96
learning_rate: float = 1e-3
seed: int = 1
max_epochs: int = 20
max_steps: int = 0
max_minutes: float = 0.0
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


def test_a_profile_yields_to_its_own_rows_and_grid_not_to_those_of_the_file(toy):
    rows = [{"backbone": "resnet18", "learning_rate": 0.2}, {"backbone": "resnet50"}]
    profiles = {
        "rows": {"learning_rate": 0.1, "runs": rows},
        "grid": {"learning_rate": 0.1, "resolution": 32, "grid": {"resolution": [64]}},
    }
    file = toy(runs=rows, profiles=profiles)
    rates = [[p.parameters["learning_rate"] for p in sweep.load(file, name).planned] for name in profiles]
    assert rates == [[0.2, 0.1], [0.1, 0.1]]
    assert {p.parameters["resolution"] for p in sweep.load(file, "grid").planned} == {64}


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
    for content in ("", "[1]", "{}"):
        sweep.record_file("toy-backbones").write_text(content)
        with pytest.raises(MedsegError, match="toy-backbones.json cannot be read as the note of a sweep"):
            sweep.read_record("toy-backbones")


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


def test_seeds_repeat_each_row(toy):
    rows = {"runs": [{"backbone": "resnet18"}, {"backbone": "resnet50"}], "grid": {"resolution": [64]}}
    by_number = sweep.load(toy(**rows, seeds=3))
    assert [(p.parameters["backbone"], p.parameters["seed"]) for p in by_number.planned] == [
        (backbone, seed) for backbone in ("resnet18", "resnet50") for seed in (1, 2, 3)
    ]
    assert len({p.run.id for p in by_number.planned}) == 6
    assert by_number.terms == "seeds 1, 2, 3"
    by_list = sweep.load(toy(**rows, seeds=[7, 0]))
    assert [p.parameters["seed"] for p in by_list.planned] == [7, 0, 7, 0]
    assert [p.varied["seed"] for p in by_list.planned] == [7, 0, 7, 0]
    shifted = sweep.load(toy(parameters={"seed": 5}, seeds=2))
    assert [p.parameters["seed"] for p in shifted.planned] == [5, 6]


def test_a_profile_may_have_seeds_of_its_own(toy):
    file = toy(seeds=3, profiles={"sample": {"seeds": 2, "seed": 4}, "once": {"seeds": None}, "list": {"seeds": [9]}})
    assert [p.parameters["seed"] for p in sweep.load(file).planned] == [1, 2, 3]
    assert [p.parameters["seed"] for p in sweep.load(file, "sample").planned] == [4, 5]
    assert [p.parameters["seed"] for p in sweep.load(file, "once").planned] == [1]
    assert [p.parameters["seed"] for p in sweep.load(file, "list").planned] == [9]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"seeds": 0}, "seeds: found 0, expected how many (1 or more) or a list"),
        ({"seeds": -2}, "seeds: found -2"),
        ({"seeds": True}, "seeds: found True"),
        ({"seeds": 2.0}, "seeds: found 2.0"),
        ({"seeds": "3"}, "seeds: found '3'"),
        ({"seeds": []}, "seeds: found []"),
        ({"seeds": [1, -1]}, "seeds: found [1, -1]"),
        ({"seeds": [1, "2"]}, "seeds: found [1, '2']"),
        ({"seeds": [1, 2, 1]}, "seeds: 1 is in [1, 2, 1] more than once"),
        ({"seeds": 2, "runs": [{}, {"seed": 3}]}, "a row or the grid sets seed, and so does seeds"),
        ({"seeds": [1, 2], "grid": {"seed": [3]}}, "a row or the grid sets seed, and so does seeds"),
        ({"seeds": [1, 2], "parameters": {"seed": 3}}, "the parameters of all rows set seed, and so does seeds"),
        ({"seeds": 2, "parameters": {"seed": "x"}}, "seed: found 'x' (str), expected int"),
    ],
)
def test_seeds_that_cannot_be_are_refused(toy, keys, expected):
    with pytest.raises(MedsegError) as refusal:
        sweep.load(toy(**keys))
    assert expected in str(refusal.value)


def test_the_plan_shows_seeds_and_budget(toy, monkeypatch, capsys):
    monkeypatch.setattr(console, "console", console.Console(width=200))
    console.show_plan(sweep.load(toy(seeds=2)))
    shown = capsys.readouterr().out
    assert "Every row: seeds 1, 2" in shown
    assert "resnet18-96-s2-" in shown
    console.show_plan(sweep.load(toy()))
    assert "Every row" not in capsys.readouterr().out


def test_a_narrow_plan_is_a_list_in_which_nothing_is_cut(toy, monkeypatch, capsys):
    planned = sweep.load(toy(grid={"learning_rate": [0.1, 0.2], "max_epochs": [3, 4], "backbone": ["a" * 30, "b"]}))
    facts = ["14.3 M parameters, about 0.3 GB"] * len(planned.planned)
    monkeypatch.setattr(console, "console", console.Console(width=60))
    console.show_plan(planned, facts)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(facts[0] in line for line in lines) == len(facts)
    for run in planned.planned:
        place = next(i for i, line in enumerate(lines) if f"{run.run.id}: train" in line)
        assert lines[place + 1].strip().endswith(f"max_epochs {run.parameters['max_epochs']}")
    monkeypatch.setattr(console, "console", console.Console(width=200))
    console.show_plan(planned, facts)
    assert sum("train" in line and facts[0] in line for line in capsys.readouterr().out.splitlines()) == len(facts)


@pytest.mark.parametrize(
    ("budget", "expected", "terms"),
    [
        ({"max_epochs": 30}, (30, 0, 0.0), "at most 30 epochs of training each"),
        ({"max_steps": 900}, (900, 900, 0.0), "at most 900 steps of training each"),
        ({"max_minutes": 2}, (120_001, 0, 2.0), "at most 2 minutes of training each"),
        ({"max_minutes": 0.5}, (30_001, 0, 0.5), "at most 0.5 minutes of training each"),
    ],
)
def test_a_budget_is_the_same_for_every_row_and_max_epochs_never_comes_before_it(toy, budget, expected, terms):
    planned = sweep.load(toy(runs=[{}, {"backbone": "resnet50"}], seeds=2, budget=budget))
    limits = ("max_epochs", "max_steps", "max_minutes")
    assert [tuple(p.parameters[name] for name in limits) for p in planned.planned] == [expected] * 4
    assert planned.terms == f"seeds 1, 2; {terms}"
    assert set(planned.planned[0].varied) == {"backbone", "seed"}


def test_a_profile_may_have_a_budget_of_its_own(toy):
    profiles = {"short": {"budget": {"max_steps": 5}}, "free": {"budget": None}}
    file = toy(parameters={"max_epochs": 7}, budget={"max_minutes": 1.5}, profiles=profiles)
    assert sweep.load(file).planned[0].parameters["max_epochs"] == 90_001, "epochs of all rows give way"
    assert sweep.load(file, "short").planned[0].parameters["max_minutes"] == 0.0
    assert sweep.load(file, "short").planned[0].parameters["max_steps"] == 5
    assert sweep.load(file, "free").planned[0].parameters["max_epochs"] == 7


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"budget": {"max_steps": 9, "max_minutes": 1}}, "budget: found {'max_minutes': 1, 'max_steps': 9}, expected"),
        ({"budget": {}}, "budget: found {}, expected one of {max_minutes: ...} or {max_steps: ...} or"),
        ({"budget": 10}, "budget: found 10, expected"),
        ({"budget": {"max_step": 9}}, "unknown key 'max_step'. Did you mean 'max_steps'?"),
        ({"budget": {"max_steps": 0}}, "max_steps is 0, expected a whole number of steps above 0"),
        ({"budget": {"max_steps": 2.5}}, "max_steps is 2.5, expected a whole number"),
        ({"budget": {"max_epochs": True}}, "max_epochs is True, expected a whole number"),
        ({"budget": {"max_minutes": -1.0}}, "max_minutes is -1.0, expected a number of minutes above 0"),
        ({"budget": {"max_minutes": float("nan")}}, "max_minutes is nan, expected a number"),
        ({"budget": {"max_minutes": "ten"}}, "max_minutes is 'ten', expected a number"),
        ({"budget": {"max_steps": 9}, "runs": [{}, {"max_steps": 3}]}, "a row or the grid sets max_steps as well"),
        ({"budget": {"max_epochs": 9}, "grid": {"max_epochs": [3]}}, "a row or the grid sets max_epochs as well"),
        ({"budget": {"max_minutes": 9}, "grid": {"max_epochs": [3]}}, "a row or the grid sets max_epochs as well"),
        ({"budget": {"max_epochs": 9}, "parameters": {"max_epochs": 3}}, "the parameters of all rows set max_epochs"),
        ({"budget": {"max_minutes": 9}, "parameters": {"max_minutes": 3.0}}, "the parameters of all rows set max_min"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(toy, keys, expected):
    with pytest.raises(MedsegError) as refusal:
        sweep.load(toy(**keys))
    assert expected in str(refusal.value)
