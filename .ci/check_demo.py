"""The demo restores: at least +11 dB over the degraded input at σ = 0.1 and +9 dB at 0.05.

That is 1 dB and 2 dB above non-local means.
"""

import sys
from pathlib import Path

from gradprom.runs.records import Study

NEEDED = {0.1: 11.0, 0.05: 9.0}

study = Path(sys.argv[1])
records = Study(study.parent, study.name).records()
for record in records:
    noise, scores = record.config["degradation"]["sigma"], record.metrics
    gain = scores["psnr"] - scores["degraded_psnr"]
    print(f"{' '.join(record.overrides):40} {gain:+.2f} dB in {record.duration:.0f} s")
    if gain < NEEDED[noise]:
        sys.exit(f"{record.id} gains {gain:.2f} dB; at least {NEEDED[noise]} dB are needed")
if len(records) != 6:
    sys.exit(f"{len(records)} records, 6 are needed")
print(f"the six runs took {sum(record.duration for record in records):.0f} s")
