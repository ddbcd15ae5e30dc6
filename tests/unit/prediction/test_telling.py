"""Of each of several slides it is told what became of it, once, and when it is known."""

from slideseg.prediction.report import SlideReport
from slideseg.prediction.telling import Telling
from slideseg.tasks.progress import Progress


def test_each_slide_ends_once_and_is_counted():
    told = []
    telling = Telling(told.append, 3)
    telling(Progress("a", "segmenting", 5, 9, 4))
    telling(Progress("a", "done", 9, 9, 4))  # its last step is still to come
    telling.over(SlideReport("a", "a.zarr", "ok", pixels=9, kept_pixels=4))
    telling.put_off(SlideReport("b", "b.zarr", "failed", error="another run has it"))
    telling.over(SlideReport("c", "c.zarr", "failed", error="it is cut off"))
    assert told == [
        Progress("a", "segmenting", 5, 9, 4, (0, 3)),
        Progress("a", "done", 9, 9, 4, (1, 3)),
        Progress("b", "put off", 0, 0, 0, (1, 3)),
        Progress("c", "failed", 0, 0, 0, (2, 3), "it is cut off"),
    ]


def test_nobody_may_listen():
    Telling(None, 1).over(SlideReport("a", "a.zarr", "ok"))
