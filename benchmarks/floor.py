"""The least that the fixed packages cost: what `benchmarks.cold` measures Daypass beside."""

from __future__ import annotations

import os
from typing import Any

from chalice.app import Chalice
from pydantic import BaseModel
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.models import Model


class Health(BaseModel):
    status: str


class Item(Model):
    class Meta:
        table_name = "daypass"
        region = os.environ["AWS_REGION"]

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    version = NumberAttribute()


app = Chalice(app_name="floor")
_connection = Item._get_connection().connection
dynamodb: Any = _connection.client
sts: Any = _connection.session.create_client("sts", region_name=os.environ["AWS_REGION"])


@app.route("/v1/health")
def health() -> dict[str, str]:
    return Health(status="ok").model_dump()


def three_calls() -> None:
    """What ask-and-issue asks of AWS, with next to nothing in it."""
    item = {"Put": {"TableName": "daypass", "Item": {"pk": {"S": "1"}, "sk": {"S": "1"}}}}
    dynamodb.transact_write_items(TransactItems=[item])
    sts.assume_role(RoleArn="arn:aws:iam::222222222222:role/daypass/PaymentsRead", RoleSessionName="bench")
    dynamodb.transact_write_items(TransactItems=[item])
