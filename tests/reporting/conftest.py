import pytest
import synthetic_runs


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    return synthetic_runs.make_dataset(tmp_path_factory.mktemp("data") / "ellipses")


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("project") / "reports" / "runs"


@pytest.fixture(scope="session")
def runs(dataset, runs_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDSEG_RUNS", str(runs_folder))
        return synthetic_runs.make_runs(dataset)
