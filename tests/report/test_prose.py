"""Commands and options in our sentences are code, in every format; what a user named so stays text."""

from pathlib import Path
from types import ModuleType

from markupsafe import escape

from mtlbench.report import build
from mtlbench.report.page.page import _prose
from mtlbench.report.text import latex_prose, markdown_prose

SENTENCE = "More seeds (`--seeds 0,1,2`) or `mtlbench latency RESULTS` would say; a `x` of a_b <i> is a name's."


def test_commands_and_options_are_code_and_names_are_text():
    told = "More seeds (<code>--seeds 0,1,2</code>) or <code>mtlbench latency RESULTS</code> would say; "
    assert _prose(SENTENCE) == told + str(escape("a `x` of a_b <i> is a name's."))
    assert markdown_prose(SENTENCE) == (
        "More seeds (`--seeds 0,1,2`) or `mtlbench latency RESULTS` would say; a \\`x\\` of a\\_b &lt;i&gt; is a name's."
    )
    assert "\\texttt{{-}{-}seeds 0,1,2}" in latex_prose(SENTENCE)


def test_no_command_of_the_page_stands_in_raw_backticks(synthetic: ModuleType, tmp_path: Path, undrawn: None):
    build.write(synthetic.small(tmp_path, seeds=1))
    page = (tmp_path / "index.html").read_text().split("<script")[0]
    assert "`mtlbench" not in page and "`--" not in page
    assert "<code>--seeds 0,1,2</code>" in page
