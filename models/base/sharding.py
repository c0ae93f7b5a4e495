"""Nets whose parameters are spread over devices: FSDP2 under ``ModelParallelStrategy``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from transformers import GPT2Model

from musiczoo.music.errors import MusicZooError


def shard(module: Any, units: Sequence[list[nn.Module]]) -> None:
    """Shards a module's net over the strategy's device mesh, for its ``configure_model``.

    Nothing happens where there is no mesh.

    Args:
        module: A LightningModule with a ``net`` and ``lora``.
        units: What is gathered together; the net itself is the unit of what is left. These layers
            must be called as layers, and the net as a whole, or nobody would gather them.

    Raises:
        MusicZooError: An adapter, or tensor parallelism.
    """
    mesh = module.device_mesh
    if mesh is None or isinstance(module.net, FSDPModule):
        return
    if mesh["tensor_parallel"].size() > 1:
        raise MusicZooError(
            "The zoo's models have no tensor parallelism.",
            where="strategy",
            remedy=(
                "Give ModelParallelStrategy(data_parallel_size=PROCESSES, tensor_parallel_size=1)."
            ),
        )
    if module.lora is not None:
        raise MusicZooError(
            "Adapters are not sharded: their checkpoints hold the adapter alone, and the strategy"
            " reads whole models.",
            where="strategy",
            remedy='Train adapters with strategy="ddp"; they need little memory.',
        )
    for unit in units:
        fully_shard(unit, mesh=mesh["data_parallel"])
    fully_shard(module.net, mesh=mesh["data_parallel"])


def block_units(stack: GPT2Model) -> list[list[nn.Module]]:
    """A unit for each block of a GPT-2: its layers.

    :func:`musiczoo.models.layers.gpt2.run_blocks` calls these and never the block.
    """
    blocks: Any = stack.h
    return [
        [b.ln_1, b.attn.c_attn, b.attn.c_proj, b.ln_2, b.mlp.c_fc, b.mlp.c_proj] for b in blocks
    ]
