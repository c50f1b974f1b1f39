"""A digest of every derivation's steps.

`python -m tests.support.digests` writes derivations.txt anew, after a change that is meant.

A line: claim, steps, how many only restate, and a hash of all that is stated, as the sympy of the first line prints it.
"""

import hashlib
from pathlib import Path

import sympy

FILE = Path(__file__).with_name("derivations.txt")


def digest(derivation):
    """`CLAIM STEPS RESTATED HASH` of sentences, sides, relations, cases, intervals, carriers and results."""
    stated = [f"{step.text}|{step.lhs}|{step.relation}|{step.rhs}"
              f"|{[sorted(map(str, case.items())) for case in step.cases]}|{step.on}" for step in derivation.steps]
    stated += [*derivation.carried_by, *(f"{name}={value}" for name, value in sorted(derivation.results.items()))]
    found = hashlib.sha256("\n".join(stated).encode()).hexdigest()[:16]
    return f"{derivation.claim} {len(derivation.steps)} {sum(step.restated for step in derivation.steps)} {found}"


if __name__ == "__main__":
    from synthmodel.symbolic import CLAIMS, derive
    lines = [f"sympy {sympy.__version__}", *(digest(derive(claim)) for claim in sorted(CLAIMS))]
    FILE.write_text("\n".join(lines) + "\n")
