"""`deep export`: the weights of a run as a plain file, which other code can read, and `--weights` too."""

import argparse
from pathlib import Path

from deep.cli.common import Commands, place

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    export = commands.add_parser("export", help="the weights of a run as a plain state dict",
                                 description="Write the weights of a checkpoint as a plain state dict, and beside it, "
                                             "as NAME.json, its network, normalisation and classes: `deep cas "
                                             "--weights FILE --data DIR` reads both.")
    export.add_argument("run", help="a run folder")
    export.add_argument("--checkpoint", choices=("best", "last"), default="best", help="(default: best)")
    export.add_argument("--out", required=True, metavar="FILE",
                        help="FILE.pt, or FILE.safetensors (extra `safetensors`)")


def run(options: argparse.Namespace) -> None:
    from deep.recipe.recipe import read_recipe
    out, run = Path(options.out), Path(options.run)
    read_recipe(run)  # a folder that is none is refused before torch is loaded
    if out.suffix == ".json" or not out.name:
        raise ValueError(f"--out = {out} was given, but NAME.json is written beside the weights: write a name such as "
                         "weights.pt.")
    place(options.out)
    from deep.runs.export import export
    from deep.runs.folder import RunFolder
    beside = export(RunFolder(run), options.checkpoint, out)
    print(f"{out}\n{beside}")
