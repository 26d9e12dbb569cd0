"""What is only in the virtual environment of the tests."""

import importlib.util
import os

import pytest


def needs(*modules):
    """Skips a test that needs modules which are not there, with the reason; fails where everything has to run."""
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)(f"needs {', '.join(absent)} of tests/requirements.txt")
