"""What a training would stumble over in its first epoch, found before there is a run folder."""

import torch
from jaxtyping import Shaped
from torch import Tensor

from deep.data.dataset import as_float
from deep.recipe.recipe import Recipe
from deep.system.device import memory_sentence, seeded
from deep.training.state import State

__all__ = ["check_batches", "check_compiler", "check_shared"]


def check_batches(training: State) -> None:
    """Raise ValueError unless the network, in training mode, takes two images and as many as the smallest batch has.

    Batch norm has no variance of a single value a channel. Nothing of the training is changed. Several processes have
    more than one image in every batch (`check_shared`) and try nothing.
    """
    recipe, images = training.recipe, training.data.train.images
    n, (height, width) = len(images), images.shape[2:]
    smallest = n % recipe.batch or min(n, recipe.batch)
    if training.world.size > 1:
        return
    if n > 1:
        error = failure(training, images[:2])
        if error:
            raise ValueError(f"model = {recipe.model} was given with images of {height}x{width} pixels, but the "
                             f"network fails on them in training mode ({type(error).__name__}: "
                             f"{first_line(error)}): choose another model or images of another size, such as "
                             "resize=N makes of image files.") from error
    if smallest == 1:
        error = failure(training, images[:1])
        if error:
            way_out = "train_size or batch" if n == 1 or recipe.batch == 1 else f"batch, or train_size={n - 1}"
            raise ValueError(f"batch = {recipe.batch} was given with {n} training images, so that the last batch is "
                             f"one image, but the network fails on it in training mode ({type(error).__name__}: "
                             f"{first_line(error)}): choose another {way_out}.") from error


def failure(training: State, images: Shaped[Tensor, "n c h w"]) -> Exception | None:
    """Return the error of the network on these images in training mode, or None; its running statistics stay."""
    model = training.model
    kept, mode = [buffer.clone() for buffer in model.buffers()], model.training
    try:
        with seeded(0, training.device), torch.no_grad():
            model.train()(as_float(images))
    except Exception as error:  # whatever a network's own code raises
        if memory_sentence(error):
            raise
        return error
    finally:
        model.train(mode)
        for buffer, old in zip(model.buffers(), kept, strict=True):
            buffer.copy_(old)
    return None


def check_compiler(device: torch.device) -> None:
    """Raise ValueError unless torch.compile works here, tried on x + 1: a CPU needs a C++ compiler, a GPU Triton."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2, device=device))
    except Exception as error:  # of dynamo, of its backends, or of what they start
        raise ValueError(f"compile = true was given, but torch.compile does not work here ({first_line(error)}): "
                         "install a C++ compiler (g++), for a GPU also Triton, or write compile=false.") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without its full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".")


def check_shared(recipe: Recipe, n: int, processes: int) -> None:
    """Raise ValueError for a recipe, with n training images, that so many processes cannot train together."""
    if processes == 1:
        return
    last = n % recipe.batch or recipe.batch
    if last < processes:
        raise ValueError(f"the last batch of an epoch has {last} of {n} images for {processes} processes, but each "
                         "needs one: choose another batch or train_size, or fewer processes.")
    if recipe.compile:
        raise ValueError(f"compile = true was given with {processes} processes, but only one process is compiled: "
                         "leave compile out, or start one process.")
    if recipe.awp:
        raise ValueError(f"awp = {recipe.awp} was given with {processes} processes, but the weights are moved in one "
                         "alone: leave it out, or start one process.")
    if recipe.cas_weight:
        raise ValueError(f"cas_weight = {recipe.cas_weight} was given with {processes} processes, but CAS is that of "
                         "a whole batch: leave it out, or start one process.")
