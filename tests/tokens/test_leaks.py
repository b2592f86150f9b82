"""Is every token found in a text, and nothing else?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tokens.leaks import find_tokens

TOKEN = "or_api_0123456789ABCDEFGHIJKLMNOPQRSTUV1ggZdL"
OTHER = "or_api_WNapJRWhMmXK07SjSMJYPLokhaV7fwOO00VUzy"


@pytest.mark.parametrize(
    "text",
    [TOKEN, f"{TOKEN}abc", f"xor_api_{TOKEN}", f"or_api_{'0' * 20}{TOKEN}", f'{{"token":"{TOKEN}"}}', f"?t={TOKEN}&"],
)
def test_token_is_found_whatever_stands_around_it(text: str) -> None:
    assert list(find_tokens([text.encode()])) == [TOKEN]
    assert list(find_tokens([text.encode("utf-16")])) == [TOKEN]


@pytest.mark.parametrize("text", ["", TOKEN[:-1], TOKEN.swapcase(), TOKEN[:7] + TOKEN[8:], "or_api_" + "0" * 38 + "1"])
def test_what_only_looks_like_a_token_is_not_found(text: str) -> None:
    assert list(find_tokens([text.encode()])) == []


@given(st.lists(st.sampled_from([TOKEN, OTHER, "or_api_", "\0", "text ", TOKEN[:30]]), max_size=8), st.data())
def test_it_does_not_matter_how_the_text_is_cut(words: list[str], data: st.DataObject) -> None:
    text = "".join(words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert list(find_tokens(pieces)) == list(find_tokens([text])) == [word for word in words if word in (TOKEN, OTHER)]
