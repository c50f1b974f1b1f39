"""Where the data sets of several runs lie: the words of --data, and each set loaded once."""

import os
from contextlib import suppress
from pathlib import Path

from deep.data.formats.archives import is_archive, read_files
from deep.data.layouts import LAYOUTS
from deep.training.loop import load_data

__all__ = ["Images", "places_of", "stand_in"]

SETS = ("cifar10", "cifar100", "tiny-imagenet")


def places_of(words):
    """{data set: where it is looked for, an absolute path, or None} from the words of --data."""
    places = dict.fromkeys(SETS, os.environ.get("DEEP_DATA"))
    named = {}
    for word in words:
        name, equals, path = word.partition("=")
        if equals and name in SETS:
            named[name] = path
        else:
            places = dict.fromkeys(SETS, word)
    return {name: place and os.path.abspath(place) for name, place in (places | named).items()}


def stand_in(name, place):
    """The name under which the images of a data set are read: "folder" where an image folder stands in for CIFAR-10.

    place: an absolute path, or None. An image folder has images below `train`, and no file by which another data set
    is known.
    """
    root = Path(place or "")
    if name != "cifar10" or place is None or not (is_archive(root) if root.is_file() else (root / "train").is_dir()):
        return name
    names = []
    with suppress(ValueError):  # a damaged archive is the loader's to refuse
        read_files(root, names.append)  # append returns None, so that no file is kept
    known = {file for layout in LAYOUTS.values() if layout.stems for file in layout.needed}
    if any(file.rpartition("/")[2] in known or file.endswith(".parquet") for file in names):
        return name
    return "folder" if any("train" in file.split("/")[:-2] for file in names) else name


class Images:
    """The data sets of a table, each loaded once, on the device."""

    def __init__(self, places, device):
        self.places, self.device, self.loaded, self.refused = places, device, {}, {}

    def place(self, recipe):
        return self.places["cifar10" if recipe.data == "folder" else recipe.data]

    def of(self, recipe):
        """The `Data` of a recipe; ValueError, in the loader's sentence, where its images are not."""
        key = (recipe.data, recipe.val_size, recipe.train_size, recipe.resize)
        if key in self.refused:
            raise ValueError(self.refused[key])
        if key not in self.loaded:
            try:
                self.loaded[key] = load_data(recipe, self.place(recipe)).to(self.device)
            except ValueError as error:
                self.refused[key] = str(error)
                raise
        return self.loaded[key]

    def missing(self, recipe):
        """None, or why there are no images for a recipe."""
        try:
            self.of(recipe)
        except ValueError as error:
            return str(error)
        return None
