"""The contract that every executor keeps (slideseg/tasks/base.py), in this process and on Ray."""

import functools
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest
import ray

from slideseg.arrays.graphs import GraphExecutor
from slideseg.errors import ClusterError, RunError
from slideseg.tasks import patience
from slideseg.tasks.base import STRIKES, Done, Failed
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.tasks.ray import SMALL_BYTES, RayExecutor
from slideseg.tasks.run_shards import run_shards
from slideseg.tasks.session import check_address, connected
from slideseg.testing.workers import ScriptedWorker


@pytest.fixture(scope="module")
def ray_executor():
    """An executor on a cluster, which is a Ray that this process has started: each run would start its own, for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slideseg.tasks.ray.GRACE", 2.0)  # nobody cuts its network, so nobody need wait for it
        with connected(2, None), RayExecutor(2, "auto") as started:
            yield started


@pytest.fixture(params=["serial", pytest.param("ray", marks=pytest.mark.ray)])
def executor(request):
    return InProcessExecutor() if request.param == "serial" else request.getfixturevalue("ray_executor")


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
    for _ in InProcessExecutor().run(worker, range(6)):
        assert threading.active_count() - before <= 2
    assert (tmp_path / "closed").exists()


@pytest.mark.ray
def test_tasks_survive_the_death_of_their_workers_and_a_deadly_one_is_given_up(ray_executor, tmp_path):
    deaths = {5: 1, 7: 99}
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


@pytest.mark.parametrize("address", ["nonsense", "host:port", "ray://", "", "local", "host:\u00b2", ":6379"])
def test_an_address_that_can_not_be_read_is_refused(address):
    with pytest.raises(ClusterError, match="can't be read"):
        check_address(address)


def test_an_address_where_nothing_listens_is_refused():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClusterError, match="no Ray cluster answers"):
        check_address(f"127.0.0.1:{port}")


def test_light_work_is_done_like_any_other(executor, tmp_path):
    worker = functools.partial(ScriptedWorker, str(tmp_path), bad=(3,))

    events = {event.task: event for event in executor.run(worker, range(20), light=True)}

    assert set(events) == set(range(20))
    assert events[3] == Failed(3, "tile 3 is damaged")


@dataclass
class Nested:
    """Has light work of its own at each task."""

    folder: str

    def __call__(self, task):
        worker = functools.partial(ScriptedWorker, self.folder)
        return sum(event.result for event in InProcessExecutor().run(worker, range(task), light=True))

    def close(self):
        pass


def test_light_work_may_have_light_work_in_it(executor, tmp_path):
    events = {event.task: event for event in executor.run(functools.partial(Nested, str(tmp_path)), range(20), light=True)}
    assert events == {task: Done(task, 10 * sum(range(task))) for task in range(20)}


def test_every_result_is_watched_and_the_first_failure_ends_the_loop(executor, tmp_path):
    watched = []
    run_shards(functools.partial(ScriptedWorker, str(tmp_path)), [3, 4, 8], executor, watch=watched.append)
    assert sorted(watched) == [30, 40, 80]

    worker = functools.partial(ScriptedWorker, str(tmp_path), bad=(2,))
    with pytest.raises(RunError, match=r"shard 2 failed: tile 2 is damaged .*the same command again"):
        run_shards(worker, range(200), executor)
    assert attempts(tmp_path, 199) == 0


def test_failures_may_be_collected_and_what_a_watcher_raises_ends_the_loop(executor, tmp_path):
    failed = []
    run_shards(functools.partial(ScriptedWorker, str(tmp_path), bad=(2, 5)), range(9), executor, on_failure=failed.append)
    assert sorted(failure.task for failure in failed) == [2, 5]

    def refuse(result):
        raise RunError(f"told of {result}")

    with pytest.raises(RunError, match="told of"):
        run_shards(functools.partial(ScriptedWorker, str(tmp_path)), range(10, 300), executor, watch=refuse)
    assert attempts(tmp_path, 299) == 0


def test_on_one_machine_ray_is_started_for_nothing_less_than_the_networks_work(monkeypatch, tmp_path):
    monkeypatch.setattr("slideseg.tasks.session.connected", None)
    with RayExecutor(2) as executor:
        run_shards(None, [], executor)
        for light in (executor, GraphExecutor(executor)):
            watched = []
            run_shards(functools.partial(ScriptedWorker, str(tmp_path)), range(5), light, watch=watched.append, light=True)
            assert sorted(watched) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("broken", [(), (7,)])
def test_graphs_run_where_the_executor_does_and_raise_what_a_task_raised(executor, tmp_path, broken):
    graphs, worker = GraphExecutor(executor), functools.partial(ScriptedWorker, str(tmp_path), broken=broken)
    if broken:
        with pytest.raises(RunError, match=r"^the disk is full at 7$"):
            run_shards(worker, range(12), graphs, light=True)
        return
    watched = []
    run_shards(worker, range(12), graphs, watch=watched.append, light=True)
    assert sorted(watched) == [10 * task for task in range(12)]


@pytest.mark.ray
def test_several_share_the_workers_and_one_that_ends_early_costs_the_others_nothing(ray_executor, tmp_path):
    """Also tasks of others that were in a process that had to be ended count no death."""
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    found = {}

    def take(number):
        worker = functools.partial(ScriptedWorker, str(folders[number]), seconds=0.02)
        found[number] = events_of(ray_executor.at(number), worker, range(25))

    threads = [threading.Thread(target=take, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    early = ray_executor.at(0).run(functools.partial(ScriptedWorker, str(folders[0]), seconds=0.02), range(500))
    assert [isinstance(next(early), Done) for _ in range(5)] == [True] * 5
    early.close()
    for thread in threads:
        thread.join()

    assert attempts(folders[0], 499) == 0
    for number in (1, 2):
        assert found[number] == {task: Done(task, 10 * task) for task in range(25)}


class Unreadable:
    """Makes workers, and can't be read by another process."""

    def __reduce__(self):
        return _lack, ()

    def __call__(self, _):
        """Be what can be called."""


