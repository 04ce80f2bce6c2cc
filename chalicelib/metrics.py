"""Metrics: what somebody may want to be woken for, counted by lines in CloudWatch's embedded metric format.

They stand among the log's lines, and CloudWatch makes metrics of them: no call, nothing to wait for. No dimension names
a person, a role or a request. Powertools' Metrics comes with its Logger: docs/decisions/0001 has the figures.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Daypass"


class Metric(StrEnum):
    """Each is a count, but for the times, in seconds. REFUSALS alone has a dimension: the refusal's slug."""

    BREAK_GLASS_OPENED = "BreakGlassOpened"
    DENY_WRITTEN = "DenyWritten"
    DENY_NOT_WRITTEN = "DenyNotWritten"
    DENY_NOT_SETTLED = "DenyNotSettled"  # every time that IAM or its revoker did not do what was due
    SESSIONS_ISSUED = "SessionsIssued"
    STS_REFUSED = "StsRefused"
    REVIEW_OVERDUE = "ReviewOverdue"
    EMERGENCY_QUEUED = "EmergencyQueued"  # the table is out, and somebody got in all the same
    EMERGENCY_SET_ASIDE = "EmergencySetAside"  # a message of the emergency queue that people have to look at
    REFUSALS = "Refusals"
    BYPASS_FOUND = "BypassFound"  # a managed role was used past Daypass
    SESSION_UNSEEN = "SessionUnseen"  # CloudTrail does not tell of a session that was lent
    TRAIL_FILE_SET_ASIDE = "TrailFileSetAside"
    ANNOUNCEMENT_FAILED = "AnnouncementFailed"
    LEDGER_FORGED = "LedgerForged"  # the copy of the ledger and its source say two things of one event
    LEDGER_DIGESTED = "LedgerDigested"  # a day by itself; an alarm wants one a day
    CATALOGUE_REFUSED = "CatalogueRefused"  # what lies in S3 is not believed
    CATALOGUE_NOT_SEEN = "CatalogueNotSeen"  # S3 or the table did not say what today's catalogue is
    CATALOGUE_DOUBTED = "CatalogueDoubted"  # so for too long: nothing is lent but in an emergency
    TIME_TO_APPROVE = "TimeToApprove"  # from asking to the approval that was lacking last
    TIME_TO_CREDENTIALS = "TimeToCredentials"  # from asking to the first session


_BY_THEMSELVES = {"sts-refused": Metric.STS_REFUSED, "review-overdue": Metric.REVIEW_OVERDUE}


def count(metric: Metric, **dimensions: str) -> None:
    with single_metric(name=metric.value, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as line:
        for name, value in dimensions.items():
            line.add_dimension(name=name, value=value)


def measure(metric: Metric, time: timedelta) -> None:
    single = single_metric(name=metric.value, unit=MetricUnit.Seconds, value=time.total_seconds(), namespace=NAMESPACE)
    with single:
        pass


def count_refusal(slug: str) -> None:
    """A refusal among its like; and those that people want an alarm on, by themselves."""
    count(Metric.REFUSALS, slug=slug)
    if slug in _BY_THEMSELVES:
        count(_BY_THEMSELVES[slug])
