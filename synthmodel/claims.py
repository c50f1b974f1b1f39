"""The claims as data: `verify`, the report and the README's table are all made from this list."""

from dataclasses import dataclass

__all__ = ["CLAIMS", "STATUSES", "Claim"]

STATUSES = ("symbolic", "certified", "tested", "refuted")


@dataclass(frozen=True)
class Claim:
    """A claim of theory.md. source: "paper" (Wei, Guo, Wang 2025) or "new"; status: what carries it.

    symbolic: every step derived by sympy from the definitions (what sympy cannot decide is named there);
    tested: compared with independent numerics on a grid; refuted: false as stated, with a counterexample.
    hypotheses: what it assumes beyond the model of theory.md, section 0.
    """

    id: str
    source: str
    statement: str
    status: str
    hypotheses: str = "none"


CLAIMS = (
    Claim("T1", "paper", "Margin loss: w1 = max(mu - 2 eps, 0)/lam, w2 = max(mu - sigma/sqrt(pi) - 2 eps, 0)/lam, "
          "so w2 dies at eps0 = mu/2 - sigma/(2 sqrt(pi)), before w1", "symbolic", "sigma < sqrt(pi) mu for eps0 > 0"),
    Claim("T2-pair", "paper", "Accuracy against any one other class rises with w2 up to w2 = w1, then falls",
          "symbolic", "eps < mu/2"),
    Claim("T2-joint", "paper", "Accuracy against both other classes rises with w2 up to w2 = w1", "refuted",
          "eps < mu/2"),
    Claim("T2-joint'", "new", "Joint accuracy is strictly unimodal in w2/w1, its maximiser r_acc lies below 1 and is "
          "0 iff eps >= eps0", "symbolic", "eps < mu/2"),
    Claim("T3", "paper", "Smoothed margin: w2 dies at eps1 = mu/2 - (1-b) sigma/(2 sqrt(pi)) > eps0, and is larger "
          "than without smoothing below eps1", "symbolic", "0 < b < 1"),
    Claim("N1", "new", "The loss drops w2 exactly where an infinitesimal w2 stops raising joint accuracy: "
          "P'(0+) = p_e(0) E[M], eps0 = E[min C]/2", "symbolic",
          "M independent of e; E|M| finite; p_e bounded, continuous and positive at 0"),
    Claim("N2", "new", "The margin loss uses the cross-class feature too little: r_AT < r_acc", "symbolic",
          "equal noise; eps < eps0"),
    Claim("N3", "new", "b* = 1 - sqrt(pi) k (1 - r_acc) maximises joint accuracy, lies in (0, 1) and increases "
          "with k; above eps0 every smoothing that revives w2 lowers it", "symbolic", "smoothed margin; equal noise"),
)
