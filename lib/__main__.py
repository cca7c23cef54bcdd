"""The course's command line: ``python -m lib <command>``."""

import argparse
import importlib
import sys

# command: (module, what it does). A module is imported only when its command runs; it offers
# configure(parser), which adds its options, and main(arguments), which returns the exit status.
COMMANDS = {
    "notebooks": (
        "lib.authoring.notebooks",
        "run the notebooks and normalise what is stored, or check them",
    ),
    "exercises": (
        "lib.authoring.exercises",
        "write exercises/ from solutions/, or check that they agree",
    ),
    "progress": (
        "lib.grading.progress",
        "draw a learner's map of what is solved from the notebooks in a folder",
    ),
    "grade": (
        "lib.grading.batch",
        "grade a folder of submitted notebooks in a sandbox, for instructors",
    ),
    "receipts": (
        "lib.receipts.recorder",
        "print what was measured on which device, or measure on this one",
    ),
    "repository": (
        "lib.authoring.repository",
        "write the repository's address everywhere it is derived, or check it",
    ),
    "ledger": (
        "lib.authoring.ledger",
        "write the map of the documents, the errata and the references, or check them",
    ),
    "zoo": (
        "lib.authoring.zoo",
        "write the page Bug zoo from lib/bugs, or check it",
    ),
    "concept_test": (
        "lib.authoring.concept_test",
        "write the ten questions before and after the course, or check them",
    ),
}
NEEDS_A_CLONE = (
    "the installed package has no tools for writing the course: clone the repository, "
    "install its requirements.txt and run `python -m lib {name}` in its root folder"
)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status (0 means that all is well)."""
    parser = argparse.ArgumentParser(
        prog="python -m lib",
        description="Tools of the course Masking the Future.",
        epilog="Those that write the course need a clone of it; an installed package has the others.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    argv = sys.argv[1:] if argv is None else argv
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        if name in argv[:1]:
            try:
                implementation = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != "lib.authoring":
                    raise
                command.error(NEEDS_A_CLONE.format(name=name))
            implementation.configure(command)
            command.set_defaults(run=implementation.main)
    arguments = parser.parse_args(argv)
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
