"""Daypass on Lambda: the doors, and nothing else."""

from chalice.app import Chalice

from chalicelib import wiring
from chalicelib.web.gate import Door
from chalicelib.web.routes import mount, mount_open

app = Chalice(app_name="daypass")

mount_open(app, wiring.INSIDE)
mount(app, Door.BEARER, wiring.INSIDE)
mount(app, Door.IAM, wiring.INSIDE)
