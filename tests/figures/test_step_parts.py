"""The step without one of its parts: that the part is really gone, and that the numbers are what is written."""

import json

import pytest
import torch

from figures.networks.step_parts import PARTS, main, prepared, replaced

WORDS = ["width=2", "steps=1", "batch=8"]


def called(monkeypatch, name, target, attribute):
    """How often target.attribute is called in a step without the part `name`."""
    more, changes = PARTS[name]
    with replaced(changes):
        step, _ = prepared([*WORDS, *[word for word in more if "batch" not in word]])
    count, real = [0], getattr(target, attribute)

    def counting(*values, **options):
        count[0] += 1
        return real(*values, **options)

    monkeypatch.setattr(target, attribute, counting)
    with replaced(changes):
        step()
    monkeypatch.setattr(target, attribute, real)
    return count[0]


@pytest.mark.slow
def test_each_part_is_gone(monkeypatch):
    import deep.networks.folding as folded
    from deep.networks.convolution import WindowProduct
    whole = "the whole step"
    for name, target, attribute in (
            ("batch norm not folded into the attacked network", folded.Folded, "forward"),
            ("batch norm and ReLU one after the other in the attack", folded.AffineReLU, "apply"),
            ("4x4 convolutions by the library", WindowProduct, "apply")):
        assert called(monkeypatch, whole, target, attribute) > 0
        assert called(monkeypatch, name, target, attribute) == 0


@pytest.mark.slow
def test_what_is_written(tmp_path, monkeypatch, capsys):
    import figures.networks.step_parts as module
    few = ("the whole step", "float32 in place of bfloat16")
    monkeypatch.setattr(module, "PARTS", {name: PARTS[name] for name in few})
    out = tmp_path / "parts.json"
    before = torch.get_num_threads()
    main([str(out), "--width", "2", "--attack-steps", "1", "--repeats", "2"])
    result = json.loads(out.read_text())
    whole, other = result["rows"]
    assert whole["ratio"] == {"median": 1, "min": 1, "max": 1}
    assert other["ratio"]["min"] <= other["ratio"]["median"] <= other["ratio"]["max"]
    assert other["ratio"]["median"] == pytest.approx(other["seconds_per_image"] / whole["seconds_per_image"], rel=0.5)
    assert (result["repeats"], result["width"], result["threads"]) == (2, 2, before)
    assert f"{1e3 * other['seconds_per_image']:.3f} ms an image" in capsys.readouterr().out
