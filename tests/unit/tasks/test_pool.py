"""The pool's foreman, with processes that a test moves by hand."""

import threading
from collections import Counter
from functools import partial

import pytest

from slideseg.errors import ClusterError, RunError, SlideError
from slideseg.tasks import crew, patience
from slideseg.tasks import pool as module
from slideseg.tasks.base import IN_FLIGHT, STRIKES, Done, Failed, idle_share
from slideseg.tasks.crew import MOST_AT_ONCE
from slideseg.tasks.pool import Pool
from slideseg.tasks.process import Died, NotMadeError, Raised, Ready, Returned

MANY = 30.0
"""Seconds after which a test gives up waiting."""


class Message:
    """Tasks that a process got at once: it answers when it has said of all what came of them, or that it is at an end."""

    def __init__(self, tasks, then):
        self.tasks, self.then, self.told = tasks, then, {}

    def tell(self, task, outcome):
        if isinstance(outcome, Returned) or isinstance(getattr(outcome, "error", None), SlideError):
            self.told[task] = outcome
            outcome = Returned([self.told.get(one) for one in self.tasks])
        if self.then is not None and (len(self.told) == len(self.tasks) or not isinstance(outcome, Returned)):
            then, self.then = self.then, None
            then(outcome)


class Hand:
    """A process that does nothing until it is told what comes of it."""

    def __init__(self, number):
        self.number, self.tasks, self.forgot, self.is_killed = number, {}, [], False
        self.messages = []
        self.start, self.pings, self.answers = None, 0, True

    def ready(self, then):
        self.start = then

    def run(self, batch, make_worker, tasks, then):
        self.messages.append(tasks)
        message = Message(tasks, then)
        self.tasks |= {task: partial(message.tell, task) for task in tasks}

    def forget(self, batch):
        self.forgot.append(batch)

    def ping(self, then):
        self.pings += 1
        if self.answers:
            then(Returned(None))

    def kill(self):
        self.die("killed")

    def die(self, reason="it was killed"):
        self.is_killed = True
        tasks, self.tasks = self.tasks, {}
        for then in tasks.values():
            then(Died(reason))

    def come_to(self, task):
        """Finish a task, and come to no other of its message."""
        message = self.tasks[task].func.__self__
        for one in message.tasks:
            del self.tasks[one]
        message.then(Returned([Returned(10 * task)]))

    def finish(self, task):
        self.tasks.pop(task)(Returned(10 * task))


class Office:
    """Hires hands."""

    def __init__(self, most=2, wait=MANY, grace=0.0):
        self.most, self.wait, self.grace, self.hands, self.gone = most, wait, grace, [], set()
        self.in_flight = IN_FLIGHT
        self.machines = {"any", "other"}

    def hire(self, avoid):
        self.avoided = set(avoid)
        self.hands.append(Hand(len(self.hands)))
        return self.hands[-1]

    def pack(self, make_worker):
        return make_worker

    def is_gone(self, machine):
        return machine in self.gone

    def name_of(self, machine):
        return f"node {machine}"

    def has_others(self, machines):
        return bool(self.machines - set(machines))

    def needs(self):
        return "1 core"

    def room(self):
        return "there is none"


class Caller(threading.Thread):
    """Takes the events of a batch in a thread of its own."""

    def __init__(self, pool, tasks, place=0):
        super().__init__(daemon=True)
        self.pool, self.todo, self.place, self.events, self.error = pool, tasks, place, [], None
        self.start()

    def run(self):
        try:
            for event in self.pool.run(None, self.todo, self.place):
                self.events.append(event)
        except BaseException as error:  # noqa: BLE001 - the test's own thread is told of it
            self.error = error

    def result(self):
        self.join(MANY)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return sorted(self.events, key=lambda event: event.task)


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def pool(office):
    made = Pool(office)
    yield made
    made.close()


def until(true):
    pause = threading.Event()
    for _ in range(int(MANY * 200)):
        if true():
            return
        pause.wait(0.005)
    pytest.fail("it never came to that")


def hired(office, number=2, machine="here"):
    """Wait for so many new hands and let them be ready."""
    until(lambda: len(office.hands) >= number and all(hand.start for hand in office.hands))
    for hand in office.hands[-number:]:
        hand.start(Returned(Ready(machine, host=machine)))
    return office.hands[-number:]


