"""infra/issuer.yaml: the provider's documents are where STS looks for them, and nobody else writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.core.provider import Provider, ProviderKey
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.operator.documents import DISCOVERY, JWKS
from daypass.operator.places import _CACHE, Bucket
from daypass.operator.publishing import publish
from tests.builders import NOW
from tests.cloudformation import Stack
from tests.infra.conftest import Deploy
from tests.local.accounts import as_root

PUBLISHERS = f"arn:aws:iam::{HUB_ACCOUNT}:role/DaypassOperators"
GIVEN = {
    "HostName": "id.example.com",
    "Certificate": f"arn:aws:acm:us-east-1:{HUB_ACCOUNT}:certificate/00000000-0000-4000-8000-000000000000",
    "Publishers": PUBLISHERS,
}


def resolved(**more: str) -> dict[str, Any]:
    return Stack("issuer.yaml", HUB_ACCOUNT, **GIVEN, **more).resources


def test_what_is_published_to_its_bucket_is_found_under_the_issuers_own_path(embedded_aws: EmbeddedAws, deploy: Deploy):
    # The embedded root signs as nobody that ministack's bucket policies would take for the publisher.
    operators = f"arn:aws:iam::{HUB_ACCOUNT}:root"
    outputs = deploy("issuer.yaml", HUB_ACCOUNT, "daypass-issuer", **{**GIVEN, "Publishers": operators})
    kms = example.kms_of_the_hub(embedded_aws.url)
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    provider = Provider("https://id.example.com/daypass", (ProviderKey(key, NOW),))
    s3 = as_root("s3", embedded_aws.url, HUB_ACCOUNT)
    publish(provider, Bucket(s3, outputs["Bucket"], "daypass"), lambda region: kms, NOW)
    found = json.loads(s3.get_object(Bucket=outputs["Bucket"], Key=f"daypass/{DISCOVERY}")["Body"].read())
    assert found["issuer"] == provider.issuer
    assert found["jwks_uri"] == f"{provider.issuer}/{JWKS}"
    # CloudFront asks the bucket for the path as it is: nothing is put before it.
    origin = resolved()["Distribution"]["DistributionConfig"]["Origins"][0]
    assert "OriginPath" not in origin


def test_the_bucket_is_read_by_this_distribution_and_written_by_publishers_only():
    ours = resolved()
    policy = {each["Sid"]: each for each in ours["DocumentsPolicy"]["PolicyDocument"]["Statement"]}
    reads = policy["CloudFrontReads"]
    assert [each for each in policy.values() if each["Effect"] == "Allow"] == [reads]
    assert reads["Action"] == "s3:GetObject"
    assert reads["Condition"] == {
        "StringEquals": {"aws:SourceArn": f"arn:aws:cloudfront::{HUB_ACCOUNT}:distribution/Distribution"}
    }
    assert policy["NobodyElsePublishes"]["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": PUBLISHERS}}
    assert set(ours["Documents"]["PublicAccessBlockConfiguration"].values()) == {True}


def test_a_key_that_was_published_is_seen_long_before_it_signs():
    times = resolved()["FiveMinutes"]["CachePolicyConfig"]
    longest = max(times["MinTTL"], times["DefaultTTL"], times["MaxTTL"])
    assert f"max-age={longest}" in _CACHE


def test_it_is_served_over_tls_only_and_by_its_own_name():
    distribution = resolved()["Distribution"]["DistributionConfig"]
    assert distribution["Aliases"] == ["id.example.com"]
    assert distribution["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "https-only"
    assert distribution["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"


@pytest.mark.parametrize(("zone", "named"), [("", False), ("Z0123456789ABC", True)])
def test_the_name_is_made_where_its_zone_is_told(zone, named):
    assert ("Name" in resolved(HostedZone=zone)) is named
