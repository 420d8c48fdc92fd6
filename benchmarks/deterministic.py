"""What training with deterministic algorithms costs: processor time of a step with them over that of one without.

Straightforward: PyTorch's own choice of algorithms. Steps of a network of each kind on one batch of noise, one thread
on a CPU, a round of one way after a round of the other.
"""

import argparse
import json
import time
from statistics import median

import torch

from medseg.pytorch.losses import build_loss
from medseg.pytorch.models import build_model
from medseg.pytorch.optimisation import Optimisation
from medseg.pytorch.task import SegmentationTask

NETWORKS = (("smp-unet", "resnet18", 1.0), ("unet", "none", 0.25))
WARM_UP = 2  # rounds that do not count


def ratio(architecture: str, backbone: str, width: float, *, rounds: int, side: int) -> float:
    """Median over ``rounds`` of the time with deterministic algorithms over the time before it without."""
    torch.manual_seed(0)
    model = build_model(architecture, backbone, width=width)
    task = SegmentationTask(model, build_loss("bce+dice"), Optimisation(1e-3, 0.0, "constant"), seed=1).train()
    optimizer = task.configure_optimizers()
    batch = (
        torch.randint(0, 256, (8, 3, side, side), dtype=torch.uint8),
        torch.randint(0, 2, (8, 1, side, side), dtype=torch.uint8),
    )
    ratios = []
    for _ in range(rounds + WARM_UP):
        spent = []
        for switch in (False, True):
            torch.use_deterministic_algorithms(switch)
            started = time.process_time()
            for _ in range(3):
                optimizer.zero_grad()
                task.step(batch, task.no_sums()).backward()
                optimizer.step()
            spent.append(time.process_time() - started)
        ratios.append(spent[1] / spent[0])
    torch.use_deterministic_algorithms(False)
    return median(ratios[WARM_UP:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--side", type=int, default=96, help="of the pictures, pixels")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        f"{name} {backbone}": round(ratio(name, backbone, width, rounds=arguments.rounds, side=arguments.side), 3)
        for name, backbone, width in NETWORKS
    }
    print(json.dumps(found) if arguments.json else "\n".join(f"{name}: {value} x" for name, value in found.items()))


if __name__ == "__main__":
    main()
