"""Loads one rank's shard of the model in FOLDER as mlx-lm does, and says how long that took and what it holds.

Usage: reference.py FOLDER RANK WORLD SHARDING (pipeline, tensor). Prints `{"seconds": .., "array_bytes": ..,
"peak_bytes": ..}`. Of one rank it is mlx-lm's `load_model`; of several what its `sharded_load` does once the files are there.
MLX's variables say where the others are.
"""

import json
import sys
import time
from pathlib import Path

import mlx.core as mx
from mlx_lm.utils import load_model

folder, rank, world, sharding = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
mx.eval(mx.array(0))
group = mx.distributed.init(strict=True, backend="ring") if world > 1 else None
began = time.perf_counter()
if group is None:
    model, _ = load_model(folder, lazy=False)
else:
    model, _ = load_model(folder, lazy=True, strict=False)
    if sharding == "tensor":
        model.shard(group)
    else:
        model.model.pipeline(group)
    mx.eval(model.parameters())
seconds = time.perf_counter() - began
status = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
print(json.dumps({"seconds": seconds, "array_bytes": mx.get_active_memory(), "peak_bytes": 1024 * peak}))