def test_processes_are_hired_for_work_that_is_there_and_kept(pool, office):
    first = Caller(pool, [7])
    (hand,) = hired(office, 1)
    until(lambda: 7 in hand.tasks)
    hand.finish(7)
    assert first.result() == [Done(7, 70)]
    until(lambda: hand.forgot)
    again = Caller(pool, [8])
    until(lambda: 8 in hand.tasks)
    hand.finish(8)
    assert again.result() == [Done(8, 80)]
    assert len(office.hands) == 1


def test_the_lowest_place_comes_first_and_later_ones_fill_up(pool, office):
    late = Caller(pool, range(20, 40), place=2)
    one, two = hired(office)
    until(lambda: len(one.tasks) == len(two.tasks) == IN_FLIGHT)
    early = Caller(pool, [1, 2], place=1)
    until(lambda: pool.state.waiting == 18 and len(pool._batches) == 2)
    for hand in (one, two):
        hand.finish(next(iter(hand.tasks)))
    until(lambda: {*one.tasks, *two.tasks} >= {1, 2})
    for hand in (one, two):
        for task in [task for task in hand.tasks if task < 10]:
            hand.finish(task)
    assert early.result() == [Done(1, 10), Done(2, 20)]
    assert late.is_alive()


def test_everybody_has_a_task_before_somebody_has_two(pool, office):
    Caller(pool, [1, 2, 3])
    one, two = hired(office)
    until(lambda: sorted((len(one.tasks), len(two.tasks))) == [1, 2])


def test_a_task_that_dies_three_times_is_given_up_and_others_with_it_are_not(office):
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, [1, 2, 3])
    hand = alone(office, "here")
    until(lambda: set(hand.tasks) == {1, 2})
    hand.die()
    for _ in range(10):
        hand = alone(office, "here")
        while hand.tasks and not caller.events[3:]:
            if 2 in hand.tasks:
                assert set(hand.tasks) == {2}, "a suspect runs alone"
                hand.die()
            else:
                hand.finish(next(iter(hand.tasks)))
                until(lambda hand=hand: hand.tasks or not caller.is_alive())
        if not caller.is_alive():
            break
    one, two, three = caller.result()
    assert (one, three) == (Done(1, 10), Done(3, 30))
    assert isinstance(two, Failed)
    assert f"killed its worker (got {STRIKES} deaths" in two.error
    pool.close()


def test_where_every_task_kills_and_none_is_done_the_rest_is_not_tried(office):
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, range(100))
    while caller.is_alive() and len(office.hands) < 20:
        alone(office, "here", or_else=lambda: not caller.is_alive()).die()
    with pytest.raises(RunError, match="3 tasks killed their workers, and none was done"):
        caller.result()
    assert len(office.hands) < 12
    pool.close()


def alone(office, machine, or_else=lambda: False):
    """Let the only living hand be ready on a machine; return it when it has a task."""
    until(lambda: or_else() or (office.hands and office.hands[-1].start and not office.hands[-1].is_killed))
    hand = office.hands[-1]
    if not hand.is_killed:
        hand.start(Returned(Ready(machine, host=machine)))
        until(lambda: or_else() or hand.tasks)
    return hand


def test_deaths_with_their_machines_convict_nobody(office):
    office.most, office.grace = 1, 0.05
    pool = Pool(office)
    caller = Caller(pool, [5])
    for number in range(7):
        hand = alone(office, f"spot-{number}")
        office.gone.add(f"spot-{number}")
        hand.die("its node died")
    hand = alone(office, "here")
    hand.finish(5)
    assert caller.result() == [Done(5, 50)]
    pool.close()


def test_a_death_on_a_machine_that_lives_counts_also_after_others(office):
    office.most, office.grace = 1, 0.05
    pool = Pool(office)
    caller = Caller(pool, [5])
    for machine in ("a", "gone", "b", "gone", "c"):
        office.gone = {"gone"}
        alone(office, machine).die()
    (event,) = caller.result()
    assert isinstance(event, Failed)
    pool.close()


