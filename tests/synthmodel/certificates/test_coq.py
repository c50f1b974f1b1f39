"""The proof of Theorems 1 and 3 for Coq: nothing in it is left open, and Coq, where there is one, accepts it."""

import re
import shutil
import subprocess
from pathlib import Path

import synthmodel

FILE = Path(synthmodel.__file__).parent / "certificates/margin_loss.v"
TEXT = FILE.read_text()


def test_nothing_is_left_open():
    code = re.sub(r"\(\*.*?\*\)", "", TEXT, flags=re.S)
    assert not re.search(r"\b(Admitted|admit|Axiom|Parameter|Conjecture|Abort|give_up)\b", code)
    assert code.count("Proof.") == code.count("Qed.") == len(re.findall(r"^(?:Theorem|Lemma) ", code, re.M)) == 16


def test_what_is_assumed_is_the_model():
    """Linear means, three means, the mean distance of two normal features, and the ranges of the numbers."""
    assert re.findall(r"^Hypothesis (\w+)", TEXT, re.M) == [
        "additive", "homogeneous", "total", "extensional", "positive_mu", "positive_sigma", "mean_E", "mean_C2",
        "mean_C3", "distance", "smoothing", "decay", "size"]


def test_coq_accepts_it_and_no_false_theorem(tmp_path):
    if not (coqc := shutil.which("coqc")):
        return  # the other tests of T1 and T3 do not need it
    false = TEXT.replace("(1 - b) * sigma / (2 * sqrt PI).", "(1 - b) * sigma / (3 * sqrt PI).")
    assert false != TEXT
    for text, status in ((TEXT, 0), (false, 1)):
        (tmp_path / "margin_loss.v").write_text(text)
        made = subprocess.run([coqc, "margin_loss.v"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert made.returncode == status, made.stderr
    assert "Error" in made.stderr
