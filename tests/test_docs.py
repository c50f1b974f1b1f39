"""The pages that `.ci/docs` makes: each docstring reads there as it does in the code."""

import ast
import html
import re

import pytest

from tests.conftest import imported
from tests.support.rooms import PACKAGES, ROOT

MARKS = re.compile(r"[*<]|^\s*>(?!>)", re.MULTILINE)  # what Markdown may take for its own


def documented(tree):
    """(name, docstring) of a module and of what its __all__ offers."""
    offered = [line.value.elts for line in tree.body
               if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__all__"]
    names = {name.value for elements in offered for name in elements}
    return [(getattr(node, "name", ""), ast.get_docstring(node))
            for node in (tree, *tree.body) if node is tree or getattr(node, "name", None) in names]


def changed(to_html, text):
    """Where the page's letters and signs part from the docstring's, both without blanks, code marks and bullets."""
    shown, written = (re.sub(r"[\s`\\-]", "", words) for words in
                      (html.unescape(re.sub(r"<[^>]+>", "", to_html(text))), text))
    return next(([a, b] for a, b in zip(shown + "\0", written + "\0", strict=False) if a != b), None)


@pytest.mark.slow
def test_a_docstring_reads_on_its_page_as_in_the_code():
    to_html = imported("pdoc.render_helpers").to_html
    assert changed(to_html, "w* and b* at k < 1") is None
    for lost in ("the files *.png of train/*.png", "data in val/<class>/images", "> 0 only beyond k"):
        assert changed(to_html, lost)
    wrong, seen = [], 0
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for name, text in documented(ast.parse(path.read_text())):
            assert text or name, f"{path} has no docstring"
            if text and MARKS.search(text):
                seen += 1
                wrong += [(str(path.relative_to(ROOT)), name)] * bool(changed(to_html, text))
    assert wrong == []
    assert seen > 100
