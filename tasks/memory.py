"""What fits the memory of a machine or of a GPU, tensors in files, and how many images are computed at once."""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from jaxtyping import Int
from torch import Tensor

from tasks.errors import require

MEMORY = "LOSSBENCH_MEMORY_GIBIBYTES"
"""The environment variable that says how large a tensor of a pool may be in memory; a larger one lies in a file."""
MEMORY_SHARE = 0.25
"""Of the memory that this process may use, where the variable is not set."""
CONTROL_GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
PART_NUMBERS = 2**24
"""Numbers of a tensor that are read at once where no product of matrices asks for other parts: 64 MiB of float32."""
GATHERED_ROWS = 128
"""Rows that are copied at once: of a file the system may count 2 MiB around each as memory of the process."""

RESIDENT_SHARE = 0.4
"""Of the free memory of a GPU: data may take as much; several runs may share a card, and training needs the rest."""
IMAGES_AT_ONCE = 128
"""On a CPU, whose caches are small."""
PIXELS_AT_ONCE = 2**23
MOST_IMAGES_AT_ONCE = 2048
"""On a GPU: 2,048 images of 32 pixels, 128 of 256; a layer of 256 maps of 64 x 64 then takes 268 MB in bf16."""


def fits(device: torch.device, size: int) -> bool:
    """Whether the device is a GPU that can keep so many bytes beside what it trains."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return size <= RESIDENT_SHARE * free


def images_at_once(device: torch.device, side: int) -> int:
    """The number of images of one batch where nothing is trained: in evaluation, and when candidates are scored."""
    if device.type != "cuda":
        return IMAGES_AT_ONCE
    return min(MOST_IMAGES_AT_ONCE, max(IMAGES_AT_ONCE // 2, PIXELS_AT_ONCE // side**2))


def own_memory(groups: Path = CONTROL_GROUPS, own: Path = OWN_GROUP) -> int:
    """The bytes of memory that this process may use: the machine's, or the limit of its container or job (cgroup v2).

    Args:
        groups: the folder of the control groups.
        own: the file that names the group of this process.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with suppress(OSError):
        named = re.search(r"^0::/(.*)$", own.read_text(), re.MULTILINE)
        group = groups / (named[1] if named else "")
        for each in (group, *group.parents):
            if each.is_relative_to(groups):
                with suppress(OSError, ValueError):  # of the root, which has no limit, and of "max"
                    limits.append(int((each / "memory.max").read_text()))
    return min(limits)


_files: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()
"""The file of each tensor that lies in one, by the address of its storage."""


def room(count: int, like: Tensor) -> Tensor:
    """An empty tensor of so many rows of the same form and type as those of `like`, on its device.

    One that is too large for the memory of a CPU lies in a file in the folder for temporary files (`TMPDIR`). The file has
    no name, so that nothing stays behind, and takes all its room on the disk at once.

    Raises:
        OSError: the disk has no such room.
    """
    shape = (count, *like.shape[1:])
    size = like.element_size() * torch.Size(shape).numel()
    if like.device.type != "cpu" or size <= _most_bytes():
        return like.new_empty(shape)
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would end the process when a page is written
        except OSError as error:
            raise OSError(error.errno, error.strerror, folder) from None
        mapped = mmap.mmap(file.fileno(), size)
    tensor = torch.frombuffer(mapped, dtype=like.dtype).view(shape)
    _files[tensor.untyped_storage().data_ptr()] = mapped
    return tensor


def in_file(tensor: Tensor) -> bool:
    """Whether the tensor, or what it is a part of, lies in a file."""
    return tensor.device.type == "cpu" and tensor.untyped_storage().data_ptr() in _files


def release(tensor: Tensor) -> None:
    """Stop counting a tensor in a file, or a part of it, as memory of this process; its numbers stay as they are."""
    if tensor.numel() and in_file(tensor) and hasattr(mmap, "MADV_DONTNEED"):
        storage = tensor.untyped_storage().data_ptr()
        begin = (tensor.data_ptr() - storage) // mmap.PAGESIZE * mmap.PAGESIZE
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        end = tensor.data_ptr() - storage + (last + 1) * tensor.element_size()
        _files[storage].madvise(mmap.MADV_DONTNEED, begin, end - begin)


def parts(tensor: Tensor, rows: int | None = None) -> Iterator[Tensor]:
    """Consecutive rows, some at a time; what lies in a file is released after each part.

    Args:
        tensor: with rows.
        rows: of a part; by default as many as hold 64 MiB of float32.
    """
    per_row = tensor.numel() // max(len(tensor), 1)
    for part in tensor.split(rows or max(PART_NUMBERS // max(per_row, 1), 1)):
        yield part
        release(part)


def gathered(tensor: Tensor, rows: Int[Tensor, " k"]) -> Tensor:
    """Copies of some rows, in a file if they are too large."""
    if not in_file(tensor):
        return tensor[rows]
    found = room(len(rows), tensor)
    for some, copy in zip(rows.split(GATHERED_ROWS), found.split(GATHERED_ROWS), strict=True):
        copy.copy_(tensor[some])
        release(copy)
        release(tensor)
    return found


def _most_bytes() -> float:
    """Of a tensor in memory."""
    given = os.environ.get(MEMORY)
    if given is None:
        return MEMORY_SHARE * own_memory()
    try:
        gibibytes = float(given)
    except ValueError:
        gibibytes = -1.0
    require(gibibytes >= 0, f"the environment variable {MEMORY} is {given!r}", "give a number of gibibytes, such as 2")
    return gibibytes * 2**30