def test_who_leaves_early_ends_the_processes_at_his_tasks_and_others_start_anew(pool, office):
    leaves, stays = pool.run(None, range(9), 0), Caller(pool, [50, 51, 52], place=1)
    begun = threading.Thread(target=lambda: next(leaves), daemon=True)
    begun.start()
    one, two = hired(office)
    until(lambda: len(one.tasks) == len(two.tasks) == IN_FLIGHT)
    one.finish(next(task for task in one.tasks if task < 50))
    begun.join(MANY)
    leaves.close()
    until(lambda: len(office.hands) == 4)
    assert one.is_killed or two.is_killed
    for hand in office.hands[2:]:
        hand.start(Returned(Ready("here")))
    done = set()
    while len(done) < 3:
        until(lambda: any(hand.tasks for hand in office.hands if not hand.is_killed))
        for hand in office.hands:
            for task in list(hand.tasks):
                hand.finish(task)
                done.add(task)
    assert stays.result() == [Done(50, 500), Done(51, 510), Done(52, 520)]


def test_errors_of_a_worker_are_its_batch_s_alone(pool, office):
    bad, good = Caller(pool, [1, 2], 0), Caller(pool, [3], 1)
    one, two = hired(office)
    until(lambda: len(one.tasks) + len(two.tasks) == 3)
    outcome = {1: Raised(SlideError("tile 1 is damaged")), 2: Raised(RunError("the disk is full"))}
    for hand in (one, two):
        for task in [task for task in hand.tasks if task in outcome]:
            hand.tasks.pop(task)(outcome[task])
        for task in list(hand.tasks):
            hand.finish(task)
    with pytest.raises(RunError, match="the disk is full"):
        bad.result()
    assert good.result() == [Done(3, 30)]


def refuse(hand, error):
    for task in list(hand.tasks):
        hand.tasks.pop(task)(Raised(NotMadeError(error)))


def test_a_machine_that_can_not_make_a_worker_is_left_out_and_named_and_the_others_do_it(office, caplog):
    office.grace = MANY
    pool = Pool(office)
    caller = Caller(pool, [1, 2, 3, 4])
    until(lambda: len(office.hands) == 2 and all(hand.start for hand in office.hands))
    bad, good = office.hands
    bad.start(Returned(Ready("bad")))
    until(lambda: bad.tasks)
    refuse(bad, SlideError("no such file"))
    good.start(Returned(Ready("good")))
    while caller.is_alive():
        until(lambda: good.tasks or not caller.is_alive())
        refuse(bad, SlideError("no such file"))
        for task in list(good.tasks):
            good.finish(task)
    assert caller.result() == [Done(task, 10 * task) for task in (1, 2, 3, 4)]
    again = Caller(pool, [5, 6, 7])  # of the next slide, which lacks it too
    while again.is_alive():
        refuse(bad, SlideError("no such file"))
        for task in list(good.tasks):
            good.finish(task)
    assert len(again.result()) == 3
    assert [record.getMessage() for record in caplog.records] == ["node bad is left out: no such file"]
    pool.close()


def test_where_no_machine_can_make_a_worker_the_reason_is_raised(office):
    office.grace = 0.1
    pool = Pool(office)
    caller = Caller(pool, [1, 2])
    until(lambda: len(office.hands) == 2 and all(hand.start for hand in office.hands))
    for hand, machine in zip(office.hands, "ab", strict=True):
        hand.start(Returned(Ready(machine)))
        until(lambda hand=hand: hand.tasks)
        refuse(hand, SlideError(f"no such file on {machine}"))
    with pytest.raises(SlideError, match="no such file on"):
        caller.result()
    pool.close()


def test_where_there_is_no_other_machine_nothing_is_waited_for(office):
    office.grace, office.machines = 10 * MANY, {"a"}
    pool = Pool(office)
    caller = Caller(pool, [1, 2])
    until(lambda: office.hands and office.hands[0].start)
    office.hands[0].start(Returned(Ready("a")))
    until(lambda: office.hands[0].tasks)
    refuse(office.hands[0], SlideError("no such file"))
    with pytest.raises(SlideError, match="no such file"):
        caller.result()
    pool.close()


