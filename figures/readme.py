"""`python -m figures.readme` writes the README's tables from the lists and files they come from."""

import re
from pathlib import Path

from figures.real_run import DATA, summary
from figures.report import claims_table, markdown

__all__ = ["README", "filled"]

README = Path(__file__).parents[1] / "README.md"


def filled(text):
    """`text` with what stands between <!-- NAME --> and <!-- end NAME --> made anew."""
    tables = {"claims": claims_table(), "cifar10": markdown(summary(DATA))}
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end {name} -->)", re.DOTALL)
        text = pattern.sub(lambda found, table=table: found[1] + table + found[2], text)
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
