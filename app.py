"""Daypass on Lambda: the doors and the sweeper's schedule, nothing else."""

import gc

# What is imported stays: looking for garbage among it costs a tenth of a cold start (docs/decisions/0010).
gc.disable()

from chalice.app import Chalice, CloudWatchEvent, Rate

from chalicelib import wiring
from chalicelib.web.gate import Door
from chalicelib.web.routes import mount, mount_open, mount_raw

app = Chalice(app_name="daypass")

mount_open(app, wiring.INSIDE)
mount(app, Door.BEARER, wiring.INSIDE)
mount(app, Door.IAM, wiring.INSIDE)
mount_raw(app, "POST", "/slack/events", wiring.slack(app))


@app.schedule(Rate(5, unit=Rate.MINUTES), description="Announces what has expired or ended")
def sweep(event: CloudWatchEvent) -> None:
    wiring.sweep()


gc.freeze()
gc.enable()
