"""`mtlbench check`."""

import pytest

from tests.helpers.command import BRANCHES, DISCS, refused, run

WRONG = [
    (["check"], "check needs one of METHOD, --dataset and --kind"),
    (["check", "--dataset", "scense"], "unknown data set 'scense'; did you mean 'scenes'?"),
    (["check", "sluce"], "unknown method 'sluce'; did you mean 'sluice'?"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


@pytest.mark.slow
def test_check_passes_what_keeps_the_contract(capsys):
    for arguments in ([BRANCHES], ["--dataset", DISCS, "--set", "discs.images=24"]):
        code, out, _ = run(capsys, "check", *arguments)
        assert code == 0, out
        count = out.splitlines()[-1].split()[0]
        assert out.splitlines()[-1] == f"{count} of {count} checks passed"
        assert int(count) >= 5


def test_check_names_what_breaks_it(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from baselines.hard_sharing import HardSharing\nclass Mine(HardSharing):\n    name = 'mine'\n"
        "    def forward(self, x, tasks):\n        return super().forward(x, [t.name for t in self.tasks])\n"
    )
    code, out, _ = run(capsys, "check", "mine.py:Mine")
    assert code == 1
    assert "FAILED" in out