def test_nobody_looks_around_without_end_while_others_do_what_one_machine_can_not(office, monkeypatch):
    office.grace = 0.05
    looks = []
    look = Pool._look_around
    monkeypatch.setattr(Pool, "_look_around", lambda pool: looks.append(1) or look(pool))
    pool = Pool(office)
    caller = Caller(pool, [1, 2, 3])
    until(lambda: len(office.hands) == 2 and all(hand.start for hand in office.hands))
    bad, good = office.hands
    good.start(Returned(Ready("good")))
    until(lambda: good.tasks)
    bad.start(Returned(Ready("bad")))
    until(lambda: bad.tasks)
    refuse(bad, SlideError("no such file"))
    threading.Event().wait(0.3)  # past the time in which another machine might have come
    assert len(looks) < 50
    while caller.is_alive():
        until(lambda: good.tasks or not caller.is_alive())
        for task in list(good.tasks):
            good.finish(task)
    assert len(caller.result()) == 3
    pool.close()


def test_a_machine_that_is_not_fit_is_named_and_avoided(pool, office, caplog):
    caller = Caller(pool, [1])
    until(lambda: office.hands and office.hands[0].start)
    office.hands[0].start(Returned(Ready("old", "it has another slideseg")))
    until(lambda: len(office.hands) == 2 and office.hands[1].start)
    assert office.avoided == {"old"}
    assert office.hands[0].is_killed
    assert "node old is left out: it has another slideseg" in caplog.text
    alone(office, "new").finish(1)
    assert caller.result() == [Done(1, 10)]


def test_a_process_that_is_silent_is_ended_and_its_task_done_by_another(office, monkeypatch, caplog):
    monkeypatch.setattr(patience, "PING_SECONDS", 0.02)
    monkeypatch.setattr(patience, "MISSED_SECONDS", 0.3)
    monkeypatch.setattr(patience, "SILENT_SECONDS", 1.0)
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, [1, 2])
    hand = alone(office, "here")
    until(lambda: hand.pings > 20)
    assert not hand.is_killed
    assert not caplog.records
    hand.answers = False
    until(lambda: caplog.records)
    assert not hand.is_killed
    until(lambda: hand.is_killed)
    assert caplog.text.count("does not answer; after 1 s it is ended") == 1
    assert "is silent and is ended; what it had in hand is done again" in caplog.text
    for _ in range(2):
        hand = alone(office, "here") if hand.is_killed else hand
        until(lambda hand=hand: hand.tasks)
        hand.finish(next(iter(hand.tasks)))
    assert len(caller.result()) == 2
    pool.close()


def test_starts_that_fail_beside_others_that_work_end_nothing(pool, office, caplog):
    caller = Caller(pool, [1, 2, 3, 4, 5, 6])
    until(lambda: len(office.hands) == 2 and all(hand.start for hand in office.hands))
    office.hands[0].start(Returned(Ready("here")))
    for number in range(1, 4):
        until(lambda number=number: len(office.hands) > number and office.hands[number].start)
        office.hands[number].start(Died("no such module"))
    until(lambda: "no more workers are started" in caplog.text)
    while caller.is_alive():
        until(lambda: office.hands[0].tasks or not caller.is_alive())
        for task in list(office.hands[0].tasks):
            office.hands[0].finish(task)
    assert len(caller.result()) == 6
    assert len(office.hands) == 4


def test_processes_that_never_get_ready_end_the_run_not_a_task(pool, office):
    caller = Caller(pool, [1])
    for number in range(3):
        until(lambda number=number: len(office.hands) > number and office.hands[number].start)
        office.hands[number].start(Died("no such module"))
    with pytest.raises(RunError, match=r"the workers do not start \(got no such module"):
        caller.result()
    with pytest.raises(RunError, match="the workers do not start"):
        Caller(pool, [2]).result()


