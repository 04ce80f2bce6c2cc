"""Daypass on Lambda: the doors, the schedules, the readers of the table's stream and of CloudTrail, nothing else."""

import gc

# What is imported stays: looking for garbage among it costs a tenth of a cold start (docs/decisions/0010).
gc.disable()

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Cron, DynamoDBEvent, Rate

from chalicelib import outbox_wiring, trail_wiring, wiring
from chalicelib.web.gate import Door
from chalicelib.web.routes import mount, mount_open, mount_raw

STREAM = "infra/outbox.json names the table's stream, and how often Lambda tries"

app = Chalice(app_name="daypass")

mount_open(app, wiring.INSIDE)
mount(app, Door.BEARER, wiring.INSIDE)
mount(app, Door.IAM, wiring.INSIDE)
mount_raw(app, "POST", "/slack/events", wiring.slack(app))


@app.schedule(Rate(5, unit=Rate.MINUTES), description="Announces what has expired or ended")
def sweep(event: CloudWatchEvent) -> None:
    wiring.sweep()


@app.schedule(Rate(1, unit=Rate.HOURS), description="Lets go what has been over for as long as it is kept")
def forget(event: CloudWatchEvent) -> None:
    wiring.forget()


@app.schedule(Rate(5, unit=Rate.MINUTES), description="Reminds in Slack of what waits for long")
def remind(event: CloudWatchEvent) -> None:
    outbox_wiring.remind()


@app.schedule(Cron(17, 1, "*", "*", "?", "*"), description="Signs what the ledger's copy holds of the day before")
def digest(event: CloudWatchEvent) -> None:
    outbox_wiring.digest()


@app.on_dynamodb_record(STREAM, batch_size=100, starting_position="TRIM_HORIZON")
def announce(event: DynamoDBEvent) -> dict[str, Any]:
    return outbox_wiring.announce(event.to_dict()["Records"])


@app.on_dynamodb_record(STREAM, batch_size=25, starting_position="TRIM_HORIZON")
def post(event: DynamoDBEvent) -> dict[str, Any]:
    return outbox_wiring.post(event.to_dict()["Records"])


# Chalice cannot package S3's events; infra/outbox.json has the queue that they go to.
@app.lambda_function(name="trail")
def take_trail_files(event: Any, context: Any) -> dict[str, Any]:
    return trail_wiring.take(event["Records"])


@app.schedule(Rate(5, unit=Rate.MINUTES), description="Tells what CloudTrail and the record do not have in common")
def balance(event: CloudWatchEvent) -> None:
    trail_wiring.balance()


@app.on_dynamodb_record(STREAM, batch_size=100, starting_position="TRIM_HORIZON")
def copy(event: DynamoDBEvent) -> dict[str, Any]:
    return outbox_wiring.copy(event.to_dict()["Records"])


gc.freeze()
gc.enable()
