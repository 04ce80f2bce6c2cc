"""The log: JSON lines, one for each request, each with a constant name in the past tense and fields. Never a secret.

Powertools' Logger, for its import time: docs/decisions has the figures.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from aws_lambda_powertools import Logger


class _StandardOutput(logging.StreamHandler[TextIO]):
    """Where standard output leads when a line is written, not when this was imported: locally it leads to a file."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


log = Logger(service="daypass", log_uncaught_exceptions=False, logger_handler=_StandardOutput())

# At DEBUG, which Lambda's own log settings can switch on for all, these write down what they send and receive: botocore
# tokens and secret keys, slack_sdk response_urls, all of them people's texts, and pynamodb the salts that hide those.
for name in ("botocore", "pynamodb", "slack_sdk"):
    logging.getLogger(name).setLevel(logging.INFO)
