"""The network that a run has trained, from one of its checkpoints."""

from dataclasses import replace
from typing import Any

import torch

from deep.data.dataset import Data
from deep.networks.classifier import Classifier, build
from deep.runs.checkpoint import check_weights
from deep.runs.folder import RunFolder

__all__ = ["load_network"]


def load_network(run: RunFolder, data: Data, which: str = "best", device: str | torch.device = "cpu",
                 averaged: bool = False, state: dict[str, Any] | None = None) -> Classifier:
    """Return the network of a run folder's checkpoint, in float32 whatever the training's arithmetic was.

    averaged: of "last" or a kept checkpoint, the running average of the weights once it has begun: the network that
    the training evaluated. state: what `RunFolder.model_state` has read of that checkpoint; None: it is read.
    Raises ValueError if the checkpoint is missing, damaged or of another network.
    """
    # The weights come from the checkpoint: a file of published ones need not be there any more.
    model = build(replace(run.recipe(), pretrained=None), data, 0)
    state = run.model_state(which) if state is None else state
    weights, average = state["model"], state.get("average")
    if averaged and isinstance(average, dict) and average.get("n_averaged"):
        weights = {name.removeprefix("module."): value for name, value in average.items() if name != "n_averaged"}
    try:
        check_weights(weights, model.state_dict(), "weights")
        model.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"the weights in {run.path / which}.pt do not fit the network of its recipe: restore the file "
                         "from a copy.") from error
    model.bf16 = False
    return model.to(device).eval()
