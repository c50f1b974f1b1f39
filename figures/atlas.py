"""The atlas: every phase diagram and flow of the theory, its numbers and one sentence with the claims it shows.

`synthmodel atlas --out DIR`, or `python -m figures.atlas DIR`, writes pictures (PNG, SVG), tables (CSV) and the index
atlas.md into the folder DIR.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep.system.files import write_text
from figures.phase import (
    classes as phase_classes,
)
from figures.phase import (
    decays,
    sigma,
    theorems,
)
from figures.phase import (
    norm as phase_norm,
)
from figures.phase import (
    smoothing as phase_smoothing,
)
from figures.phase import (
    temperature as phase_temperature,
)
from figures.scripts import command_line
from figures.theory import dynamics, flows, ratios
from synthmodel.system.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PICTURES", "atlas"]


# (title, script, its sentence)
PICTURES = (("Which theorem holds for which loss", theorems, theorems.finding),
            ("What each loss uses, and what would be best", ratios, ratios.finding),
            ("Where the penalty turns it", decays, decays.finding),
            ("Attack and noise", sigma, sigma.finding),
            ("Attack and temperature", phase_temperature, phase_temperature.finding),
            ("Attack and smoothing", phase_smoothing, phase_smoothing.finding),
            ("Attack and norm", phase_norm, phase_norm.finding),
            ("Number of classes", phase_classes, phase_classes.finding),
            ("Learned, then forgotten", dynamics, dynamics.finding),
            ("Flows under other laws, of cross-entropy, and with ever rarer outliers", flows, flows.finding))


def file_name(script: Any) -> str:
    """The name of a script's files: "ratios" of figures.theory.ratios, "phase_sigma" of figures.phase.sigma."""
    room, name = script.__name__.split(".")[-2:]
    return f"phase_{name}" if room == "phase" else str(name)


def atlas(out: str | Path, pictures: Sequence[tuple[str, Any, Callable[[Path], str]]] = PICTURES) -> int:
    """Write each picture (PNG, SVG), its table (CSV) and the index atlas.md into the folder `out`; 0.

    Prints each sentence as soon as its picture is there. About three quarters of a minute on one core.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    sections = ["# Atlas", "Each sentence begins with its claims' IDs; its numbers are read from the table named."]
    for title, script, finding in tracked(pictures, "drawing the atlas", len(pictures)):
        script.compute(folder)
        script.draw(folder)
        name, said = file_name(script), finding(folder)
        print(f"{folder / name}.png\n  {said}", flush=True)
        sections.append(f"## {title}\n\n![{name}]({name}.png)\n\n{said}\n\nNumbers: [{name}.csv]({name}.csv).")
    write_text(folder / "atlas.md", "\n\n".join(sections) + "\n")
    print(folder / "atlas.md")
    return 0


if __name__ == "__main__":
    words = command_line(__name__)
    words.add_argument("folder", metavar="DIR", help="the folder to write into, made where it is missing")
    sys.exit(atlas(words.parse_args().folder))
