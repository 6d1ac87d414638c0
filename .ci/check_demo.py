"""The demo restores: at least +11 dB over the degraded input at σ = 0.1 and +9 dB at 0.05.

That is 1 dB and 2 dB above non-local means, one of the filters that ran beside it.
"""

import sys
from pathlib import Path

from gradprom.runs.records import Study

NEEDED = {0.1: 11.0, 0.05: 9.0}

study = Path(sys.argv[1])
records = Study(study.parent, study.name).records()
filters = [record for record in records if record.config["method"]["name"] == "classical"]
trained = [record for record in records if record not in filters]
for record in trained:
    noise, scores = record.config["degradation"]["sigma"], record.metrics
    gain = scores["psnr"] - scores["degraded_psnr"]
    print(f"{' '.join(record.overrides):40} {gain:+.2f} dB in {record.duration:.0f} s")
    if gain < NEEDED[noise]:
        sys.exit(f"{record.id} gains {gain:.2f} dB; at least {NEEDED[noise]} dB are needed")
if len(trained) != 6 or len(filters) != 6:
    sys.exit(f"{len(trained)} trained runs and {len(filters)} filters, 6 of each are needed")
for kind, runs in (("six runs", trained), ("six filters", filters)):
    print(f"the {kind} took {sum(record.duration for record in runs):.0f} s")
