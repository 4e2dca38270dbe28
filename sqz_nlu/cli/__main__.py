"""`python -m sqz_nlu.cli`."""

import sys

from sqz_nlu.cli import main

sys.exit(main())
