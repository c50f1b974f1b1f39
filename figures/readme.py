"""`python -m figures.readme` writes the README's tables from the lists and files they come from."""

import csv
import re
from pathlib import Path

from figures.real_run import DATA, summary
from figures.report import claims_table, markdown

__all__ = ["README", "filled"]

README = Path(__file__).parents[1] / "README.md"


def filled(text):
    """`text` with what stands between <!-- NAME --> and <!-- end NAME --> made anew; ValueError without the marks."""
    with open(DATA.with_name("statements.csv"), newline="") as file:  # synthmodel table --csv
        statements = markdown(list(csv.DictReader(file)))
    tables = {"claims": claims_table(), "statements": statements} | {
        name: markdown(summary(DATA.with_name(f"{name}.json"))) for name in ("cifar10", "cifar10-crops")}
    for name, table in tables.items():
        text, found = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)",
                              lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"the README has {found} places for the table {name}, but needs one: mark it with "
                             f"<!-- {name} --> and <!-- end {name} -->.")
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
