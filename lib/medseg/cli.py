"""The command ``medseg``."""

import sys

import typer

from medseg.commands import data, demo, prediction, results, runs, training
from medseg.errors import MedsegError

app = typer.Typer(
    help="Compare segmentation models on medical images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for part in (data, training, demo, runs, results, prediction):
    app.add_typer(part.app)


def main() -> None:
    """Run the command; a fault that the user can fix is printed alone, without a traceback."""
    try:
        app()
    except MedsegError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
