"""infra/observability.yaml: it watches what is emitted, and somebody else's signature wakes people up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.metrics import NAMESPACE, Metric
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from tests.cloudformation import ROOT, Stack
from tests.infra.conftest import Deploy
from tests.infra.events import matches
from tests.local.accounts import as_root

BROKER = f"arn:aws:iam::{HUB_ACCOUNT}:role/daypass-prod-broker"
KEY = f"arn:aws:kms:us-east-1:{HUB_ACCOUNT}:key/0d5d9c2e-1f7a-4a53-9c0b-5a7f6c1e2d3b"
GIVEN = {
    "Notify": "oncall@example.com",
    "BrokerRole": BROKER,
    "ProviderKeys": KEY,
    "APIHandlerName": "daypass-prod-api-APIHandler",
    "AnnounceName": "daypass-prod-api-Announce",
    "PostName": "daypass-prod-api-Post",
}
OURS = Stack("observability.yaml", HUB_ACCOUNT, **GIVEN).resources
ALARMS = {name: each for name, each in OURS.items() if "MetricName" in each}
# What Daypass counts and somebody should hear of. Queues, bypasses and forgeries have theirs in infra/outbox.json.
BAD = {
    Metric.ANNOUNCEMENT_FAILED,
    Metric.BREAK_GLASS_OPENED,
    Metric.DENY_NOT_SETTLED,
    Metric.DENY_NOT_WRITTEN,
    Metric.EMERGENCY_QUEUED,
    Metric.EMERGENCY_SET_ASIDE,
    Metric.REVIEW_OVERDUE,
    Metric.STS_REFUSED,
}


def widgets() -> list[dict[str, Any]]:
    body: dict[str, Any] = json.loads(OURS["Dashboard"]["DashboardBody"])
    return [widget["properties"] for widget in body["widgets"]]


def test_what_is_bad_has_an_alarm_and_no_alarm_waits_for_what_nobody_emits():
    package = json.loads((ROOT / "infra" / "outbox.json").read_text("utf-8"))["Resources"]
    watched = [*ALARMS.values(), *(each.get("Properties", {}) for each in package.values())]
    ours = {each["MetricName"] for each in watched if each.get("Namespace") == NAMESPACE}
    assert ours <= {metric.value for metric in Metric}
    assert {each["MetricName"] for each in ALARMS.values() if each["Namespace"] == NAMESPACE} == BAD


def test_no_alarm_is_one_of_the_packages_too():
    package = json.loads((ROOT / "infra" / "outbox.json").read_text("utf-8"))["Resources"].values()
    theirs = {each["Properties"]["MetricName"] for each in package if each.get("Type") == "AWS::CloudWatch::Alarm"}
    assert not theirs & {each["MetricName"] for each in ALARMS.values()}


def test_every_alarm_tells_somebody_and_none_of_them_rings_for_silence():
    assert len(ALARMS) > 10
    for name, alarm in ALARMS.items():
        assert alarm["AlarmActions"] == ["Alarms"], name
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert alarm["AlarmDescription"], name


def test_the_dashboard_shows_what_is_emitted():
    shown = {row[1] for widget in widgets() for row in widget["metrics"] if row[0] == NAMESPACE}
    assert shown <= {metric.value for metric in Metric}
    assert {"SessionsIssued", "TimeToApprove", "TimeToCredentials", "BreakGlassOpened", "DenyNotWritten"} <= shown
    searches = [row[0]["expression"] for widget in widgets() for row in widget["metrics"] if isinstance(row[0], dict)]
    assert searches == ["SEARCH('{Daypass,slug} MetricName=\"Refusals\"', 'Sum', 300)"]


def test_it_is_made_on_the_embedded_aws(embedded_aws: EmbeddedAws, deploy: Deploy):
    deploy("observability.yaml", HUB_ACCOUNT, "daypass-observability", **GIVEN)
    cloudwatch = as_root("cloudwatch", embedded_aws.url, HUB_ACCOUNT)
    made = {each["MetricName"] for each in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert {each["MetricName"] for each in ALARMS.values()} <= made
    body = cloudwatch.get_dashboard(DashboardName="daypass-prod")["DashboardBody"]
    assert json.loads(body)["widgets"]


def signed(by: dict[str, Any], key: str = KEY, name: str = "Sign") -> dict[str, Any]:
    return {"source": "aws.kms", "detail": {"eventName": name, "userIdentity": by, "resources": [{"ARN": key}]}}


def session(arn: str) -> dict[str, Any]:
    return {"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"arn": arn}}}


@pytest.mark.parametrize(
    ("event", "wakes"),
    [
        (signed(session(BROKER)), False),
        (signed(session(f"{BROKER}-too")), True),
        (signed({"type": "IAMUser", "arn": f"arn:aws:iam::{HUB_ACCOUNT}:user/mallory"}), True),
        (signed({"type": "Root"}), True),
        (signed(session(f"{BROKER}-too"), key=KEY.replace("0d5d", "1111")), False),
        (signed(session(f"{BROKER}-too"), name="GetPublicKey"), False),
    ],
    ids=["the broker", "another role", "a user", "root", "another key", "reading the public key"],
)
def test_a_signature_of_anybody_but_the_broker_is_told(event, wakes):
    rule = OURS["SomebodyElseSigns"]
    assert matches(rule["EventPattern"], event) is wakes
    assert rule["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
    assert rule["Targets"] == [{"Id": "alarms", "Arn": "Alarms"}]
