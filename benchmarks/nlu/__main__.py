"""`python benchmarks/nlu`: the folder of the benchmarks becomes the one that imports are relative to."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from nlu.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
