"""What is packaged: Chalice's template with infra/outbox.json in it, as `make package` merges them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from chalice.awsclient import TypedAWSClient
from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.deploy import models
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.deployer import BuildStage, InjectDefaults, PolicyGenerator, SwaggerBuilder
from chalice.deploy.swagger import CFNSwaggerGenerator
from chalice.package import PackageOptions, ResourceBuilder, SAMTemplateGenerator, TemplateDeepMerger
from chalice.policy import AppPolicyGenerator
from chalice.utils import OSUtils

from chalicelib.outbox import digesting
from chalicelib.outbox.posting import LEASE, WITHIN
from chalicelib.settings import Settings
from tests import cloudformation
from tests.outbox.newsroom import Newsroom
from tests.people import CAROL

ROOT = Path(__file__).resolve().parents[1]
OUTBOX = json.loads((ROOT / "infra" / "outbox.json").read_text("utf-8"))
STAGES = ("dev", "prod")
READERS = {
    "Announce": "AnnounceDynamodbEventSource", "Copy": "CopyDynamodbEventSource", "Post": "PostDynamodbEventSource",
}  # fmt: skip
LONGEST = {"Announce": 6, "Post": 6, "Copy": 24}
"""Hours: the copy goes on trying for as long as the stream keeps its records."""


class Unzipped:
    """In the place of the step that fetches the dependencies: the zip's contents are not what this is about."""

    def handle(self, config: Config, resource: Any) -> None:
        if isinstance(resource, models.DeploymentPackage):
            resource.filename = "deployment.zip"


@cache
def template(stage: str) -> dict[str, Any]:
    factory: Any = CLIFactory(str(ROOT), environ={"AWS_DEFAULT_REGION": "us-east-1"})
    config = factory.create_config_obj(stage)
    osutils = OSUtils()
    steps: Any = [
        InjectDefaults(),
        Unzipped(),
        PolicyGenerator(policy_gen=AppPolicyGenerator(osutils=osutils), osutils=osutils),
        SwaggerBuilder(swagger_generator=CFNSwaggerGenerator()),
    ]
    builder = ResourceBuilder(ApplicationGraphBuilder(), DependencyBuilder(), BuildStage(steps))
    session = botocore.session.get_session()
    session.set_config_variable("region", "us-east-1")
    generator = SAMTemplateGenerator(config, PackageOptions(TypedAWSClient(session)))
    packaged = generator.generate(builder.construct_resources(config, stage))
    merged: dict[str, Any] = TemplateDeepMerger().merge(OUTBOX, packaged)
    return merged


def source(stage: str, reader: str) -> dict[str, Any]:
    found: dict[str, Any] = template(stage)["Resources"][reader]["Properties"]["Events"][READERS[reader]]
    return found


