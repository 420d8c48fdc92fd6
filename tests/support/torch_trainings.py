"""Train a run in PyTorch as the notebooks do."""

import pandas as pd
import torch

from medseg.datasets.index import PreparedDataset
from medseg.experiments import runs
from medseg.experiments.runs import Run
from medseg.pytorch.models import build
from medseg.pytorch.training import train

STAGES = {"polyp": ("polyp", "2_train_torch"), "handbone": ("handbone", "2_train")}


def run_of(parameters: dict, dataset: PreparedDataset) -> Run:
    """The run that asks for this training."""
    return runs.prepare_run(*STAGES[dataset.info["study"]], parameters, dataset)


def trained(parameters: dict, dataset: PreparedDataset) -> tuple[Run, pd.DataFrame]:
    """The trained run and its history."""
    run = run_of(parameters, dataset)
    with runs.training(run, *STAGES[dataset.info["study"]], parameters, dataset):
        torch.manual_seed(parameters["seed"])
        history = train(run, build(parameters, len(dataset.info["classes"])), dataset, parameters)
    return run, history
