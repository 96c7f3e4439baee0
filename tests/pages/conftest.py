"""The site's own code is beside ``src`` and ``tests``: nobody installs it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
