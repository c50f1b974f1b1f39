"""Where the data sets of several runs lie, and each of them loaded once."""

import os
from contextlib import suppress
from pathlib import Path

from deep.data.dataset import Data
from deep.data.formats.archives import is_archive, read_files
from deep.data.layouts import LAYOUTS
from deep.recipe.recipe import Recipe
from deep.training.loop import load_data

__all__ = ["DataSets", "data_locations", "layout_at", "location_of"]

NAMES = ("cifar10", "cifar100", "tiny-imagenet")


def data_locations(words: list[str]) -> dict[str, str | None]:
    """Return {data set: where it is looked for, an absolute path, or None} from the words of --data."""
    default = os.environ.get("DEEP_DATA")
    named = {}
    for word in words:
        name, equals, path = word.partition("=")
        if equals and name in NAMES:
            named[name] = path
        else:
            default = word
    locations = dict.fromkeys(NAMES, default) | named
    return {name: location and os.path.abspath(location) for name, location in locations.items()}


def location_of(recipe: Recipe, locations: dict[str, str | None]) -> str | None:
    """Return where the images of a recipe lie, an image folder's where CIFAR-10's would; None for planted ones.

    locations: as `data_locations` returns them.

    >>> from deep.recipe.recipe import recipe_named
    >>> location_of(recipe_named("at", ["data=folder"]), {"cifar10": "/images", "cifar100": None})
    '/images'
    """
    return locations.get("cifar10" if recipe.data == "folder" else recipe.data)


def layout_at(name: str, location: str | None) -> str:
    """Return the layout by which a data set is read: "folder" where an image folder stands in for CIFAR-10.

    location: an absolute path, or None. An image folder has images below `train`, and no file by which another data
    set is known.
    """
    root = Path(location or "")
    if name != "cifar10" or location is None or not (
            is_archive(root) if root.is_file() else (root / "train").is_dir()):
        return name
    files: list[str] = []

    def note(file: str) -> bool:
        files.append(file)
        return False  # its content is not read

    with suppress(ValueError):  # a damaged archive is the loader's to refuse
        read_files(root, note)
    known = {file for layout in LAYOUTS.values() if layout.stems for file in layout.needed}
    if any(file.rpartition("/")[2] in known or file.endswith(".parquet") for file in files):
        return name
    return "folder" if any("train" in file.split("/")[:-2] for file in files) else name


class DataSets:
    """The data sets of a table, each loaded once, on the device; locations as `data_locations` returns them."""

    def __init__(self, locations: dict[str, str | None], device: str) -> None:
        self.locations, self.device = locations, device
        self.loaded: dict[tuple, Data] = {}
        self.refused: dict[tuple, str] = {}

    def location(self, recipe: Recipe) -> str | None:
        """Return where the images of a recipe lie."""
        return location_of(recipe, self.locations)

    def load(self, recipe: Recipe) -> Data:
        """Return the `Data` of a recipe; ValueError, in the loader's sentence, where its images are not."""
        key = (recipe.data, recipe.val_size, recipe.train_size, recipe.resize)
        if key in self.refused:
            raise ValueError(self.refused[key])
        if key not in self.loaded:
            try:
                self.loaded[key] = load_data(recipe, self.location(recipe)).to(self.device)
            except ValueError as error:
                self.refused[key] = str(error)
                raise
        return self.loaded[key]

    def error(self, recipe: Recipe) -> str | None:
        """Return why the images of a recipe cannot be loaded, or None."""
        try:
            self.load(recipe)
        except ValueError as error:
            return str(error)
        return None
