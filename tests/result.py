"""What one test came to."""

from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Result:
    name: str
    status: str
    output: str = ""  # of a failure what it printed, of a skip the reason
    seconds: float = 0.0
