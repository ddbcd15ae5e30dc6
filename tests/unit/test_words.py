"""Facts in words."""

from slideseg.words import in_words, lines, number


def test_numbers_have_four_digits_or_all_before_the_point():
    assert [number(value) for value in (0.24999999999999997, 1 / 3, 1234567.8, 5e-7)] == ["0.25", "0.3333", "1234568", "5e-07"]


def test_values_in_words():
    assert in_words({"a": True, "b": None, "c": [1, 2.50000001], "d": {"e": ""}, "f": ["x", {"y": 0}]}) == (
        "a yes, c 1 x 2.5, d , f x; y 0"
    )


def test_lists_of_sentences_and_of_facts_have_a_line_an_entry_and_nothing_has_none():
    facts = {"one": 1, "longer": ["first", "second"], "none": None, "empty": (), "no": False}
    assert list(lines(facts)) == ["one     1", "longer  first", "        second", "no      no"]
