"""``python -m gradstep`` is the command ``gradstep``."""

import sys

from gradstep.cli import main

sys.exit(main())