def test_where_there_is_no_room_it_is_said_and_given_up(office, caplog, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_WORD", 0.05)
    monkeypatch.setattr(patience, "NEXT_WORD", 0.05)
    office.wait = 0.4
    pool = Pool(office)
    with pytest.raises(ClusterError, match=r"no worker could be had in 0 s \(got there is none, want 1 core for each"):
        Caller(pool, [1]).result()
    assert any("waiting for workers" in record.getMessage() for record in caplog.records)
    pool.close()


def test_it_is_known_how_each_process_spent_the_time_that_it_was_there(office, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    pool = Pool(office)
    assert (pool.spent, idle_share(pool.spent)) == ((), 0.0)
    caller = Caller(pool, [1, 2, 3])
    one, two = hired(office)
    until(lambda: len(one.tasks) + len(two.tasks) == 3)
    for after, task in ((10, 1), (30, 2), (40, 3)):
        clock[0] = 100.0 + after
        hand = one if task in one.tasks else two
        hand.finish(task)
        until(lambda after=after: len(caller.events) == [10, 30, 40].index(after) + 1)
    caller.result()
    until(lambda: not one.tasks and not two.tasks)
    found = sorted(pool.spent, key=lambda spent: spent.tasks)
    assert [(spent.node, spent.tasks, spent.seconds) for spent in found] == [("here", 1, 40.0), ("here", 2, 40.0)]
    assert sorted((spent.busy, spent.idle) for spent in found) == [(30.0, 0.25), (40.0, 0.0)]
    assert idle_share(pool.spent) == pytest.approx(1 - (40 + 30) / 80)
    again = Caller(pool, [4, 5, 6, 7])
    until(lambda: len(one.tasks) == IN_FLIGHT)
    first, second = one.tasks.values()
    one.tasks = {}
    first(Died("it was killed"))
    until(lambda: one.is_killed)
    clock[0] += 60
    assert sorted(spent.seconds for spent in pool.spent) == [40.0, 100.0], "the dead are told of too"
    assert all(spent.busy <= spent.seconds for spent in pool.spent)
    second(Died("it was killed"))
    until(lambda: pool.state.lost == IN_FLIGHT)
    assert all(spent.busy <= spent.seconds for spent in pool.spent)
    assert again.is_alive()
    pool.close()


def test_the_state_tells_what_waits_who_works_and_what_was_lost_or_failed(pool, office):
    caller = Caller(pool, range(6))
    one, two = hired(office)
    until(lambda: len(one.tasks) == len(two.tasks) == IN_FLIGHT)
    state = pool.state
    assert (state.waiting, state.ready, state.at_work, state.lost, state.failed) == (2, {"here": 2}, {"here": 2}, 0, 0)
    one.tasks.pop(next(iter(one.tasks)))(Raised(SlideError("a tile is damaged")))
    until(lambda: pool.state.failed == 1 and len(one.tasks) == IN_FLIGHT)
    one.die()
    until(lambda: pool.state.lost == IN_FLIGHT)
    assert pool.state.ready == {"here": 1}
    until(lambda: len(office.hands) == 3)
    (new,) = hired(office, 1)
    while caller.is_alive():
        for hand in (two, new):
            if hand.tasks:
                hand.finish(next(iter(hand.tasks)))
    assert [isinstance(event, Failed) for event in caller.result()].count(True) == 1
    until(lambda: not pool.state.at_work)
    assert (pool.state.waiting, pool.state.lost, sum(spent.tasks for spent in pool.spent)) == (0, IN_FLIGHT, 5)


def test_a_pool_that_is_closed_lets_nobody_wait(pool, office):
    caller = Caller(pool, [1])
    until(lambda: office.hands)
    pool.close()
    with pytest.raises(RunError, match="stopped"):
        caller.result()
    assert office.hands[0].is_killed


def test_who_waits_hears_of_the_end_though_the_foreman_hears_of_nothing(office):
    """A cluster that is gone may keep whoever asks it something waiting."""
    pool = Pool(office)
    first = Caller(pool, [1])
    hired(office, 1)
    asked, answer = threading.Event(), threading.Event()

    def hire(avoid):
        asked.set()
        answer.wait(MANY)

    office.hire = hire
    late = Caller(pool, range(2, 9))
    assert asked.wait(MANY)
    later = Caller(pool, [9])
    until(lambda: not pool._inbox.empty())
    pool.give_up(RunError("the cluster is gone"))
    for caller in (first, late, later, Caller(pool, [10])):
        with pytest.raises(RunError, match="the cluster is gone"):
            caller.result()
    pool.close()
    assert not answer.is_set()
    answer.set()


def test_a_worker_that_dies_at_its_work_is_told_of_once(office, caplog):
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, [1, 2])
    hand = alone(office, "here")
    until(lambda: len(hand.tasks) == IN_FLIGHT)
    hand.die()
    for _ in range(2):  # each is a suspect, and runs alone
        hand = alone(office, "here") if hand.is_killed else hand
        until(lambda hand=hand: hand.tasks)
        hand.finish(next(iter(hand.tasks)))
    assert len(caller.result()) == 2
    pool.close()
    assert [record.getMessage() for record in caplog.records] == ["a worker on here died; what it had in hand is done again"]


def test_a_gpu_s_worker_has_more_under_way(pool, office):
    office.most, office.in_flight = 1, 4
    caller = Caller(pool, range(6))
    (hand,) = hired(office, 1)
    until(lambda: len(hand.tasks) == 4)
    for task in range(6):
        until(lambda task=task: task in hand.tasks)
        assert len(hand.tasks) <= 4
        hand.finish(task)
    assert len(caller.result()) == 6


def finished(office, caller, guilty=(), ready=()):
    """Have all tasks finished, by whoever has them, until the caller has all events; the guilty ones kill."""
    ready, pause = set(ready), threading.Event()
    while caller.is_alive():
        for hand in [hand for hand in office.hands if hand.start and not hand.is_killed]:
            if hand.number not in ready:
                ready.add(hand.number)
                hand.start(Returned(Ready("any")))
            for task in list(hand.tasks):
                if task in hand.tasks:
                    hand.die() if task in guilty else hand.finish(task)
        pause.wait(0.001)


def test_quick_tasks_come_by_the_handful_and_the_last_are_shared_out(office):
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, range(500))
    finished(office, caller)
    (hand,) = office.hands
    sizes = [len(message) for message in hand.messages]

    assert [event.task for event in caller.result()] == list(range(500))
    assert sizes[0] == 1
    assert 1 < max(sizes) <= MOST_AT_ONCE
    assert sizes[-1] == 1
    assert len(sizes) < 100
    assert sorted(task for message in hand.messages for task in message) == list(range(500))
    pool.close()


