"""The commands: a thin face over ``app``."""


def main() -> None:
    """Run one command."""
