"""A limit on the memory that a block of code may allocate, for files with false sizes."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

_STATUS = Path("/proc/self/statm")


@contextlib.contextmanager
def memory_limit(n_bytes: int) -> Iterator[None]:
    """Make allocations fail with MemoryError beyond `n_bytes` more than now; on Linux only.

    Other systems do not enforce RLIMIT_AS.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    before, pool = resource.getrlimit(resource.RLIMIT_AS), pa.default_memory_pool()
    used = int(_STATUS.read_text().split()[0]) * resource.getpagesize()
    wanted = used + n_bytes
    if before[0] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[0])
    pa.set_memory_pool(pa.system_memory_pool())  # the default one reserves far more than it uses
    resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        pa.set_memory_pool(pool)
