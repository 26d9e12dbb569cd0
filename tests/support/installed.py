"""What is only in the virtual environment of the tests."""

import importlib.util
import os

import pytest


def absent(*names):
    """Skips a test that needs these, which are not there, with the reason; fails where everything has to run."""
    (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)(f"needs {', '.join(names)} of tests/requirements.txt")


def needs(*modules):
    """Does the same if one of these modules is not there."""
    names = [module for module in modules if importlib.util.find_spec(module) is None]
    if names:
        absent(*names)
