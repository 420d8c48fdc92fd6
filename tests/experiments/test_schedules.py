"""The learning rate over the epochs: the formulas that Keras trains by are those of PyTorch's own schedules."""

import numpy as np
import pytest
import torch

from medseg.experiments.schedules import BY_EPOCH, factor
from medseg.pytorch.optimisation import Optimisation


def of_pytorch(epochs, **given):
    optimisation = Optimisation(0.1, 0.0, max_epochs=epochs, **given)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = optimisation.schedule_of(optimizer)
    optimisation.warm_up(optimizer, 0)
    found = []
    for epoch in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if epoch + 1 <= optimisation.warmup_epochs:
            optimisation.warm_up(optimizer, epoch + 1)
        elif schedule is not None:
            schedule.step()
    return np.array(found)


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("schedule", BY_EPOCH)
def test_a_rate_is_that_of_pytorch(schedule, warmup):
    if schedule == "onecycle" and warmup:
        pytest.skip("has a warm-up of its own")
    given = {"restart_epochs": 4, "restart_factor": 2, "warmup_epochs": warmup}
    ours = [0.1 * factor(epoch, schedule, max_epochs=23, **given) for epoch in range(23)]
    np.testing.assert_allclose(ours, of_pytorch(23, schedule=schedule, **given), rtol=1e-6, atol=1e-12)
    if schedule != "constant":
        assert len(set(np.round(ours, 6))) > 3
