"""Defines operators of this package: known to torch.export, torch.compile and fake tensors, left alone by autocast."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def operator(schema: str, compute: Callable[..., Any], empty: Callable[..., Any]) -> Any:
    """Define an operator for every device.

    Args:
        schema: its name, arguments and results, such as "response_norm(Tensor x, int maps) -> Tensor".
        compute: the operator.
        empty: its results, uninitialised, from the same arguments.
    """
    name, _, _ = schema.partition("(")
    torch.library.define(f"alexnet_dist::{name}", schema.removeprefix(name))
    torch.library.impl(f"alexnet_dist::{name}", "CompositeExplicitAutograd")(compute)
    torch.library.register_fake(f"alexnet_dist::{name}")(empty)
    return getattr(torch.ops.alexnet_dist, name).default


def empty_like(x: Tensor, *_: Any) -> Tensor:
    """Uninitialised images as those given; the other arguments of an operator are ignored."""
    return empty_images(x, x.shape[2], x.shape[3], x.dtype)


def empty_images(like: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """(batch, channels, height, width) on the device of other images, channels-last where they are, else contiguous."""
    channels_last = like.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((*like.shape[:2], height, width), dtype=dtype, device=like.device, memory_format=memory_format)
