"""`python -m neox_core` is `neox`."""

import sys

from neox_core.cli.main import main

sys.exit(main())
