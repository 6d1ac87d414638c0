"""The demo's six runs are a table of their own and cells of Table I, whose gaps are told."""

import csv
import sys
from pathlib import Path

FILTERS = ("non-local means", "total variation", "wavelets")
folder = Path(sys.argv[1]) / "report"


def numbers(pattern: str) -> Path:
    """The table's numbers, without the summary that lies beside them."""
    [path] = (path for path in folder.glob(pattern) if not path.stem.endswith("-summary"))
    return path


path = numbers("table1-*.csv")
with path.open(newline="", encoding="utf-8") as file:
    cells = list(csv.DictReader(file))
ours = [cell for cell in cells if cell["mean"]]
supervised = [cell for cell in ours if cell["group"] == "Sup."]
waiting = [cell for cell in cells if not cell["mean"] and cell["states"] == "not run"]
# three strategies at two noise levels in PSNR, SSIM and accuracy
if len(supervised) != 18 or not waiting:
    sys.exit(f"{path}: {len(supervised)} supervised numbers, 18 are needed; {len(waiting)} not run")
own = numbers("sweep-*.csv")
with own.open(newline="", encoding="utf-8") as file:
    swept = list(csv.DictReader(file))
strategies = [cell for cell in swept if cell["row"] in ("gradprom", "frozen", "joint")]
scores = [cell for cell in strategies if cell["metric"] in ("psnr", "ssim", "accuracy")]
if len(scores) != 18 or any(cell["n"] != "1" or cell["states"] for cell in scores):
    sys.exit(f"{own}: {len(scores)} scores of one run each, 18 are needed")
filters = [cell for cell in swept if cell["row"] in FILTERS and cell["mean"]]
bounds = [cell for cell in swept if cell["row"].startswith("recognizer on ") and cell["mean"]]
# three filters in PSNR and SSIM and two bounds of accuracy, at two noise levels
if len(filters) != 12 or len(bounds) != 4:
    sys.exit(f"{own}: {len(filters)} scores of filters, 12 are needed; {len(bounds)} bounds, 4 are")
if marked := [cell for cell in scores if cell["below_classical"] == "yes"]:
    sys.exit(f"{own}: {len(marked)} scores are not better than the best filter's")
for name in ("index.html", "tables.tex", "claims.md"):
    if not (folder / name).stat().st_size:
        sys.exit(f"{folder / name} is empty")
print(f"{path.name}: {len(supervised)} numbers of ours, {len(waiting)} cells not run")
