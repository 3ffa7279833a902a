"""What probes ask of a tokenizer, which each of them asks anew for every dose."""

from __future__ import annotations

from unlearn_audit.api.kit.asking import longest_of


class Counting:
    """A tokenizer whose tokens are words."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text, *, add_special_tokens):
        assert not add_special_tokens
        self.asked.append(text)
        return text.split()


def test_the_longest_of_some_texts_is_counted_once_a_tokenizer():
    one, other = Counting(), Counting()
    texts = {"a", "a b c", "d e"}
    assert [longest_of(one, set(texts)) for _ in range(3)] == [3, 3, 3]
    assert sorted(one.asked) == sorted(texts)
    assert longest_of(other, texts) == 3 and sorted(other.asked) == sorted(texts)
    assert longest_of(one, {"d e"}) == 2 and longest_of(one, set()) == 0
