"""A mode in which nothing may have the host wait for the device."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal")


class NoWaiting(TorchDispatchMode):
    """Refuses what would have the host wait for a device: to read a value, or to learn a size."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        indices = args[1] if func.overloadpacket is torch.ops.aten.index else []
        by_mask = any(index is not None and index.dtype == torch.bool for index in indices)
        if func.overloadpacket.__name__ in WAITS or by_mask:
            raise AssertionError(f"the host asks for a value: {func}")
        return func(*args, **(kwargs or {}))
