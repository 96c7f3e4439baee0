"""Results as JSON for other programs."""

import json
import math
from typing import Any


def to_json(content: Any) -> str:
    """JSON on one line, with null for what is not finite."""

    def clean(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: clean(value) for key, value in x.items()}
        if isinstance(x, list | tuple):
            return [clean(value) for value in x]
        return None if isinstance(x, float) and not math.isfinite(x) else x

    return json.dumps(clean(content), allow_nan=False)
