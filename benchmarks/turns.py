"""Ways to do the same work, each in a process of its own, that take turns: whatever else the machine does hits all alike."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TextIO


def serve(work: Callable[[], object], warm_up: int, out: TextIO | None = None) -> None:
    """Be one process of a way: do the work as often as a line of the input says, print what each took, again and again."""
    first = timed(work)
    for _ in range(warm_up):
        work()
    print(json.dumps(first), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps([timed(work) for _ in range(int(line))]), file=out, flush=True)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and the CPU time of all threads; the latter minds other processes less."""
    started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started[0], time.process_time() - started[1]


class Team:
    """The processes of a way, from outside: one, or several that share the work and the threads."""

    def __init__(self, arguments: list[str], threads: int, workers: int = 1, python: str = sys.executable) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": str(threads // workers), "PYTHONWARNINGS": "ignore"}
        self.processes = [
            subprocess.Popen(
                [python, *arguments],
                env={**env, **_meeting(rank, workers)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(workers)
        ]
        self.first = max(self._answers())[0]
        self.walls: list[float] = []
        self.cpus: list[float] = []

    def work(self, count: int = 1) -> None:
        """Have it done; the slowest process tells how long each took, and their CPU times add up."""
        for process in self.processes:
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
        for of_one in zip(*self._answers(), strict=True):
            walls, cpus = zip(*of_one, strict=True)
            self.walls.append(max(walls))
            self.cpus.append(sum(cpus))

    def leave(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.communicate()

    def numbers(self, other: Team) -> dict[str, float]:
        """Return best and median times, and ratios to another way's; ``ratio`` is the median over pairs in turn."""
        pairs = [ours / theirs for ours, theirs in zip(self.walls, other.walls, strict=True)]
        numbers = {
            "best_seconds": min(self.walls),
            "median_seconds": statistics.median(self.walls),
            "median_cpu_seconds": statistics.median(self.cpus),
            "first_step_seconds": self.first,
            "best_ratio": min(self.walls) / min(other.walls),
            "ratio": statistics.median(pairs),
            "cpu_ratio": statistics.median(self.cpus) / statistics.median(other.cpus),
        }
        return {name: round(number, 3) for name, number in numbers.items()}

    def _answers(self) -> list[Any]:
        lines = [process.stdout.readline() for process in self.processes]
        if not all(lines):
            msg = "a process ended early"
            raise RuntimeError(msg)
        return [json.loads(line) for line in lines]


def take_turns(teams: Iterable[Team], rounds: int) -> None:
    """Have all work once, round after round; nobody always follows the same one."""
    teams = list(teams)
    for turn in range(rounds):
        for team in teams[:: 1 if turn % 2 else -1]:
            team.work()
    for team in teams:
        team.leave()


def _meeting(rank: int, size: int) -> dict[str, str]:
    """Return what lets the processes of one way find each other."""
    if size == 1:
        return {}
    port = 20000 + os.getpid() % 10000
    return {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
