"""`daypass check` and `daypass issuer publish`, as they are typed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.core.times import stamp
from daypass import elsewhere
from daypass.local import example
from daypass.local.embedded_aws import HUB_ACCOUNT
from daypass.operator.commands import in_aws_words
from daypass.operator.documents import JWKS
from tests.stage import EXAMPLE

HUB = ["--hub-account", HUB_ACCOUNT, "--local"]


class TestCheck:
    def test_a_good_catalogue_is_fine(self, run, catalogue):
        code, out, err = run("check", catalogue(), *HUB)
        assert (code, err) == (0, "")
        assert out.startswith("5 roles, 6 rules, 4 tests. Digest ")

    def test_every_mistake_is_told_with_its_place(self, run, catalogue):
        path = catalogue(
            ("http://127.0.0.1:8000/local/issuers/provider", "https://a1.execute-api.eu-west-1.amazonaws.com/api"),
            ('account = "sandbox"', 'account = "sandpit"'),
        )
        code, out, _ = run("check", path, *HUB)
        assert code == 1
        assert "provider.issuer: is API Gateway's name for an API: it goes when the API goes" in out
        assert "roles.sandbox-admin.account: there is no account 'sandpit'" in out
        assert out.endswith("Refused: 2 mistakes.\n")

    @pytest.mark.parametrize(
        ("expect", "becomes", "told"),
        [
            ('"auto-approved"', '"needs-approval"', "tests[0]: alice@example.com asks for sandbox-admin, 8 h"),
            ('"needs-approval"', '"break-glass"', "break-glass expected, too-long: 4 h asked, 1 h in an emergency"),
            ('"needs-approval"', '"not-eligible"', "not-eligible expected, needs-approval: Rule 'sre administer"),
            (
                '"sandbox-admin", duration = "8h"',
                '"sandbox-admin", duration = "9h"',
                "auto-approved expected, too-long: 9 h asked, 8 h allowed by",
            ),
        ],
    )
    def test_a_test_that_fails_says_what_would_be(self, run, catalogue, expect, becomes, told):
        code, out, _ = run("check", catalogue((expect, becomes)), *HUB)
        assert code == 1
        assert told in out
        assert "4 tests, 1 failing" in out

    def test_breaking_the_glass_is_asked_for_where_it_is_expected(self, run, catalogue):
        path = catalogue(('duration = "4h" }\nexpect = "needs-approval"', 'duration = "1h" }\nexpect = "break-glass"'))
        assert run("check", path, *HUB)[0] == 0

    def test_programs_are_told_the_same(self, run, catalogue):
        code, out, _ = run("check", catalogue(('"auto-approved"', '"needs-approval"')), *HUB, "--json")
        told = json.loads(out)
        assert (code, told["ok"], told["mistakes"]) == (1, False, [])
        assert [test["passed"] for test in told["tests"]] == [False, True, True, True]
        code, out, _ = run("check", catalogue(('account = "sandbox"', 'account = "sandpit"')), *HUB, "--json")
        told = json.loads(out)
        assert (code, told["catalogue_digest"], told["tests"]) == (1, None, [])
        assert told["mistakes"] == [
            {"place": "roles.sandbox-admin.account", "message": "there is no account 'sandpit'"}
        ]

    def test_without_the_flag_an_issuer_on_this_machine_is_a_mistake(self, run, catalogue):
        code, out, _ = run("check", catalogue(), "--hub-account", HUB_ACCOUNT)
        assert code == 1
        assert out.count("is for `daypass local` on this machine") == 3

    def test_the_hub_account_comes_from_the_environment_too(self, run, catalogue, monkeypatch):
        monkeypatch.delenv("DAYPASS_HUB_ACCOUNT", raising=False)
        code, _, err = run("check", catalogue(), "--local")
        assert (code, "DAYPASS_HUB_ACCOUNT" in err) == (1, True)
        monkeypatch.setenv("DAYPASS_HUB_ACCOUNT", HUB_ACCOUNT)
        assert run("check", catalogue(), "--local")[0] == 0

    @pytest.mark.parametrize("hub", ["12345", "1234567890123", "arn:aws:iam::123456789012:root"])
    def test_what_is_no_account_is_refused(self, run, catalogue, hub):
        code, _, err = run("check", catalogue(), "--hub-account", hub)
        assert (code, "12 digits" in err) == (1, True)

    def test_what_cannot_be_read_is_told(self, run, tmp_path):
        assert run("check", str(tmp_path / "nowhere.toml"), *HUB)[2].endswith("No such file or directory.\n")
        (tmp_path / "latin.toml").write_bytes(b"\xff")
        assert run("check", str(tmp_path / "latin.toml"), *HUB)[2].endswith("it is not text.\n")


class TestPublish:
    @pytest.fixture
    def hub(self, seeded, monkeypatch) -> Any:
        """The hub's KMS; this process acts as the hub's root."""
        for name, value in (
            ("AWS_ENDPOINT_URL_KMS", seeded.url),
            ("AWS_ACCESS_KEY_ID", HUB_ACCOUNT),
            ("AWS_SECRET_ACCESS_KEY", example.ROOT_SECRET),
        ):
            monkeypatch.setenv(name, value)
        return example.kms_of_the_hub(seeded.url)

    def key(self, hub) -> str:
        return str(hub.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])

    def test_it_publishes_once_and_then_says_until_when_to_wait(self, run, hub, tmp_path):
        path, web = tmp_path / "catalogue.toml", tmp_path / "web"
        path.write_text(example.catalogue("http://127.0.0.1:8000", self.key(hub)), "utf-8")
        publish = ("issuer", "publish", str(path), "--to", str(web), *HUB)
        code, out, err = run(*publish)
        assert (code, err) == (0, "")
        assert out.startswith("signs now      from 2026-01-01T00:00:00Z  arn:aws:kms:")
        assert f"written    {web / JWKS}" in out

        soon = datetime.now(UTC) + timedelta(hours=1)
        more = f'[[provider.keys]]\narn = "{self.key(hub)}"\nsigns_from = {stamp(soon)}\n\n[accounts.sandbox]'
        path.write_text(path.read_text("utf-8").replace("[accounts.sandbox]", more), "utf-8")
        before = (web / JWKS).read_bytes()
        code, out, _ = run(*publish)
        assert (code, out.splitlines()[-1]) == (1, "Nothing was published.")
        assert f"would sign from {stamp(soon)}, before everybody can know it: let it sign from" in out
        assert (web / JWKS).read_bytes() == before

    def test_programs_are_told_the_same(self, run, hub, tmp_path):
        path = tmp_path / "catalogue.toml"
        path.write_text(example.catalogue("http://127.0.0.1:8000", self.key(hub)), "utf-8")
        code, out, _ = run("issuer", "publish", str(path), "--to", str(tmp_path / "web"), *HUB, "--json")
        told = json.loads(out)
        assert (code, told["objections"], [key["signs"] for key in told["keys"]]) == (0, [], ["now"])
        assert [document["written"] for document in told["documents"]] == [True, True, True]

    def test_a_key_that_is_not_there_is_told_in_awss_words(self, run, hub, catalogue, tmp_path):
        code, _, err = run("issuer", "publish", catalogue(), "--to", str(tmp_path / "web"), *HUB)
        assert code == 1
        assert err.startswith("daypass: An error occurred (NotFoundException) when calling the GetPublicKey operation")
        assert not (tmp_path / "web").exists()

    @pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
    def test_aws_is_not_quoted_where_it_repeats_what_was_signed(self, code):
        said = "The Canonical String should have been 'x-amz-security-token:CANARY'"
        told = in_aws_words(ClientError({"Error": {"Code": code, "Message": said}}, "PutObject"))
        assert told == f"An error occurred ({code}) when calling the PutObject"

    def test_without_a_provider_there_is_nothing_to_publish(self, run, catalogue, tmp_path):
        provider = EXAMPLE[EXAMPLE.index("[provider]") : EXAMPLE.index("[accounts.sandbox]")]
        code, _, err = run("issuer", "publish", catalogue((provider, "")), "--to", str(tmp_path), *HUB)
        assert (code, err) == (1, "daypass: The catalogue has no [provider]: there is nothing to publish.\n")

    def test_a_catalogue_with_mistakes_publishes_nothing(self, run, catalogue, tmp_path):
        path = catalogue(("http://127.0.0.1:8000/local/issuers/provider", "https://10.0.0.1"))
        code, _, err = run("issuer", "publish", path, "--to", str(tmp_path / "web"), *HUB)
        assert (code, err.startswith("daypass: provider.issuer: is an address")) == (1, True)
        assert not (tmp_path / "web").exists()


def test_without_the_extra_it_says_which_one(run, monkeypatch):
    monkeypatch.setattr(elsewhere, "find_spec", lambda name: None)
    assert run("check", "catalogue.toml") == (
        1,
        "",
        "daypass: `daypass check` needs more than the client: pip install 'daypass[operator]'.\n",
    )
