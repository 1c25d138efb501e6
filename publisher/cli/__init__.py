"""The commands: a thin face over ``app``.  A noun is a file of this room, and its commands are what it can do.

Exit codes: 0 well; 1 something failed; 2 wrong use or configuration; 3 nothing could be reached.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from publisher.cli._common import FAILED, UNREACHED, WRONG, Global, end

cli = typer.Typer(
    name="publisher",
    help="New entries in, feeds and e-mail digests out.\n\nBegin with: publisher init DIR --from https://your.site",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts twice as fast
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PARTS = (
    "steps",
    "ahead",
    "configuration",
    "status",
    "source",
    "issue",
    "delivery",
    "bounce",
    "subscriber",
    "suppression",
    "token",
    "db",
)
"""The files that hold commands, in the order in which help tells of them: the plain ones, then the nouns."""

for _part in _PARTS:
    cli.add_typer(import_module(f"{__name__}.{_part}").cli)


@cli.callback()
def _before(
    config: Annotated[
        Path, typer.Option("-c", "--config", envvar="PUBLISHER_CONFIG", help="The configuration.")
    ] = Global.config,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Tell more.")] = False,
) -> None:
    Global.config, Global.verbose = config, verbose


def main() -> None:
    """Run one command; every error that is expected ends as a sentence, not as a traceback."""
    from publisher.errors import ChannelDown, ConfigError, NetError, PublisherError

    try:
        cli()
    except ConfigError as error:
        end(str(error), WRONG)
    except (NetError, ChannelDown) as error:
        end(error.words, UNREACHED)
    except PublisherError as error:
        end(error.words, FAILED)
    except KeyboardInterrupt:
        end("interrupted; what was underway is found again at the next run", 130)
