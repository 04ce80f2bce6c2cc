"""The log: JSON lines, one for each request, each with a constant name in the past tense and fields. Never a secret.

Powertools' Logger, for its import time: docs/decisions has the figures.
"""

import logging

from aws_lambda_powertools import Logger

log = Logger(service="daypass", log_uncaught_exceptions=False)

# At DEBUG, which Lambda's own log settings can switch on for all, botocore writes down bodies: tokens and secret keys.
logging.getLogger("botocore").setLevel(logging.INFO)
