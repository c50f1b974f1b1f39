"""The proofs of T1, T3 and T2-joint' for Coq: nothing in them is left open, and Coq, if it is there, accepts them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import synthmodel

pytestmark = pytest.mark.slow

COQC = shutil.which("coqc")  # no Python package: CI need not have it, and the other tests of these claims do without
FOLDER = Path(synthmodel.__file__).parent / "certificates"
# file -> (how many theorems and lemmas, what is assumed, a constant and what it must not be)
FILES = {
    "margin_loss.v": (16, ["additive", "homogeneous", "total", "extensional", "positive_mu", "positive_sigma", "mean_E",
                           "mean_C2", "mean_C3", "distance", "smoothing", "decay", "size"],
                      ("(1 - b) * sigma / (2 * sqrt PI).", "(1 - b) * sigma / (3 * sqrt PI).")),
    "joint_accuracy.v": (20, ["imr_positive", "imr_falls", "imr_falls_slowly", "imr_at_0", "robust", "slope",
                              "c_positive"],
                         ("k <= 1 / sqrt PI ->", "k <= 2 / sqrt PI ->")),
}


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_left_open(name):
    code = re.sub(r"\(\*.*?\*\)", "", (FOLDER / name).read_text(), flags=re.S)
    assert not re.search(r"\b(Admitted|admit|Axiom|Parameter|Conjecture|Abort|give_up)\b", code)
    stated = len(re.findall(r"^(?:Theorem|Lemma) ", code, re.M))
    assert code.count("Proof.") == code.count("Qed.") == stated == FILES[name][0]


@pytest.mark.parametrize("name", FILES)
def test_what_is_assumed_is_the_model(name):
    """Means and a mean distance, or the slope of joint accuracy and bounds of imr; and the ranges of the numbers."""
    assert re.findall(r"^Hypothesis (\w+)", (FOLDER / name).read_text(), re.M) == FILES[name][1]


@pytest.mark.skipif(not COQC, reason="coqc is not installed (Debian: apt install coq)")
@pytest.mark.parametrize("name", FILES)
def test_coq_accepts_it_and_no_false_theorem(name, tmp_path):
    text, (right, wrong) = (FOLDER / name).read_text(), FILES[name][2]
    false = text.replace(right, wrong)
    assert false != text
    for version, status in ((text, 0), (false, 1)):
        (tmp_path / name).write_text(version)
        made = subprocess.run([COQC, name], cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert made.returncode == status, made.stderr
    assert "Error" in made.stderr
