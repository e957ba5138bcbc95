"""`offhook serve` with the engines of `paced_engines` in the place of the scripted ones; nothing else differs.

python paced_service.py serve -c offhook.toml
"""

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.load.paced_engines import PacedEar, cached_voice  # noqa: E402

from offhook.cli import main  # noqa: E402
from offhook.service import wiring  # noqa: E402

if __name__ == "__main__":
    vars(wiring).update(ScriptedSynthesizer=cached_voice, ScriptedTranscriber=PacedEar)
    sys.exit(main())
