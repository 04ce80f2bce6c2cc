"""`daypass catalogue sign`, `verify` and `diff`, as they are typed, with KMS and S3 of the embedded AWS."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from chalicelib.aws.catalogue_bucket import CatalogueBucket
from chalicelib.core.believing import SIGNATURE
from chalicelib.core.rsa import read_public_key, signed
from daypass import commands
from daypass.local.embedded_aws import HUB_ACCOUNT, EmbeddedAws
from daypass.local.example import REGION
from daypass.operator.catalogue_commands import CHANGES
from daypass.operator.catalogue_objects import CatalogueObject, NotPut
from tests.local.accounts import as_root
from tests.signing import PUBLIC_KEYS
from tests.stage import EXAMPLE

HUB = ["--hub-account", HUB_ACCOUNT, "--local"]
_names = itertools.count(1)


@pytest.fixture
def run(capsys):
    """Exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = commands.run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """Writes a catalogue: the example's, with a serial and some texts replaced."""

    def written(serial: int | None = 1, *changes: tuple[str, str], name: str = "catalogue.toml") -> str:
        text = (f"serial = {serial}\n" if serial else "") + EXAMPLE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path: Path = tmp_path / name
        path.write_text(text, "utf-8")
        return str(path)

    return written


class Ci:
    """A bucket and a key of the hub's, as CI uses them by its environment."""

    def __init__(self, aws: str, *, versioned: bool = True) -> None:
        self.s3 = as_root("s3", aws, HUB_ACCOUNT)
        self.kms = as_root("kms", aws, HUB_ACCOUNT)
        self.bucket = f"signed-{next(_names)}"
        self.s3.create_bucket(Bucket=self.bucket)
        if versioned:
            self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.to = f"s3://{self.bucket}/prod/catalogue.toml"
        self.key = self.a_key()
        self.public = base64.b64encode(self.kms.get_public_key(KeyId=self.key)["PublicKey"]).decode()

    def a_key(self, spec: str = "RSA_2048") -> str:
        return str(self.kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"])

    def bucket_as_the_broker_sees_it(self) -> CatalogueBucket:
        session = botocore.session.Session()
        session.set_credentials(HUB_ACCOUNT, "test")
        return CatalogueBucket(session, REGION, self.to)


@pytest.fixture
def aws(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": embedded_aws.url,
        "AWS_ACCESS_KEY_ID": HUB_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    return embedded_aws.url


@pytest.fixture
def ci(aws: str) -> Ci:
    return Ci(aws)


class TestSign:
    def test_what_is_uploaded_is_what_the_broker_believes(self, run, ci: Ci, written) -> None:
        file = written(7)
        code, out, err = run("catalogue", "sign", file, "--key", ci.key, "--to", ci.to, *HUB)
        assert (code, err) == (0, "")
        found = ci.bucket_as_the_broker_sees_it().current(unless=None)
        assert found is not None
        assert found.body == Path(file).read_bytes()
        assert signed(read_public_key(ci.public), found.body, found.signature)
        assert out.startswith("Serial 7, digest ")
        assert out.endswith(f": uploaded to {ci.to} as version {found.version_id}.\n")

    def test_without_a_place_the_signature_is_put_beside_the_file_as_openssl_reads_it(
        self, run, ci: Ci, written, tmp_path: Path
    ) -> None:
        file = written()
        code, out, _ = run("catalogue", "sign", file, "--key", ci.key, *HUB, "--json")
        assert code == 0
        beside = Path(f"{file}.sig").read_text("utf-8")
        assert beside == json.loads(out)["signature"] + "\n"
        (tmp_path / "signature").write_bytes(base64.b64decode(beside))
        (tmp_path / "key.der").write_bytes(base64.b64decode(ci.public))
        verified = ["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", "key.der", "-signature", "signature"]
        done = subprocess.run([*verified, file], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout == "Verified OK\n", done.stderr

    @pytest.mark.parametrize(
        ("serial", "changes", "why"),
        [
            (None, [], "serial: is missing: a whole number that goes up with every version"),
            (0, [], "serial: is missing"),
            (7, [('account = "sandbox"', 'account = "nowhere"')], "there is no account 'nowhere'"),
            (7, [("serial = 7", "serial = 0")], "serial: must be at least 1"),
            (7, [("serial = 7", 'serial = "7"')], "serial: must be a whole number"),
            (7, [("serial = 7", "serial = 9007199254740992")], "serial: must be at most 9007199254740991"),
        ],
    )
    def test_what_would_not_be_believed_is_not_signed(self, run, ci: Ci, written, serial, changes, why) -> None:
        code, out, err = run("catalogue", "sign", written(serial, *changes), "--key", ci.key, "--to", ci.to, *HUB)
        assert (code, out) == (1, "")
        assert why in err
        assert ci.s3.list_objects_v2(Bucket=ci.bucket)["KeyCount"] == 0

    def test_a_serial_goes_up_and_the_same_file_may_be_uploaded_again(self, run, ci: Ci, written) -> None:
        def upload(*given: Any) -> Any:
            return run("catalogue", "sign", written(*given), "--key", ci.key, "--to", ci.to, *HUB)

        changed = ('max_duration = "8h"', 'max_duration = "6h"')
        assert upload(7)[0] == 0
        assert upload(7)[0] == 0
        for serial in (7, 6):
            code, _, err = upload(serial, changed)
            assert code == 1
            assert f"Its serial {serial} is not higher than that of the one that is there, 7: raise it." in err
        assert upload(8, changed)[0] == 0

    @pytest.mark.parametrize("before", [None, b"serial = 1"])
    def test_given_somebody_uploads_at_the_same_time_then_nothing_is_written_over(
        self, embedded_aws: EmbeddedAws, ci: Ci, before: bytes | None
    ) -> None:
        there = {"Bucket": ci.bucket, "Key": "prod/catalogue.toml"}
        if before:
            ci.s3.put_object(**there, Body=before)

        def meanwhile(**_: Any) -> None:
            ci.s3.put_object(**there, Body=b"theirs")

        ours = as_root("s3", embedded_aws.url, HUB_ACCOUNT)
        ours.meta.events.register("before-call.s3.PutObject", meanwhile)
        with pytest.raises(NotPut, match="Somebody else uploaded one at the same time"):
            CatalogueObject(ours, ci.to).put(b"serial = 2", b"signed", 2)
        assert ci.s3.get_object(**there)["Body"].read() == b"theirs"

    def test_a_bucket_without_versions_is_told_so(self, run, aws: str, written) -> None:
        flat = Ci(aws, versioned=False)
        code, _, err = run("catalogue", "sign", written(), "--key", flat.key, "--to", flat.to, *HUB)
        assert (code, "switch the bucket's versioning on" in err) == (1, True)

    def test_a_key_of_another_kind_is_told_so(self, run, ci: Ci, written) -> None:
        for key in (ci.a_key("ECC_NIST_P256"), f"{ci.key[:-4]}0000", "alias/mine"):
            code, out, err = run("catalogue", "sign", written(), "--key", key, "--to", ci.to, *HUB)
            assert (code, out) == (1, "")
            assert err.startswith("daypass: ")
            assert "Traceback" not in err


class TestVerify:
    def test_what_was_signed_is_good_as_a_file_and_in_s3(self, run, ci: Ci, written) -> None:
        file = written(7)
        run("catalogue", "sign", file, "--key", ci.key, *HUB)
        run("catalogue", "sign", file, "--key", ci.key, "--to", ci.to, *HUB)
        for place in (file, ci.to):
            code, out, err = run("catalogue", "verify", place, "--public-key", ci.public, *HUB)
            assert (code, err) == (0, "")
            assert out.startswith("Signed, without a mistake. Serial 7, digest ")
        code, out, _ = run("catalogue", "verify", file, "--public-key", f"{PUBLIC_KEYS[0]} {ci.public}", *HUB, "--json")
        assert (code, json.loads(out)["serial"]) == (0, 7)

    def test_what_was_changed_since_or_signed_by_another_key_or_not_at_all_is_not(self, run, ci: Ci, written) -> None:
        file = written(7)
        run("catalogue", "sign", file, "--key", ci.key, *HUB)
        assert run("catalogue", "verify", file, "--public-key", PUBLIC_KEYS[0], *HUB)[0] == 1
        written(7, ("8h", "9h"))
        code, out, err = run("catalogue", "verify", file, "--public-key", ci.public, *HUB)
        assert (code, out) == (1, "")
        assert "is not signed by this key, or was changed since" in err
        ci.s3.put_object(Bucket=ci.bucket, Key="prod/catalogue.toml", Body=Path(file).read_bytes())
        assert run("catalogue", "verify", ci.to, "--public-key", ci.public, *HUB)[0] == 1
        garbage = {SIGNATURE: "YWJj"}
        ci.s3.put_object(Bucket=ci.bucket, Key="prod/catalogue.toml", Body=b"x", Metadata=garbage)
        assert run("catalogue", "verify", ci.to, "--public-key", ci.public, *HUB)[0] == 1

    @pytest.mark.parametrize("place", ["nothing.toml", "s3://no.dots.please/c.toml", "s3://there-is-none/c.toml"])
    def test_what_is_not_there_is_told_in_a_sentence(self, run, ci: Ci, place: str) -> None:
        code, out, err = run("catalogue", "verify", place, "--public-key", ci.public, *HUB)
        assert (code, out, err.count("\n")) == (1, "", 1)

    def test_a_public_key_that_is_none_is_told_so(self, run, written) -> None:
        Path(f"{(file := written())}.sig").write_text("YWJj\n")
        code, _, err = run("catalogue", "verify", file, "--public-key", "YWJj", *HUB)
        assert (code, "The public key is no RSA public key" in err) == (1, True)


DENY = "contractors never administer payments"
ORDINARY = (
    "group sre: up to 4 h, after 1 approval of group sre-leads, with a second factor, extended up to 2 times without "
    "approval (rule 'sre administer payments')"
)
EMERGENCY = (
    "group oncall: break-glass, up to 1 h, with a second factor, reviewed by group security within 24 h "
    "(rule 'sre administer payments')"
)
CHANGED: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "longer": (
        [('max_duration = "8h"', 'max_duration = "12h"')],
        [
            "sandbox-admin",
            "  + group engineering: up to 12 h instead of up to 8 h (rule 'engineers administer the sandbox')",
        ],
    ),
    "an approval more": (
        [('[{ count = 1, from = { groups = ["sre-leads"] } }]', '[{ count = 2, from = { groups = ["sre-leads"] } }]')],
        [
            "payments-admin",
            "  - group sre: after 2 approvals of group sre-leads instead of after 1 approval of group sre-leads "
            "(rule 'sre administer payments')",
        ],
    ),
    "another group": (
        [('who = { groups = ["engineering", "sre"] }', 'who = { groups = ["engineering", "security"] }')],
        [
            "payments-read",
            "  + group engineering or security: group engineering or security instead of group engineering or sre "
            "(rule 'engineers and sre read payments')",
            "  - group engineering or sre: group engineering or security instead of group engineering or sre "
            "(rule 'engineers and sre read payments')",
        ],
    ),
    "no second factor": (
        [("require = { mfa = true }\n", "")],
        [
            "payments-admin",
            "  + group sre: without a second factor instead of with a second factor (rule 'sre administer payments')",
        ],
    ),
    "nobody is denied any more": (
        [('who = { groups = ["contractors"] }', 'who = { groups = ["interns"] }')],
        [
            "payments-admin",
            f"  + {ORDINARY}, not denied any more by {DENY!r}, which is for group contractors",
            f"  + {EMERGENCY}, not denied any more by {DENY!r}, which is for group contractors",
            f"  - {ORDINARY}, denied from now on by {DENY!r}, which is for group interns",
            f"  - {EMERGENCY}, denied from now on by {DENY!r}, which is for group interns",
        ],
    ),
    "the glass": (
        [('max_duration = "1h", reviewers', 'max_duration = "2h", reviewers')],
        [
            "payments-admin",
            "  + group oncall: break-glass, up to 2 h instead of up to 1 h (rule 'sre administer payments')",
        ],
    ),
    "roles themselves": (
        [("require_scope = true\n", ""), ('role_name = "daypass/Deploy"', 'role_name = "daypass/DeployAll"')],
        [
            "data-export",
            "  + may be asked for without a scope",
            "deploy",
            "  ~ is arn:aws:iam::222222222222:role/daypass/DeployAll from now on, instead of "
            "arn:aws:iam::222222222222:role/daypass/Deploy",
            "  - id local-cluster/system:serviceaccount:ci:deployer, a workload: up to 1 h, without approval "
            "(rule 'the pipeline deploys payments', gone here)",
            "  + id local-cluster/system:serviceaccount:ci:deployer, a workload: up to 1 h, without approval "
            "(rule 'the pipeline deploys payments', new here)",
        ],
    ),
    "everybody": (
        [
            ('domains = ["example.com"]', 'domains = ["example.com", "example.org"]'),
            ("serial = 2\n", "serial = 2\nfreeze = true\n[quotas]\nopen_requests = 3\n"),
            ('[auditors]\ngroups = ["security"]', '[auditors]\ngroups = ["security", "sre"]'),
        ],
        [
            "everybody",
            "  - nothing is approved or lent but in an emergency (freeze)",
            "  - 3 instead of 20 (quotas.open_requests)",
            "  + auditors are group security or sre instead of group security",
            "  + the issuer local-people signs in people of example.org",
        ],
    ),
}


class TestDiff:
    @pytest.mark.parametrize("name", CHANGED)
    def test_it_says_in_words_who_gains_and_who_loses(self, run, written, name: str) -> None:
        changes, words = CHANGED[name]
        older, newer = written(1, name="older.toml"), written(2, *changes, name="newer.toml")
        code, out, err = run("catalogue", "diff", older, newer, *HUB)
        assert out.splitlines() == words
        assert (code, err) == (CHANGES, "")

    def test_what_changes_nothing_for_anybody_is_no_change(self, run, written) -> None:
        older = written(1, name="older.toml")
        newer = written(
            2, ("#sre-approvals", "#sre"), ('name = "engineers', 'name = "all engineers'), name="newer.toml"
        )
        assert run("catalogue", "diff", older, newer, *HUB) == (0, "Nobody gains or loses access.\n", "")
        code, out, _ = run("catalogue", "diff", older, newer, *HUB, "--json")
        assert (code, json.loads(out)) == (0, {"changes": False, "everybody": [], "roles": {}})

    def test_programs_are_told_the_same(self, run, written) -> None:
        older = written(1, name="older.toml")
        newer = written(2, ('max_duration = "8h"', 'max_duration = "12h"'), name="newer.toml")
        code, out, _ = run("catalogue", "diff", older, newer, *HUB, "--json")
        told = json.loads(out)
        assert (code, told["changes"], list(told["roles"])) == (CHANGES, True, ["sandbox-admin"])
        [gain] = told["roles"]["sandbox-admin"]["gains"]
        assert (gain["rule"], gain["break_glass"], gain["denied_by"]) == (
            "engineers administer the sandbox",
            False,
            None,
        )
        assert (gain["example"]["groups"], gain["example"]["issuer"]) == (["engineering"], "local-people")
        assert told["roles"]["sandbox-admin"]["loses"] == []

    def test_what_is_in_s3_is_held_against_a_file_and_a_version_against_another(self, run, ci: Ci, written) -> None:
        def upload(*given: Any) -> str:
            code, out, _ = run("catalogue", "sign", written(*given), "--key", ci.key, "--to", ci.to, *HUB, "--json")
            assert code == 0
            return str(json.loads(out)["version_id"])

        first = upload(1)
        assert run("catalogue", "diff", ci.to, written(2), *HUB)[0] == 0
        upload(2, ('max_duration = "8h"', 'max_duration = "12h"'))
        code, out, _ = run("catalogue", "diff", f"{ci.to}?versionId={first}", ci.to, *HUB)
        assert (code, out.splitlines()) == (CHANGES, CHANGED["longer"][1])

    def test_a_mistake_in_either_is_told_with_its_file_and_its_place(self, run, written) -> None:
        good, bad = written(1, name="good.toml"), written(2, ("max_session", "max_sesion"), name="bad.toml")
        for pair in ((good, bad), (bad, good)):
            code, out, err = run("catalogue", "diff", *pair, *HUB)
            assert (code, out) == (1, "")
            assert f"daypass: {bad}: roles.sandbox-admin.max_sesion: is not a key that Daypass knows here\n" in err
