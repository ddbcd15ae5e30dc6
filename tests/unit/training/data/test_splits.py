from dataclasses import dataclass, field

import pytest

from slideseg.errors import ConfigError
from slideseg.training.data.splits import choose_by_fraction, split, split_sources
from slideseg.training.recipe.data import SourceConfig, SplitConfig


@dataclass(frozen=True)
class Named:
    name: str
    stem: str = ""
    plane: int | None = None
    row: dict = field(default_factory=dict)


def stack(planes: int) -> list[Named]:
    return [Named(f"stack[{plane}]", "stack", plane) for plane in range(planes)]


def names(images) -> list[str]:
    return [image.name for image in images]


@pytest.mark.parametrize("fraction", [8 / 30, 0.2667, 0.26])
def test_eight_of_thirty_slices_are_kept_for_validation(fraction) -> None:
    train, validation = split(stack(30), SplitConfig.model_validate({"fraction": fraction}))
    assert (len(train), len(validation)) == (22, 8)
    assert sorted(names(train) + names(validation)) == sorted(names(stack(30)))


def test_a_split_by_fraction_follows_from_names_and_seed_alone() -> None:
    every = names(stack(30))
    first = choose_by_fraction(every, 0.2, 0)
    assert first == choose_by_fraction(every[::-1], 0.2, 0)
    assert first != choose_by_fraction(every, 0.2, 1)
    assert len(first ^ choose_by_fraction([*every, "one more"], 0.2, 0)) <= 1


@pytest.mark.parametrize(
    ("config", "train", "validation"),
    [
        ({"train": [0, 1], "validation": [3]}, [0, 1], [3]),
        ({"validation": [1, "stack[3]"]}, [0, 2, 4], [1, 3]),
        ({"train": ["2"]}, [2], [0, 1, 3, 4]),
    ],
)
def test_a_split_by_list_names_planes(config, train, validation) -> None:
    got = split(stack(5), SplitConfig.model_validate(config))
    assert [[image.plane for image in part] for part in got] == [train, validation]


def test_a_split_by_list_names_files_and_whole_stacks() -> None:
    images = [*stack(3), Named("a", "a"), Named("None", "None")]
    train, validation = split(images, SplitConfig.model_validate({"train": ["a"], "validation": ["stack"]}))
    assert names(train) == ["a"]
    assert names(validation) == names(stack(3))


def test_a_split_by_column_leaves_out_other_values() -> None:
    images = [Named(name, name, None, {"part": part}) for name, part in zip("abcd", ["t", "v", "test", "t"], strict=True)]
    train, validation = split(images, SplitConfig.model_validate({"column": "part", "train": "t", "validation": "v"}))
    assert (names(train), names(validation)) == (["a", "d"], ["b"])


def test_a_column_may_hold_several_values_of_a_part() -> None:
    images = [Named(name, name, None, {"patient": str(number)}) for number, name in enumerate("abcd")]
    train, validation = split(images, SplitConfig.model_validate({"column": "patient", "validation": [1, "3"]}))
    assert (names(train), names(validation)) == (["a", "c"], ["b", "d"])
    with pytest.raises(ConfigError, match=r"no image for validation in column patient \(got '7', want 0 or 1 or 2 or 3\)"):
        split(images, SplitConfig.model_validate({"column": "patient", "validation": ["1", "7"]}))


@dataclass(frozen=True)
class OfSource(Named):
    source: SourceConfig = field(default_factory=lambda: source(None))


def source(own) -> SourceConfig:
    return SourceConfig.model_validate({"images": "x", "split": own})


def test_a_source_may_have_a_split_of_its_own() -> None:
    own, train, validation, shared = (source(part) for part in ({"validation": ["b"]}, "train", "validation", None))
    sources = [own, own, train, validation, shared, shared]
    images = [OfSource(name, name, source=one) for name, one in zip("abcdef", sources, strict=True)]
    parts = split_sources(images, SplitConfig.model_validate({"validation": ["e"]}))
    assert [names(part) for part in parts] == [["a", "c", "f"], ["b", "d", "e"]]
    images[5] = OfSource("f", "f", source=source({"train": ["f"], "validation": []}))
    parts = split_sources(images, SplitConfig.model_validate({"train": [], "validation": ["e"]}))
    assert [names(part) for part in parts] == [["a", "c", "f"], ["b", "d", "e"]], "a source may have nothing to judge by"
    with pytest.raises(ConfigError, match="no image for validation"):
        split_sources(images[2:3], SplitConfig.model_validate({"validation": ["e"]}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"train": [0, 1], "validation": [1]}, r"both in training and in validation \(got stack\[1\]"),
        ({"train": [7]}, r"data.split.train: no such image \(got 7, want stack\[0\] ... stack\[4\]\)"),
        ({"validation": [0, 1, 2, 3, 4]}, "no image for training"),
        ({"train": [], "validation": [1]}, "no image for training"),
        ({"column": "part", "train": "a"}, "no column part"),
    ],
)
def test_a_split_that_can_not_be_is_refused(config, message) -> None:
    with pytest.raises(ConfigError, match=message):
        split(stack(5), SplitConfig.model_validate(config))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.99])
def test_a_few_images_are_parted_so_that_neither_side_is_empty(count: int, fraction: float) -> None:
    parts = split(stack(count), SplitConfig(fraction=fraction))
    assert min(map(len, parts)) >= 1
    assert sum(map(len, parts)) == count


def test_a_single_image_can_t_be_parted() -> None:
    with pytest.raises(ConfigError, match="no image for validation"):
        split(stack(1), SplitConfig(fraction=0.5))


def test_a_value_that_no_row_holds_is_refused() -> None:
    images = [Named("a", "a", None, {"part": "train"})]
    with pytest.raises(ConfigError, match=r"no image for validation in column part \(got 'val', want train\)"):
        split(images, SplitConfig.model_validate({"column": "part", "validation": "val"}))
