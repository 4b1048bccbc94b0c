"""Tests that are not marked `gpu` run as on a machine without one."""

import os

import torch


def test_no_gpu_is_seen_even_where_there_is_one() -> None:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and not torch.cuda.is_available()
