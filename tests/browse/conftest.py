"""The small run, before any training and with predictions."""

import pytest
from small_run import add_predictions, after_stage_03


@pytest.fixture
def bare(tmp_path):
    """After stage 03: truth and pictures, no predictions."""
    return after_stage_03(tmp_path)


@pytest.fixture
def full(bare):
    """With a detector and a classifier."""
    add_predictions(bare)
    return bare
