"""Pictures do not depend on their user's matplotlib, and leave it as it was."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import torch

from deep.evaluation.gradcam_picture import draw as draw_saliency
from figures.theory import weights

ROOT = Path(__file__).parents[3]
USERS = {"text.usetex": True, "font.size": 20.0, "font.family": ["cursive"], "lines.linewidth": 9.0,
         "axes.grid": True, "savefig.dpi": 31.0, "figure.facecolor": "red"}


def drawn_alike(draw, folder):
    """Draw with matplotlib's defaults and with a user's settings, which stay as they are: the same files."""
    content = []
    for settings in ({}, USERS):
        place = folder / f"{len(settings)}-settings"
        place.mkdir()
        with matplotlib.rc_context(settings):
            before = dict(matplotlib.rcParams.copy())
            draw(place)
            assert dict(matplotlib.rcParams.copy()) == before
        content.append({path.name: path.read_bytes() for path in place.iterdir()})
    assert content[0] == content[1] and content[0]


def test_a_figure_is_the_same_under_any_settings(tmp_path):
    weights.compute(tmp_path)
    table = (tmp_path / "weights.csv").read_bytes()

    def draw(place):
        (place / "weights.csv").write_bytes(table)
        weights.draw(place)
    drawn_alike(draw, tmp_path)
    assert {path.name for path in (tmp_path / "0-settings").iterdir()} == {"weights.csv", "weights.png", "weights.svg"}


SCRIPTS = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "figures").rglob("*.py"))
           if "new_figure(" in path.read_text() and path.stem != "style"]


def test_every_script_draws_in_the_style():
    assert len(SCRIPTS) >= 15
    for name in SCRIPTS:
        assert importlib.import_module(name).draw.__wrapped__, name


def report():
    checkpoints = [{"checkpoint": name, "epoch": epoch, "mean": {"share": 0.25, "null": 0.5},
                    "classes": {"cat": {"share": 0.25}}} for name, epoch in (("best", 2), ("last", 3))]
    return {"data": "images of 100 %", "seed": 0, "inputs": "clean", "attack": None, "n": 3, "definition": "share_i.",
            "partner": {"cat": "dog_2"}, "checkpoints": checkpoints}


def rows():
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    numbers = {"class": "cat", "test_index": 0} | {name: {"predicted": "dog_2", "share": 0.5}
                                                   for name in ("best", "last")}
    return [{"image": image, "maps": dict.fromkeys(("best", "last"), (image[0], image[1])), "numbers": numbers}]


def test_the_picture_of_saliency_is_the_same_under_any_settings(tmp_path):
    drawn_alike(lambda place: draw_saliency(report(), rows(), place / "saliency.png"), tmp_path)


def test_a_process_of_a_notebook_draws(tmp_path):
    """MPLBACKEND names a backend that is not installed; captum, too, imports matplotlib."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    code = f"""
import os, sys
from pathlib import Path
import torch
from torch import nn
from deep.networks.classifier import Classifier
from deep.evaluation.gradcam import gradcam
body = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
assert 'matplotlib' not in sys.modules
print(gradcam(Classifier(body, nn.Linear(2, 3), (0.0,), (1.0,)), torch.ones(1, 1, 2, 2), torch.tensor([0])).shape)
from figures.style import new_figure, save, styled
@styled()
def draw():
    figure, axes = new_figure(1, 1, 2, 1)
    axes[0, 0].set_title('100 %_')
    save(figure, Path('.'), 'figure')
draw()
from deep.evaluation.gradcam_picture import draw as draw_saliency
{inspect.getsource(report)}
{inspect.getsource(rows)}
draw_saliency(report(), rows(), 'saliency.png')
import matplotlib
print(os.environ['MPLBACKEND'], matplotlib.rcParams['text.usetex'])
"""
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline",
                                "MATPLOTLIBRC": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
                           timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["torch.Size([1, 2, 2])",
                                         "module://matplotlib_inline.backend_inline True"]
    draw_saliency(report(), rows(), tmp_path / "here.png")
    assert (tmp_path / "saliency.png").read_bytes() == (tmp_path / "here.png").read_bytes()
