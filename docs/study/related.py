"""Cell R: its records in one file, and Δ of every method by relatedness as a table.

python docs/study/related.py pack results/related results/related/records.tar.xz
python docs/study/related.py table results/related/records.tar.xz

The file leaves out the lines of kind "log" (the losses of every third step, most of a record), whose other lines are
sealed again without them, and what lies beside the records. `tar xf` gives a results folder that `mtlbench report` reads.
"""

import io
import sys
import tarfile
import tempfile
from pathlib import Path

from tabulate import tabulate

from mtlbench.records.reading import read_attempts
from mtlbench.records.sealing import PREFIX, Chain
from mtlbench.report.analysis.aggregate import mean
from mtlbench.report.analysis.merit import interval
from mtlbench.report.report import read

LOG = b'"kind":"log"'
SEAL = len(PREFIX) + len('89abcdef",')  # of a line


def pack(folder: Path, archive: Path) -> None:
    """Write every record of a results folder; the same records give the same file."""
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted((folder / "records").glob("*/record.jsonl")):
            lines = without_losses(path)
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = len(lines)
            tar.addfile(entry, io.BytesIO(lines))


def without_losses(path: Path) -> bytes:
    """A record's other lines, sealed; the record is whole, or RecordError says that it is not."""
    read_attempts(path.parent)
    chain, kept = Chain(), []
    for line in path.read_bytes().splitlines():
        if LOG not in line:
            kept.append(chain.seal(b"{" + line[SEAL:]))
            chain.add(kept[-1])
    return b"".join(line + b"\n" for line in kept)


def table(archive: Path) -> str:
    """Markdown: a row a method, a column a value, and by how much Δ rises from the first to the last."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        (found,) = read(Path(folder)).sweeps
        places = range(len(found.values))
        rows = [
            (x, *(interval(mean(found.series(x, i)), 1) for i in places), interval(found.rise(x), 1))
            for x in found.labels
        ]
    heads = ("method", f"relatedness {found.values[0]:g}", *(f"{v:g}" for v in found.values[1:]), "rise")
    return tabulate(
        rows, heads, tablefmt="pipe", disable_numparse=True, colalign=("left", *["right"] * (len(heads) - 1))
    )


if __name__ == "__main__":
    if sys.argv[1] == "pack":
        pack(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(table(Path(sys.argv[2])))
