"""The contract that every executor keeps (slideseg/executors/base.py), in this process and on Ray."""

import functools
import socket
import threading

import pytest

from slideseg.errors import ClusterError, RunError
from slideseg.tasks.base import STRIKES, Done, Failed
from slideseg.tasks.ray import RayExecutor, check_address, connected
from slideseg.tasks.serial import SerialExecutor
from slideseg.testing.workers import ScriptedWorker


@pytest.fixture(scope="module")
def ray_executor():
    """An executor that finds Ray started: each run would start its own, for seconds."""
    with connected(2, None):
        yield RayExecutor(2)


@pytest.fixture(params=["serial", pytest.param("ray", marks=pytest.mark.ray)])
def executor(request):
    return SerialExecutor() if request.param == "serial" else request.getfixturevalue("ray_executor")


def attempts(folder, task):
    path = folder / str(task)
    return path.stat().st_size if path.exists() else 0


def events_of(executor, worker, tasks):
    return {event.task: event for event in executor.run(worker, tasks)}


def test_every_task_is_done_once_and_a_bad_one_fails_alone(executor, tmp_path):
    worker = functools.partial(ScriptedWorker, str(tmp_path), bad=(3,))
    tasks = [*range(9), 40]

    events = list(executor.run(worker, tasks))

    assert sorted(event.task for event in events) == tasks
    assert [event for event in events if isinstance(event, Failed)] == [Failed(3, "tile 3 is damaged")]
    assert all(event.result == 10 * event.task for event in events if isinstance(event, Done))
    assert all(attempts(tmp_path, task) == 1 for task in tasks)


def test_nothing_to_do_is_no_work(executor, tmp_path):
    assert list(executor.run(functools.partial(ScriptedWorker, str(tmp_path)), [])) == []


def test_any_other_error_ends_the_run(executor, tmp_path):
    worker = functools.partial(ScriptedWorker, str(tmp_path), broken=(2,))

    with pytest.raises(RunError, match="the disk is full at 2"):
        list(executor.run(worker, range(200)))
    assert attempts(tmp_path, 199) == 0


def test_leaving_early_stops_the_work(executor, tmp_path):
    worker = functools.partial(ScriptedWorker, str(tmp_path), seconds=0.05)
    events = executor.run(worker, range(500))
    next(events)
    events.close()

    assert attempts(tmp_path, 499) == 0


def test_the_serial_executor_works_in_this_process_without_spare_threads(tmp_path):
    before = threading.active_count()
    worker = functools.partial(ScriptedWorker, str(tmp_path), seconds=0.01)
    for _ in SerialExecutor().run(worker, range(6)):
        assert threading.active_count() - before <= 2
    assert (tmp_path / "closed").exists()


@pytest.mark.ray
def test_tasks_survive_the_death_of_their_workers_and_a_deadly_one_is_given_up(ray_executor, tmp_path):
    deaths = {1: 1, 5: 2, 7: 99}
    worker = functools.partial(ScriptedWorker, str(tmp_path), deaths=deaths, seconds=0.02)

    events = events_of(ray_executor, worker, range(12))

    assert set(events) == set(range(12))
    assert isinstance(events[7], Failed)
    assert "killed its worker" in events[7].error
    assert attempts(tmp_path, 7) == STRIKES
    assert all(event.result == 10 * task for task, event in events.items() if task != 7)


def test_a_worker_that_can_not_be_made_ends_the_run_with_its_own_error(executor, tmp_path):
    worker = functools.partial(ScriptedWorker, str(tmp_path), refuses="no such model")

    with pytest.raises(RunError, match=r"^no such model$"):
        list(executor.run(worker, range(3)))


@pytest.mark.parametrize("address", ["nonsense", "host:port", "ray://"])
def test_an_address_that_can_not_be_read_is_refused(address):
    with pytest.raises(ClusterError, match="can't be read"):
        check_address(address)


def test_an_address_where_nothing_listens_is_refused():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        check_address(f"127.0.0.1:{port}")
