"""What both command lines share: bad words get one sentence and status 2, without a usage block."""

import argparse

__all__ = ["OneSentenceParser"]


class OneSentenceParser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")
