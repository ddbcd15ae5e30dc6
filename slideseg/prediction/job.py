"""What a worker is to do: values that travel to it once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import load_model_file
from slideseg.slide.resampled import open_working

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.slide.base import Slide
    from slideseg.slide.tissue import TissueMap
    from slideseg.space.grid import ShardGrid

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Source:
    """The pixels that are segmented: a slide at a level, resampled or not."""

    path: str
    """What `open_slide` takes."""
    level: int
    """Pyramid level that is read."""
    factor: float
    """Pixels of that level a working pixel; 1.0 reads it as it is."""

    def open(self) -> Slide:
        """Open the slide as one whose level 0 is the working resolution.

        Raises:
            SlideError: if it can't be opened.
        """
        return open_working(self.path, self.level, self.factor)


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to know; a value that travels to it once."""

    source: Source
    """What is segmented."""
    model: str
    """A bundled model's name or a model file's path."""
    output: str
    """Where the result store is."""
    grid: ShardGrid
    """The shards."""
    core: int
    """Largest side of a tile's core in pixels, a multiple of the network's stride."""
    batch: int
    """Tiles a forward pass."""
    tissue: TissueMap | None
    """Blocks to segment; None means all."""
    model_sha256: str = ""
    """Hash that the model file must have; empty for any."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    precision: Precision = "fp32"
    """Number format of the network."""
    threads: int = 1
    """CPU threads of one forward pass."""
    probabilities: bool = False
    """Whether class probabilities are written too."""


def load_model_of(job: Job) -> LoadedModel:
    """Load a job's model.

    Raises:
        ModelError: if this machine has another model under that name than the one that was planned with.
    """
    model = load_model_file(find_model(job.model))
    if job.model_sha256 not in ("", model.sha256):
        what = f"model {job.model} is another one on the worker's machine"
        raise ModelError(explain(what, got=model.sha256, want=job.model_sha256, try_="the same slideseg everywhere"))
    return model
