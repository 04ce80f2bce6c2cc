"""The log: JSON lines, one for each request, each with a constant name in the past tense and fields. Never a secret.

Powertools' Logger, for its import time: docs/decisions has the figures.
"""

from aws_lambda_powertools import Logger

log = Logger(service="daypass", log_uncaught_exceptions=False)
