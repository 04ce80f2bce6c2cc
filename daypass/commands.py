"""The `daypass` command: ask for access, answer those who ask, and use what was given."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import typer
from typer.exceptions import TyperException

from daypass import elsewhere, showing
from daypass.saying import DONE, ERROR, INTERRUPTED, NOT_ELIGIBLE, Stop, note
from daypass.verbs import answering, asking, identity, looking, using

_EXIT: Final = {"not-eligible": NOT_ELIGIBLE}

app = typer.Typer(
    help="AWS access for a reason, for a while.",
    epilog="`daypass login` says where and who you are; or DAYPASS_URL (http://127.0.0.1:8000), and one of "
    "DAYPASS_TOKEN, DAYPASS_TOKEN_FILE, DAYPASS_TOKEN_COMMAND and DAYPASS_IAM.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes longer to load than help takes to read
    pretty_exceptions_enable=False,
)

_VERBS: Mapping[str, Callable[..., None]] = {
    "login": identity.login,
    "logout": identity.logout,
    "whoami": identity.whoami,
    "roles": looking.roles,
    "request": asking.request,
    "extend": asking.extend,
    "break-glass": asking.break_glass,
    "escalate": asking.escalate,
    "credentials": using.credentials,
    "exec": using.execute,
    "console": using.console,
    "configure": using.configure,
    "return": answering.give_back,
    "cancel": answering.cancel,
    "list": looking.listed,
    "show": looking.show,
    "approve": answering.approve,
    "deny": answering.deny,
    "review": answering.review,
    "revoke": answering.revoke,
    "activity": looking.activity,
    "used": looking.used,
    "export": looking.export,
    "erase": answering.erase,
    "slack-bind": identity.slack_bind,
    "slack-unbind": identity.slack_unbind,
}

for _name, _verb in _VERBS.items():
    app.command(_name)(_verb)
app.command("done", hidden=True)(answering.give_back)

for _command in elsewhere.ALL:
    elsewhere.offer(app, _command)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The command, up to its exit code. Whatever goes wrong is one sentence on stderr."""
    from daypass.client import DaypassError

    try:
        outcome = typer.main.get_command(app)(list(arguments), prog_name="daypass", standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else DONE
    except typer.Exit as end:
        return end.exit_code
    except Stop as stop:
        return _said(str(stop), stop.code)
    except DaypassError as error:
        told = [f"{each['field']}: {each['message']}" for each in error.errors]
        fields = "".join(f" {each}." for each in told if each not in error.detail)
        return _said(error.detail + fields, _EXIT.get(error.slug, ERROR))
    except TyperException as misuse:
        return _said(misuse.format_message() or "See `daypass --help`.", ERROR)
    except BrokenPipeError:
        # Whoever read us has enough. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except (KeyboardInterrupt, typer.Abort):
        return _said("Interrupted.", INTERRUPTED)
    except Exception as bug:
        if os.environ.get("DAYPASS_DEBUG"):
            raise
        # Not its text: a library may have put a header into it.
        return _said(f"A mistake in daypass itself ({type(bug).__name__}): DAYPASS_DEBUG=1 shows where.", ERROR)


def _said(sentence: str, code: int) -> int:
    note(f"daypass: {showing.plain(sentence)}")
    return code


if __name__ == "__main__":
    main()
