"""Long forms of tests, minutes to an hour each: run with `launch/test.sh --long`."""

import os

import pytest

LONG = os.environ.get("ALEXNET_DIST_LONG") == "true"
LONG_FORM = pytest.mark.skipif(not LONG, reason="long form: launch/test.sh --long")
