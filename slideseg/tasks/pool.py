"""One pool of worker processes for all who have work: many slides at a time, pass after pass.

Who has work comes from a thread of its own and calls `Pool.run`. One thread, the foreman, owns everything else: it hires
processes as there is work for them, keeps a few tasks in each (quick ones by the handful, since each message costs), replaces
one that died, and counts a strike against the tasks that it died with. Work of a lower place comes first, so what was begun
first is done first, and what comes later fills the processes that would wait for its last tasks. A process makes a worker for
each batch of tasks that it gets some of, and forgets it when the batch has ended.

Tasks with a strike are run alone, so that the third death convicts the right one; a death with its whole machine counts for
none (``docs/decisions/0003-own-actor-replacement.md``). Nothing here knows what runs the processes: `tasks/ray.py` does.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from bisect import insort
from collections import Counter, deque
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from slideseg.errors import RunError, explain
from slideseg.tasks import patience
from slideseg.tasks.base import STRIKES, Done, Failed
from slideseg.tasks.crew import AHEAD, SHARES, Audience, Batch, Handful, Member, PoolState
from slideseg.tasks.patience import Wait, silent
from slideseg.tasks.process import Died, NotMadeError, Raised, Ready, Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from slideseg.errors import SlidesegError
    from slideseg.tasks.base import Worker, WorkerTime
    from slideseg.tasks.process import Employer, Outcome

log = logging.getLogger(__name__)

FAILED_STARTS = 3
"""No more are hired when so many processes in a row died before they were ready; with none at work the run is given up."""
LAST_TASKS = 10.0
"""Seconds that the tasks of a process that was ended are waited for at most: then the process is cut off."""


class Pool:
    """The processes of a command."""

    def __init__(self, employer: Employer) -> None:
        self._employer = employer
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._numbers = itertools.count()
        self._audience = Audience()
        self._last_tasks = LAST_TASKS
        self._batches: list[Batch] = []
        self._members: list[Member] = []
        self._were_ready: list[Member] = []
        self._on_trial: list[tuple[float, Batch, int]] = []
        """Tasks with three deaths, and when it is known whether these count."""
        self._failed_starts = self._lost_tasks = self._failed_tasks = 0
        self._said: set[tuple[str, str]] = set()
        self._unfit: set[str] = set()
        """Machines whose processes are not fit for work."""
        self._wait = Wait(employer)
        self._next_ping, self._is_closed = 0.0, False
        self._foreman = threading.Thread(target=self._serve, name="foreman", daemon=True)
        self._foreman.start()

    def run(self, make_worker: Callable[[], Worker], tasks: Sequence[int], place: int = 0) -> Generator[Done | Failed]:
        """Yield one event a task, as they end; may be called from several threads at a time.

        Raises:
            ClusterError: if no process could be had.
            RunError: if processes don't start.
        """
        batch = Batch(place, next(self._numbers), self._employer.pack(make_worker), deque(tasks))
        left = len(batch.waiting)
        self._audience.add(batch)
        self._tell(partial(insort, self._batches, batch))
        try:
            while left:
                event = batch.events.get()
                if isinstance(event, BaseException):
                    raise event
                left -= 1
                yield event
        finally:
            self._audience.remove(batch)
            self._tell(partial(self._end, batch))
            batch.has_left.wait(self._last_tasks)

    def give_up(self, error: SlidesegError) -> None:
        """End all work with an error, now and for whoever comes later: processes can't be had, or reached, any more.

        The foreman is not needed for that: it may be waiting for an answer that does not come.
        """
        self._last_tasks = 0.0
        self._audience.fail(error)

    @property
    def is_hungry(self) -> bool:
        """Whether more tasks could be begun than there are, now or within the time that it takes to come by more."""
        left = sum(len(batch.waiting) * batch.seconds for batch in list(self._batches))
        return self._waiting < self._places or left < AHEAD * self._places

    @property
    def _places(self) -> int:
        """Tasks, or handfuls of them, under way at most."""
        return self._employer.most * self._employer.in_flight

    @property
    def _waiting(self) -> int:
        return sum(len(batch.waiting) for batch in list(self._batches))

    @property
    def failure(self) -> BaseException | None:
        """Why there will be no processes any more; None while there can be some."""
        return self._audience.failure

    @property
    def spent(self) -> tuple[WorkerTime, ...]:
        """How the processes spent their time, from their being ready to now."""
        now = time.monotonic()
        return tuple(member.spent(now) for member in list(self._were_ready))

    @property
    def state(self) -> PoolState:
        """What the pool is at."""
        ready = [member for member in list(self._members) if member.machine is not None]
        there, at_work = (Counter(member.host for member in some) for some in (ready, [one for one in ready if one.work]))
        return PoolState(self._waiting, there, at_work, self._lost_tasks, self._failed_tasks)

    def close(self) -> None:
        """End all processes; who still waits for tasks is told that there will be none."""
        self._tell(self._close)
        self._foreman.join(self._last_tasks)

    # --- from here on, all is done by the foreman ---------------------------------------------------------------------

    def _tell(self, message: Callable[[], None]) -> None:
        self._inbox.put(message)

    def _serve(self) -> None:
        while not self._is_closed:
            try:
                self._take_message()
                self._look_around()
                self._hand_out()
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                self._audience.fail(error)

    def _take_message(self) -> None:
        try:
            message = self._inbox.get(timeout=self._patience())
        except Empty:
            return
        message()

    def _close(self) -> None:
        self._is_closed = True
        self._audience.fail(RunError(explain("the run was stopped", try_="the same command again, it goes on from here")))
        for member in self._members:
            member.process.kill()
        for batch in self._batches:
            batch.has_left.set()

    def _end(self, batch: Batch) -> None:
        """Let nothing of a batch go on: processes that are at its tasks are ended, the others forget it."""
        batch.is_over = True
        if batch in self._batches:
            self._batches.remove(batch)
        self._on_trial = [(when, other, task) for when, other, task in self._on_trial if other is not batch]
        for member in list(self._members):
            if any(handful.batch is batch for handful in member.work):
                member.is_ended = True
                self._bury(member)
            elif batch.number in member.knows:
                member.knows.discard(batch.number)
                member.process.forget(batch.number)
        if not batch.in_hand:
            batch.has_left.set()

    def _hand_out(self) -> None:
        """Give every process what it can take, and hire more where there is more to do."""
        if self.failure is not None:
            return
        most = self._employer.in_flight
        free = [one for one in self._members if one.machine is not None and len(one.work) < most] if self._waiting else []
        for held in range(most):  # everybody has one before somebody has two
            for member in free:
                if len(member.work) == held and (batch := self._next_for(member)) is not None:
                    self._give(member, batch)
        there = sum(len(batch.waiting) + batch.in_hand for batch in self._batches)
        while len(self._members) < min(self._employer.most, there) and (
            self._failed_starts < FAILED_STARTS or not self._members
        ):
            self._hire()

    def _next_for(self, member: Member) -> Batch | None:
        """Return whose next task a process may take; a suspect is run alone."""
        if any(handful.is_suspect for handful in member.work):
            return None
        batch = next((batch for batch in self._batches if batch.waiting and member.takes(batch)), None)
        if batch is not None and member.work and batch.waiting[0] in batch.deaths:
            return None
        return batch

    def _give(self, member: Member, batch: Batch) -> None:
        handful = batch.take(self._waiting // (SHARES * self._places))
        if not member.work:
            member.busy_since = member.heard = member.pinged = handful.since
        member.work.append(handful)
        member.knows.add(batch.number)
        then = self._answer(self._answered, member, handful)
        member.process.run(batch.number, batch.make_worker, handful.tasks, then)

    def _answer(self, handle: Callable[..., None], *about: Any) -> Callable[[Outcome], None]:
        """Return what a process tells, which then is handled here."""
        return lambda outcome: self._tell(partial(handle, *about, outcome))

    def _hire(self) -> None:
        member = Member(self._employer.hire(self._unfit))
        self._members.append(member)
        member.process.ready(self._answer(self._is_ready, member))

    def _is_ready(self, member: Member, outcome: Outcome) -> None:
        match outcome:
            case Returned(Ready(machine, None, host)):
                member.machine, member.host, member.since, self._failed_starts = machine, host, time.monotonic(), 0
                member.heard = member.pinged = member.since
                self._were_ready.append(member)
            case Returned(Ready(machine, complaint)):
                log.warning("%s is left out: %s", self._employer.name_of(machine), complaint)
                self._unfit.add(machine)
                self._bury(member)
            case Raised(error):
                self._bury(member)
                raise error
            case Died(reason) if member in self._members:
                self._bury(member)
                self._start_failed(reason)

    def _start_failed(self, reason: str) -> None:
        """Count a process that died before it was ready.

        Raises:
            RunError: if there were too many, and there are no others.
        """
        self._failed_starts += 1
        if self._failed_starts < FAILED_STARTS:
            return
        if all(member.machine is None for member in self._members):
            raise RunError(explain("the workers do not start", got=reason, try_="fewer --workers, or --debug"))
        log.warning("no more workers are started: %d in a row died before they were ready (%s)", FAILED_STARTS, reason)

    def _answered(self, member: Member, handful: Handful, outcome: Outcome) -> None:
        """Take what came of some tasks."""
        batch, now = handful.batch, time.monotonic()
        member.work.remove(handful)
        batch.in_hand -= len(handful.tasks)
        if not member.work:
            member.busy += now - member.busy_since
        if isinstance(outcome, Died):
            if member in self._members and not member.is_ended and not batch.is_over:
                log.warning("a worker on %s died; what it had in hand is done again", member.host)
            self._bury(member)
        if not batch.is_over:
            self._pass_on(member, handful, outcome)
        elif not batch.in_hand:
            batch.has_left.set()

    def _pass_on(self, member: Member, handful: Handful, outcome: Outcome) -> None:
        """Tell who waits for tasks what came of them, or have them done again."""
        batch = handful.batch
        match outcome:
            case Returned(outcomes):
                handful.note(time.monotonic(), len(outcomes))
                batch.put_back(handful.tasks[len(outcomes) :])
                for task, of_one in zip(handful.tasks, outcomes, strict=False):
                    self._ended(member, batch, task, of_one)
            case Raised(NotMadeError(error=error)):
                self._refused(member, handful, error)
            case Raised(error):
                batch.events.put(error)
            case Died():
                self._lost(member, handful)

    def _ended(self, member: Member, batch: Batch, task: int, outcome: Outcome) -> None:
        """Tell who waits for a task what came of it."""
        match outcome:
            case Returned(value):
                batch.done += 1
                member.done += 1
                batch.events.put(Done(task, value))
            case Raised(error):
                self._failed_tasks += 1
                batch.events.put(Failed(task, str(error)))

    def _refused(self, member: Member, handful: Handful, error: BaseException) -> None:
        """Leave a machine out for a batch of which it can make no worker; it may be the only one that can't."""
        machine, batch = member.machine or "", handful.batch
        batch.put_back(handful.tasks)
        if machine not in batch.refused:
            batch.refused[machine], batch.refused_at = error, time.monotonic()
            if self._employer.has_others(batch.refused) and (said := (machine, str(error))) not in self._said:
                self._said.add(said)  # each batch of each slide would say it
                log.warning("%s is left out: %s", self._employer.name_of(machine), error)

    def _end_refused(self) -> None:
        """End the batches that no machine can make a worker of, also none whose processes may still come."""
        for batch in self._refused_by_all():
            is_late = time.monotonic() - batch.refused_at >= self._employer.grace
            if is_late or not self._employer.has_others(batch.refused):
                batch.is_over = True
                batch.waiting.clear()
                batch.events.put(next(iter(batch.refused.values())))

    def _refused_by_all(self) -> list[Batch]:
        """Return the batches of which none of the machines that are there can make a worker."""
        refused = [batch for batch in self._batches if batch.refused and not batch.is_over]
        return [batch for batch in refused if not any(member.takes(batch) for member in self._members)]

    def _bury(self, member: Member) -> None:
        """Let a process go that is dead, or is to be."""
        if member in self._members:
            self._members.remove(member)
            member.until = time.monotonic()
            member.process.kill()

    def _lost(self, member: Member, handful: Handful) -> None:
        """Have tasks done again that a process died with; with three deaths one is on trial."""
        batch, deaths = handful.batch, handful.batch.deaths
        self._lost_tasks += len(handful.tasks)
        for task in handful.tasks if not member.is_ended else ():
            deaths[task].append(member.machine or "")
        on_trial = [task for task in handful.tasks if task in deaths and len(deaths[task]) >= STRIKES]
        self._on_trial += [(time.monotonic() + self._employer.grace, batch, task) for task in on_trial]
        batch.put_back([task for task in handful.tasks if task not in on_trial])  # the sooner known, the fewer run alone

    def _judge(self) -> None:
        """Give up the tasks that three processes died with; those that died with their machines don't count."""
        now = time.monotonic()
        due = [(batch, task) for when, batch, task in self._on_trial if when <= now]
        self._on_trial = [one for one in self._on_trial if one[0] > now]
        for batch, task in due:
            deaths = [machine for machine in batch.deaths.pop(task) if not self._employer.is_gone(machine)]
            batch.deaths |= {task: deaths} if deaths else {}
            if len(deaths) < STRIKES:
                batch.waiting.append(task)
                continue
            got = f"{STRIKES} deaths"
            batch.convicted += 1
            self._failed_tasks += 1
            batch.events.put(Failed(task, explain("it killed its worker", got=got, try_="ray logs, or more --memory")))
            if batch.convicted >= STRIKES and not batch.done:
                what = f"{STRIKES} tasks killed their workers, and none was done"
                batch.events.put(RunError(explain(what, try_="ray logs, or more --memory")))

    def _ping(self) -> None:
        """Ask those at work whether they are alive, and end those that are silent; there may be thousands, so not each time."""
        now = time.monotonic()
        if now < self._next_ping:
            return
        self._next_ping = now + patience.PING_SECONDS / patience.PINGS
        for member in silent(self._members):
            self._bury(member)
        for member in self._members:
            if member.work and now - member.pinged >= patience.PING_SECONDS:
                member.pinged = now
                member.process.ping(self._answer(self._heard, member))

    def _heard(self, member: Member, outcome: Outcome) -> None:
        if isinstance(outcome, Returned):
            member.heard, member.is_missed = time.monotonic(), False

    def _patience(self) -> float | None:
        """Return the seconds until something has to be looked at that no message tells; None for never."""
        now = time.monotonic()
        times = [when for when, _, _ in self._on_trial]
        times += [batch.refused_at + self._employer.grace for batch in self._refused_by_all()]
        times += [self._next_ping] if any(member.work for member in self._members) else []
        times += self._wait.goes_on(self._has_nobody())
        return max(0.0, min(times) - now) if times else None

    def _has_nobody(self) -> bool:
        """Tell whether there is work and not a process that could do it."""
        has_work = any(batch.waiting for batch in self._batches)
        return self.failure is None and has_work and all(member.machine is None for member in self._members)

    def _look_around(self) -> None:
        """Judge whom is to be judged, and say what is waited for.

        Raises:
            ClusterError: if no process could be had for too long.
        """
        self._judge()
        self._end_refused()
        self._ping()
        self._wait.look()
