"""Describe the failures that a test can switch on."""

import re
from dataclasses import dataclass

from github_fake.web import Answer

ANSWERS = {
    "forbidden": Answer(403, {"message": "Resource not accessible by integration"}),
    "not found": Answer(404, {"message": "Not Found"}),
    "bad gateway": Answer(502, {"message": "Server Error"}),
    "rate limited": Answer(429, {"message": "API rate limit exceeded"}, {"Retry-After": "1"}),
}


@dataclass
class Fault:
    """Hold a failure that a test switched on."""

    answer: Answer
    method: str | None
    pattern: re.Pattern[str]
    times: int | None

    def hits(self, method: str, path: str) -> bool:
        """Tell whether this call fails, and count it."""
        if self.method not in (None, method) or not self.pattern.search(path) or self.times == 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True
