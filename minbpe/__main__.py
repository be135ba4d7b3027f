"""The command `minbpe`, which is `python -m minbpe` too. Its modules take 0.3 s to import, and Ctrl-C ends that quietly as well."""

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from minbpe.cli import main as run
    except KeyboardInterrupt:
        print("minbpe: interrupted: nothing was begun", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
