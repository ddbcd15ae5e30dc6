"""The one loop over shards, and the one choice of what runs them."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from slideseg.errors import RunError, explain
from slideseg.tasks.base import WAIT_FOR_WORKERS, Done, Executor, Failed, Worker, in_flight
from slideseg.tasks.in_process import InProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from slideseg.tasks.base import Node, SharedExecutor


def executor_for(
    workers: int, address: str | None, gpus_per_worker: int = 0, wait: float = WAIT_FOR_WORKERS, run: str = ""
) -> Executor:
    """Return what runs the tasks of a ``run``: this process for one worker, Ray for more or on a cluster that is waited for."""
    if workers == 1 and address is None:
        return InProcessExecutor(in_flight=in_flight(gpus_per_worker))
    return shared_executor(workers, address, gpus_per_worker, wait, run)


def shared_executor(
    workers: int, address: str | None, gpus_per_worker: int = 0, wait: float = WAIT_FOR_WORKERS, run: str = ""
) -> SharedExecutor:
    """Return workers on Ray, on this machine or a cluster, that may have tasks of several slides at a time."""
    from slideseg.tasks.ray import RayExecutor  # noqa: PLC0415 - a single worker does without Ray

    return RayExecutor(workers, address, gpus_per_worker, wait, run)


@contextmanager
def cluster_nodes(address: str | None) -> Iterator[tuple[Node, ...]]:
    """Be connected to a cluster for as long as the block lasts, and give its nodes; none where no address is named.

    Raises:
        ClusterError: if it can't be reached.
    """
    if address is None:
        yield ()
        return
    from slideseg.tasks.session import Session, nodes_there  # noqa: PLC0415 - most commands do without Ray

    with Session(0, address):
        yield nodes_there()


def stop(failed: Failed) -> None:
    """End the run at the first shard that fails.

    Raises:
        RunError: always.
    """
    raise RunError(explain(f"shard {failed.task} failed: {failed.error}", try_="the same command again"))


def run_shards(
    work: Callable[[], Worker],
    shards: Sequence[int],
    executor: Executor,
    *,
    watch: Callable[[Any], None] | None = None,
    on_failure: Callable[[Failed], None] = stop,
    light: bool = False,
) -> None:
    """Have workers do every one of ``shards``, in whatever order.

    Args:
        work: makes a worker; called once in every process that works.
        shards: their numbers: those that are not done yet.
        executor: runs them; inside its ``with`` block.
        watch: told here what the worker said of each shard, as they end; what it raises ends the run.
        on_failure: told here of a shard that could not be done; what it raises ends the run.
        light: whether the work is reading and writing, without the network.

    Raises:
        SlidesegError: what a worker raised, but for a slide that can't be read, which is a failure of one shard.
    """
    if not shards:
        return
    with closing(executor.run(work, shards, light=light)) as events:
        for event in events:
            match event:
                case Done(result=result):
                    if watch is not None:
                        watch(result)
                case Failed():
                    on_failure(event)