def named(part: Any) -> Iterator[str]:
    """Everything that a part of a template refers to."""
    if isinstance(part, list):
        for each in part:
            yield from named(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "Ref":
                yield value
            elif name == "Fn::GetAtt":
                yield value[0]
            elif name == "Fn::If":
                yield value[0]
                yield from named(value[1:])
            else:
                yield from named(value)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("reader", READERS)
def test_the_stream_is_read_from_its_beginning_for_a_bounded_time_and_then_put_aside(stage: str, reader: str) -> None:
    read = source(stage, reader)
    assert read["Type"] == "DynamoDB"
    properties = read["Properties"]
    assert properties["Stream"] == {"Ref": "TableStream"}
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["BisectBatchOnFunctionError"] is True
    assert properties["MaximumRecordAgeInSeconds"] == LONGEST[reader] * 3600
    assert properties["MaximumRetryAttempts"] == 10_000
    assert properties["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
    }
    assert "ParallelizationFactor" not in properties  # more than one would lose the order of a request's lines


def test_the_app_and_the_template_agree_on_the_size_of_a_batch() -> None:
    import app

    sizes = {each.name.title(): each.batch_size for each in app.app.event_sources if hasattr(each, "batch_size")}
    assert sizes == {reader: source("prod", reader)["Properties"]["BatchSize"] for reader in READERS}


def matches(pattern: Any, value: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(matches(each, value.get(name)) for name, each in pattern.items())
    return any(value.startswith(each["prefix"]) if isinstance(each, dict) else value == each for each in pattern)


def test_the_copy_is_woken_for_whatever_happens_to_an_event() -> None:
    [chosen] = source("prod", "Copy")["Properties"]["FilterCriteria"]["Filters"]
    pattern = json.loads(chosen["Pattern"])
    room = Newsroom()
    room.stage.asked(CAROL)
    [record] = room.stream()
    assert all(matches(pattern, {**record, "eventName": name}) for name in ("INSERT", "MODIFY", "REMOVE"))
    record["dynamodb"]["Keys"]["sk"] = {"S": "request"}
    assert not matches(pattern, record)


@pytest.mark.parametrize("reader", ["Announce", "Post"])
def test_lambda_is_woken_for_new_events_only(reader: str) -> None:
    [chosen] = source("prod", reader)["Properties"]["FilterCriteria"]["Filters"]
    pattern = json.loads(chosen["Pattern"])
    room = Newsroom()
    room.stage.asked(CAROL)
    [record] = room.stream()
    assert matches(pattern, record)
    assert not matches(pattern, {**record, "eventName": "MODIFY"})
    record["dynamodb"]["NewImage"]["kind"] = {"S": "message"}
    assert not matches(pattern, record)


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_is_named_is_there(stage: str) -> None:
    whole = template(stage)
    there = {*whole["Resources"], *whole["Parameters"], *whole["Conditions"]}
    ours = {name: whole["Resources"][name] for name in OUTBOX["Resources"]}
    missing = {name for name in named(ours) if not name.startswith("AWS::")} - there
    assert missing == set()
    assert all("Type" in resource for resource in whole["Resources"].values())


@pytest.mark.parametrize("stage", STAGES)
def test_the_api_writes_no_bodies_down_and_is_named_as_its_alarms_say(stage: str) -> None:
    api = template(stage)["Resources"]["RestAPI"]["Properties"]
    [settings] = api["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert (settings["DataTraceEnabled"], settings["LoggingLevel"]) == (False, "OFF")
    assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"]
    assert (api["DefinitionBody"]["info"]["title"], api["StageName"]) == ("daypass", "api")


@pytest.mark.parametrize("stage", STAGES)
def test_what_comes_from_outside_and_what_comes_from_inside_go_to_different_functions(stage: str) -> None:
    whole = template(stage)["Resources"]
    functions = {name for name, each in whole.items() if each["Type"] == "AWS::Serverless::Function"}
    assert "Events" not in whole["APIHandler"]["Properties"]
    permissions = [each["Properties"] for each in whole.values() if each["Type"] == "AWS::Lambda::Permission"]
    assert [each["FunctionName"] for each in permissions] == [{"Ref": "APIHandler"}]
    assert permissions[0]["Principal"] == "apigateway.amazonaws.com"
    assert "${RestAPIId}" in permissions[0]["SourceArn"]["Fn::Sub"][0]
    for name in functions - {"APIHandler"}:
        events = whole[name]["Properties"].get("Events", {}).values()
        assert {each["Type"] for each in events} <= {"Schedule", "DynamoDB", "SQS"}


@pytest.mark.parametrize("stage", STAGES)
def test_no_text_names_what_is_not_there(stage: str) -> None:
    """Chalice 1.34 names the log group of the API's function after `ApiHandler`, which it calls `APIHandler`."""
    whole = template(stage)
    texts = re.findall(r'"Fn::Sub": "([^"]+)"', json.dumps(whole["Resources"]))
    names = {name for text in texts for name in re.findall(r"\$\{([A-Za-z0-9]+)[.}]", text)}
    assert names
    assert names <= {*whole["Resources"], *whole["Parameters"]}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("function", ["Announce", "Post", "Remind"])
def test_what_announces_can_neither_lend_nor_revoke(stage: str, function: str) -> None:
    whole = template(stage)["Resources"]
    own = whole[f"{function}Role"]["Properties"]["Policies"]
    added = whole[f"{function}Policy"]["Properties"]
    assert added["Roles"] == [{"Ref": f"{function}Role"}]
    allowed = set(actions([own, added]))
    assert not {action for action in allowed if action.startswith(("sts:", "iam:"))}
    assert "dynamodb:UpdateItem" not in allowed
    assert {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"} <= allowed


@pytest.mark.parametrize("stage", STAGES)
def test_what_copies_can_write_to_the_copy_and_touch_no_table(stage: str) -> None:
    whole = template(stage)["Resources"]
    own, added = whole["CopyRole"]["Properties"]["Policies"], whole["CopyPolicy"]["Properties"]
    allowed = set(actions([own, added]))
    assert {"s3:PutObject", "s3:GetObject"} <= allowed
    assert not {action for action in allowed if action.startswith(("sts:", "iam:", "s3:Delete", "s3:Bypass"))}
    assert {action for action in allowed if action.startswith("dynamodb:")} == {
        "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams",
    }  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_what_digests_can_sign_and_write_digests_and_nothing_else(stage: str) -> None:
    whole = template(stage)["Resources"]
    added = whole["DigestPolicy"]["Properties"]
    assert added["Roles"] == [{"Ref": "DigestRole"}]
    assert set(actions(added)) == {
        "dynamodb:Query", "kms:Sign", "kms:Verify", "s3:GetObjectVersion", "s3:ListBucketVersions", "s3:PutObject",
    }  # fmt: skip
    assert whole["Digest"]["Properties"]["Timeout"] > digesting.WITHIN.total_seconds()
    variables = set(whole["Digest"]["Properties"]["Environment"]["Variables"])
    assert variables == {
        "DAYPASS_TABLE", "DAYPASS_CATALOGUE", "DAYPASS_HUB_ACCOUNT", "DAYPASS_LEDGER_COPY", "DAYPASS_DIGEST_KEY",
    }  # fmt: skip


@pytest.mark.parametrize("function", ["Post", "Remind"])
def test_what_tells_slack_may_read_the_token_wherever_it_is_kept(function: str) -> None:
    added = template("prod")["Resources"][f"{function}Policy"]
    assert {"secretsmanager:GetSecretValue", "ssm:GetParameter"} <= set(actions(added))


def actions(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from actions(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "Action" and part.get("Effect") == "Allow":
                yield from [value] if isinstance(value, str) else value
            else:
                yield from actions(value)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("function", ["APIHandler", "Sweep", "Forget"])
def test_what_lends_is_the_hubs_broker_and_has_no_role_of_the_packages(stage: str, function: str) -> None:
    whole = template(stage)["Resources"]
    assert whole[function]["Properties"]["Role"] == {"Ref": "BrokerRole"}
    roles = {name for name, each in whole.items() if each["Type"] == "AWS::IAM::Role"}
    assert "DefaultRole" not in roles
    assert not {f"{function}Role"} & roles
    iam = [each["Properties"] for each in whole.values() if each["Type"].startswith("AWS::IAM::")]
    allowed = set(actions([{**each, "AssumeRolePolicyDocument": {}} for each in iam]))
    assert not {action for action in allowed if action.startswith(("sts:", "iam:"))}


def test_every_alarm_of_the_package_tells_the_topic_that_is_named() -> None:
    alarms = [each for each in template("prod")["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) >= 5
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    assert all(each["Properties"]["AlarmActions"] == told for each in alarms)


@pytest.mark.parametrize("stage", STAGES)
def test_every_function_knows_the_account_that_it_is_in(stage: str) -> None:
    resources = template(stage)["Resources"].items()
    functions = {name: each for name, each in resources if each["Type"] == "AWS::Serverless::Function"}
    assert len(functions) == 10
    for name, function in functions.items():
        variables = function["Properties"]["Environment"]["Variables"]
        assert variables["DAYPASS_HUB_ACCOUNT"] == {"Ref": "AWS::AccountId"}, name


def test_the_settings_of_what_lends_come_from_the_hubs_outputs() -> None:
    outputs = cloudformation.template("hub.yaml")["Outputs"]
    parameters = template("prod")["Parameters"]
    assert {"BrokerRole", "TableStream", "EmergencyQueue", "EmergencyKey", "SlackSigningSecret"} <= parameters.keys()
    assert parameters.keys() - outputs.keys() <= {
        "AlarmTopic",
        "ApiId",
        "CatalogueObject",
        "OrganizationId",
        "Retain",
        "TrailBucket",
        "TrailKey",
    }
    for function, doors in (("APIHandler", True), ("Sweep", False)):
        variables = template("prod")["Resources"][function]["Properties"]["Environment"]["Variables"]
        known = {name.removeprefix("DAYPASS_").lower() for name in variables if name.startswith("DAYPASS_")}
        assert known <= Settings.model_fields.keys()
        assert {"emergency_queue", "emergency_key"} <= known
        assert ({"slack_signing_secret", "slack_bot_token", "api_id", "organization_id", "stage"} <= known) is doors
        assert variables["DAYPASS_HUB_ACCOUNT"] == {"Ref": "AWS::AccountId"}
        assert variables["DAYPASS_TABLE"] == "daypass-prod"


@pytest.mark.parametrize("function", ["Announce", "Copy", "Post", "Remind"])
def test_what_announces_has_time_and_the_settings_it_reads(function: str) -> None:
    properties = template("prod")["Resources"][function]["Properties"]
    assert WITHIN.total_seconds() < properties["Timeout"] < LEASE.total_seconds()
    wanted = {
        "Announce": {"DAYPASS_EVENT_BUS", "DAYPASS_BREAK_GLASS_TOPIC", "DAYPASS_DEAD_LETTERS"},
        "Post": {"DAYPASS_SLACK_BOT_TOKEN", "DAYPASS_DEAD_LETTERS", "DAYPASS_TRAIL"},
        "Copy": {"DAYPASS_LEDGER_COPY", "DAYPASS_DEAD_LETTERS"},
        "Remind": {"DAYPASS_SLACK_BOT_TOKEN"},
    }
    variables = set(properties["Environment"]["Variables"])
    assert variables - wanted[function] == {"DAYPASS_TABLE", "DAYPASS_CATALOGUE", "DAYPASS_HUB_ACCOUNT"}
    assert wanted[function] <= variables


@pytest.mark.parametrize("stage", STAGES)
def test_cloudtrails_files_come_by_a_queue_that_the_bucket_tells_and_are_given_up_to_another(stage: str) -> None:
    whole = template(stage)["Resources"]
    function, queue = whole["Trail"]["Properties"], whole["TrailFiles"]["Properties"]
    [read] = function["Events"].values()
    assert read["Properties"]["Queue"] == {"Fn::GetAtt": ["TrailFiles", "Arn"]}
    assert read["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]  # as Lambda's page on SQS has it
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["UnreadTrailFiles", "Arn"]}
    assert "DAYPASS_TRAIL" in whole["Balance"]["Properties"]["Environment"]["Variables"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("function", ["Trail", "Balance"])
def test_what_reads_cloudtrail_can_neither_lend_nor_write_a_request(stage: str, function: str) -> None:
    whole = template(stage)["Resources"]
    own = whole[f"{function}Role"]["Properties"]["Policies"]
    added = whole[f"{function}Policy"]["Properties"]
    assert added["Roles"] == [{"Ref": f"{function}Role"}]
    assert not {action for action in actions([own, added]) if action.startswith(("sts:", "iam:", "secretsmanager:"))}
    writes = [
        statement
        for statement in added["PolicyDocument"]["Statement"]
        if any("Put" in each or "Update" in each or "Write" in each for each in statement.get("Action", []))
    ]
    keys = [each["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] for each in writes]
    assert keys == [{"Trail": ["trail#*"], "Balance": ["trail#*", "chain#*", "once#*"]}[function]]


def test_make_package_merges_it() -> None:
    assert "--merge-template infra/outbox.json" in (ROOT / "Makefile").read_text("utf-8")