def _lack():
    raise ImportError("no module named so")


@pytest.mark.ray
@pytest.mark.parametrize("size", [0, SMALL_BYTES])
def test_what_can_not_be_read_by_the_workers_is_one_line(ray_executor, size):
    """Also if it is large, and travels in another way."""
    worker = functools.partial(Unreadable(), bytes(size))
    with pytest.raises(RunError, match="no module named so") as told:
        list(ray_executor.run(worker, range(3)))
    assert str(told.value).count("\n") == 0


@pytest.mark.ray
@pytest.mark.parametrize("size", [0, SMALL_BYTES])
def test_what_workers_are_made_of_may_be_of_any_size(ray_executor, tmp_path, size):
    worker = functools.partial(ScriptedWorker, str(tmp_path) + "/" * size)
    assert len(list(ray_executor.run(worker, range(3)))) == 3


AFTER_RAY = """
import functools, sys
import psutil
from slideseg.errors import RunError
from slideseg.tasks.ray import RayExecutor
from slideseg.testing.workers import ScriptedWorker

with RayExecutor(1) as executor:
    print(len(list(executor.run(functools.partial(ScriptedWorker, sys.argv[1]), range(2)))), flush=True)
    for one in psutil.Process().children(recursive=True):
        if one.name() == "raylet":
            one.kill()
            one.wait()
    try:
        print("then", len(list(executor.run(functools.partial(ScriptedWorker, sys.argv[1]), range(9)))))
    except RunError as error:
        print("then", error)
"""


@pytest.mark.ray
def test_work_that_comes_when_ray_is_gone_is_done_or_told_so(tmp_path):
    """Workers live on for a moment. Whoever puts something into Ray's store then is ended by it, without a word."""
    words = [sys.executable, "-c", AFTER_RAY, tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.splitlines()[0] == "2", done.stderr
    assert any(line == "then 9" or line.startswith("then Ray was killed on this mach") for line in done.stdout.splitlines())


@ray.remote(num_cpus=1)
class Hog:
    """Takes a core."""

    def there(self) -> None:
        """Answer once it is."""


@pytest.mark.ray
def test_a_cluster_whose_cores_are_taken_is_waited_for_aloud(ray_executor, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(patience, "FIRST_WORD", 0.3)
    monkeypatch.setattr(patience, "NEXT_WORD", 0.3)
    ray_executor.__exit__()  # its actors have the cores, and would keep them
    hogs = [Hog.remote() for _ in range(2)]
    ray.get([hog.there.remote() for hog in hogs])
    worker = functools.partial(ScriptedWorker, str(tmp_path))
    said = r"no worker could be had in 1 s \(got the cluster has 2 cores, 0 free, want 1 core"
    with RayExecutor(2, "auto", wait=1) as impatient, pytest.raises(ClusterError, match=said) as told:
        list(impatient.run(worker, range(3)))
    assert "--wait-for-workers" in str(told.value)
    said = [record.getMessage() for record in caplog.records]
    assert 2 <= len(said) <= 4
    assert all("waiting for workers" in line and "each needs 1 core; the cluster has 2 cores, 0 free" in line for line in said)
    threading.Timer(1.0, lambda: [ray.kill(hog) for hog in hogs]).start()
    with RayExecutor(2, "auto", wait=60) as patient:
        assert len(list(patient.run(worker, range(3)))) == 3, "as soon as there is room it goes on"
        caplog.clear()
        monkeypatch.setattr(patience, "FIRST_WORD", 30)
        assert len(list(patient.run(worker, range(3)))) == 3
    assert not caplog.records
