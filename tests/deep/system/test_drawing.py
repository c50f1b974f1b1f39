"""Pictures do not depend on their user's matplotlib, and leave it as it was."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

from deep.evaluation.saliency.picture import draw as draw_saliency
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_picture_of_saliency_is_the_same_under_any_settings(tmp_path):
    drawn_alike(lambda place: draw_saliency(report(), rows(), place / "saliency.png"), tmp_path)


@pytest.mark.slow
def test_the_picture_of_saliency_shows_each_map_in_its_place(tmp_path, pictures):
    """Three images of two classes, the classes mixed: what each cell holds, where it stands, and its colours' scale."""
    generator, given = torch.Generator().manual_seed(1), []
    for index, name in ((7, "cat"), (3, "owl"), (5, "cat")):
        maps = {which: tuple(torch.rand(2, 8, 8, generator=generator) * (1 + len(which) + index))
                for which in ("best", "last")}
        numbers = {"class": name, "test_index": index,
                   "best": {"predicted": f"b{index}", "share": index / 100},
                   "last": {"predicted": f"l{index}", "share": index / 50}}
        given.append({"image": torch.rand(3, 8, 8, generator=generator), "maps": maps, "numbers": numbers})
    said = report()
    said["partner"]["owl"] = "bat"
    for checkpoint, share in zip(said["checkpoints"], (0.3, 0.4), strict=True):
        checkpoint["classes"]["owl"] = {"share": share}
    draw_saliency(said, given, tmp_path / "saliency.png")
    (figure,) = pictures
    *cells, scale = figure.axes
    columns, rows_at = [], []
    for place, row in enumerate((given[0], given[2], given[1])):  # class by class
        first, *others = cells[5 * place:5 * place + 5]
        image, index = row["image"].permute(1, 2, 0).double().numpy(), row["numbers"]["test_index"]
        assert first.get_title(loc="left") == f"no. {index}" and len(first.images) == 1
        np.testing.assert_array_equal(first.images[0].get_array(), image)
        assert [axes.get_title(loc="left") for axes in others] == [
            f"says b{index}", f"shared: {index} %", f"says l{index}", f"shared: {2 * index} %"]
        for axes, drawn, pair in zip(others, [*row["maps"]["best"], *row["maps"]["last"]],
                                     ("best", "best", "last", "last"), strict=True):
            below, above = axes.images
            np.testing.assert_allclose(below.get_array(), 0.2 + 0.6 * image @ [0.299, 0.587, 0.114], rtol=1e-12)
            np.testing.assert_array_equal(above.get_array(), drawn.numpy())
            assert above.get_clim() == (0, max(part.max().item() for part in row["maps"][pair]))
            assert (above.get_cmap().name, above.get_alpha()) == ("viridis", 0.7)
        columns.append([round(axes.get_position().x0, 9) for axes in (first, *others)])
        heights = {round(axes.get_position().y0, 9) for axes in (first, *others)}
        assert len(heights) == 1
        rows_at += heights
    assert columns[0] == columns[1] == columns[2] == sorted(columns[0]) and len(set(columns[0])) == 5
    assert rows_at == sorted(rows_at, reverse=True) and rows_at[-1] > scale.get_position().y1
    texts = [(text.get_text(), *(round(place, 9) for place in text.get_position())) for text in figure.texts]

    def places(name, axis):
        return [text[1 + axis] for text in texts if text[0] == name]
    for name, places_of in (("test image", [0]), ("best checkpoint (epoch 2)", [1]), ("last checkpoint (epoch 3)", [3]),
                            ("net evidence", [1, 3]), ("its shared part", [2, 4])):
        assert places(name, 0) == [columns[0][place] for place in places_of], name
    (cat,), (owl,) = (places(name, 1) for name in ("cat, shared with dog_2: 25 % at best, 25 % at last",
                                                   "owl, shared with bat: 30 % at best, 40 % at last"))
    assert cat > rows_at[0] > rows_at[1] > owl > rows_at[2]
    np.testing.assert_allclose(scale.images[1].get_array(), [np.arange(100) / 99])


@pytest.mark.slow
def test_a_process_of_a_notebook_draws(tmp_path):
    """MPLBACKEND names a backend that is not installed; captum, too, imports matplotlib."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    code = f"""
import os, sys
from pathlib import Path
import torch
from torch import nn
from deep.networks.classifier import Classifier
from deep.evaluation.saliency.gradcam import gradcam
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
from deep.evaluation.saliency.picture import draw as draw_saliency
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