def test_who_is_quick_is_hungry_sooner(office):
    """It takes seconds to come by more."""
    office.most = 1
    pool = Pool(office)
    Caller(pool, range(100))
    (hand,) = hired(office, 1)
    until(lambda: len(hand.tasks) == IN_FLIGHT)
    assert not pool.is_hungry
    for _ in range(20):
        hand.finish(next(iter(hand.tasks)))
        until(lambda: hand.tasks)
    assert pool.state.waiting > IN_FLIGHT
    assert pool.is_hungry
    pool.close()


def test_slow_tasks_come_one_by_one(office, monkeypatch):
    monkeypatch.setattr(crew, "MOMENT", 1e-9)
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, range(50))
    finished(office, caller)

    assert {len(message) for message in office.hands[0].messages} == {1}
    assert len(caller.result()) == 50
    pool.close()


def test_what_a_process_does_not_come_to_goes_back(office):
    """Tasks that seemed quick may not be: glass comes before tissue."""
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, range(400))
    (hand,) = hired(office, 1)
    until(lambda: hand.tasks)
    while len(message := next(message for message in hand.messages if message[0] in hand.tasks)) == 1:
        hand.finish(message[0])
        until(lambda: hand.tasks)
    hand.come_to(message[0])
    finished(office, caller, ready={hand.number})

    assert [event.task for event in caller.result()] == list(range(400))
    times = Counter(task for one in hand.messages for task in one)
    assert {task for task in times if times[task] > 1} == {*message[1:]}
    pool.close()


def test_of_a_handful_that_kills_each_is_run_alone_and_only_the_guilty_one_is_given_up(office):
    office.most = 1
    pool = Pool(office)
    caller = Caller(pool, range(300))
    finished(office, caller, guilty={200})
    first = next(message for hand in office.hands for message in hand.messages if 200 in message)
    later = [message for hand in office.hands[1:] for message in hand.messages]

    assert len(first) > 1
    assert all(len(message) == 1 for message in later if {*message} & {*first})
    assert [event.task for event in caller.result() if isinstance(event, Failed)] == [200]
    assert len(caller.result()) == 300
    assert len(office.hands) == 1 + STRIKES
    pool.close()
