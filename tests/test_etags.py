"""Is a client told that it has the answer already, when it has and only then?"""

from __future__ import annotations

import pytest

from app.etags import make_etag, matches

TAG = '"abc"'


@pytest.mark.parametrize(
    "header",
    [
        TAG, f"W/{TAG}", "*", " * ", f" {TAG} ", f'"x", {TAG}', f'{TAG},"x"', f'"x",W/"y" , W/{TAG}', f'"",{TAG}',
        f'"with,comma" , {TAG}',
    ],
)  # fmt: skip
def test_tag_is_found_among_the_client_s(header: str) -> None:
    assert matches(header, TAG)


@pytest.mark.parametrize(
    "header",
    [
        "", " ", '""', '"ab"', '"abcd"', '"ABC"', "abc", '"abc', 'abc"', 'W/"ab"', f"w/{TAG}", f'"x" {TAG}', f"{TAG} x",
        f"{TAG};q=1", f'"x, {TAG}', f"*, {TAG}", f"{TAG}, *", "'abc'", "W/", ",", "é",
    ],
)  # fmt: skip
def test_other_tags_and_what_is_no_list_of_tags_match_nothing(header: str) -> None:
    assert not matches(header, TAG)


def test_tag_depends_on_everything_it_is_made_of() -> None:
    given = [(), (1,), (2,), ("1",), (1, None), (1, ""), (None, 1), ((1, None),), (12,), (1, 2), ("a", "b"), ("ab",)]
    tags = {make_etag(*what) for what in given}
    assert len(tags) == len(given)
    assert make_etag(1, None) == make_etag(1, None)
    assert all(matches(tag, tag) for tag in tags)
