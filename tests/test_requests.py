"""Is a request read strictly: ids, credentials, query, and whom it comes from?"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from litestar.connection import ASGIConnection

from app.errors import Invalid, NotFound, Unauthenticated
from app.requests import (
    ID_MAX,
    QUERY_MAX_FIELDS,
    Clients,
    QueryParameters,
    bearer,
    check_query,
    client_agent,
    parse_id,
    parse_id_parameter,
)


def connection(
    *headers: tuple[str, str | bytes], client: str | None = "198.51.100.7"
) -> ASGIConnection[Any, Any, Any, Any]:
    """As the server hands it over."""
    raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    return ASGIConnection({"type": "http", "headers": raw, "client": (client, 50000) if client is not None else None})


# --- ids


@pytest.mark.parametrize("number", [1, 9, 10, 2**31, 10**18, ID_MAX])
def test_id_is_read(number: int) -> None:
    assert parse_id(str(number)) == number
    assert parse_id_parameter("api_key_id", str(number)) == number


NO_IDS = [
    "", "0", "00", "01", "-1", "+1", " 1", "1 ", "1\n", "1_0", "1.0", "1e3", "0x1", "١٢", "１", "²", "1\0", "null", "me",
    "9223372036854775808", "9999999999999999999", "1" * 20, "9" * 5000, "1,2", "1/2", "%31",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_IDS)
def test_what_cannot_be_an_id_is_not_found_in_a_path(text: str) -> None:
    with pytest.raises(NotFound):
        parse_id(text)


@pytest.mark.parametrize("text", NO_IDS)
def test_what_cannot_be_an_id_is_invalid_in_a_query(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_id_parameter("api_key_id", text)
    assert [error.pointer for error in caught.value.errors] == ["#/api_key_id"]


# --- the credential


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "BeArEr"])
def test_bearer_credential_is_read_whatever_the_scheme_s_case(scheme: str) -> None:
    assert bearer(connection(("authorization", f"{scheme} or_api_Abc.~-_+/=")).scope) == "or_api_Abc.~-_+/="


def refusal(*headers: tuple[str, str | bytes]) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        bearer(connection(*headers).scope)
    return caught.value


def test_no_credential_is_challenged_without_an_error() -> None:
    assert refusal().headers == {"WWW-Authenticate": 'Bearer realm="openrouter-watcher"'}
    assert refusal(("authorization", "Basic dTpw")).headers == {"WWW-Authenticate": 'Bearer realm="openrouter-watcher"'}


@pytest.mark.parametrize(
    "value",
    [
        "Bearer", "Bearer ", "Bearer  abc", "Bearer\tabc", "Bearer abc ", "Bearer abc def", "Bearerabc", "Bearer abc\n",
        b"Bearer \xff\xfe", "Bearer ключ", "Bearer ａｂｃ", b"Bearer a\0b", "bearer: abc",
    ],
)  # fmt: skip
def test_garbled_credential_is_refused_as_an_invalid_one(value: str | bytes) -> None:
    error = refusal(("authorization", value))
    assert error.status == 401
    assert error.headers == {"WWW-Authenticate": 'Bearer realm="openrouter-watcher", error="invalid_token"'}


@pytest.mark.parametrize("others", [["Bearer def"], ["Bearer abc"], ["Basic dTpw"]])
def test_two_credentials_are_refused_rather_than_one_chosen(others: list[str]) -> None:
    both = [("authorization", value) for value in ["Bearer abc", *others]]
    assert refusal(*both).credential_sent
    assert refusal(*reversed(both)).credential_sent


@pytest.mark.parametrize("value", ["", "Basic dTpw", "Token abc", "abc", "XBearer abc", " "])
def test_another_scheme_is_no_credential(value: str) -> None:
    assert not refusal(("authorization", value)).credential_sent


# --- whom a request comes from

PROXIES = Clients([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def forwarded(*values: str | bytes, client: str | None = "10.0.0.1", clients: Clients = PROXIES) -> str:
    return clients.address(connection(*[("x-forwarded-for", value) for value in values], client=client))


def test_forwarded_address_of_a_trusted_proxy_is_believed() -> None:
    assert forwarded("203.0.113.5") == "203.0.113.5"
    assert forwarded("2001:db8::5", client="fd00::1") == "2001:db8::5"


def test_forwarded_address_of_anybody_else_is_not_believed() -> None:
    assert forwarded("203.0.113.5", client="198.51.100.7") == "198.51.100.7"
    assert forwarded("203.0.113.5", clients=Clients([])) == "10.0.0.1"


def test_what_the_client_itself_wrote_is_not_believed() -> None:
    # the proxy appends the address it sees; everything to its left is the client's invention
    assert forwarded("127.0.0.1, 192.0.2.1, 203.0.113.5") == "203.0.113.5"
    assert forwarded("127.0.0.1", "192.0.2.1", "203.0.113.5") == "203.0.113.5"


def test_chain_of_trusted_proxies_is_followed_across_headers() -> None:
    assert forwarded("192.0.2.1, 203.0.113.5", "10.0.0.3", "10.0.0.2,fd00::2") == "203.0.113.5"
    assert forwarded("203.0.113.5 ,  10.0.0.3\t") == "203.0.113.5"


def test_request_from_a_proxy_itself_is_the_proxy_s() -> None:
    assert forwarded() == "10.0.0.1"
    assert forwarded("10.0.0.9, 10.0.0.8") == "10.0.0.9"


@pytest.mark.parametrize(
    "hop",
    [
        "",
        "unknown",
        "_hidden",
        "203.0.113.5:4711",
        "[2001:db8::5]",
        "203.0.113",
        "203.0.113.005",
        "256.1.1.1",
        b"\xff",
        "x" * 9999,
    ],
)
def test_garbage_hop_ends_the_chain(hop: str | bytes) -> None:
    garbage = hop if isinstance(hop, bytes) else hop.encode()
    assert forwarded(b"203.0.113.5, " + garbage) == "10.0.0.1"
    assert forwarded(b"203.0.113.5, " + garbage + b", 10.0.0.2") == "10.0.0.2"


def test_ipv4_written_as_ipv6_is_the_same_client() -> None:
    assert forwarded("::ffff:203.0.113.5") == "203.0.113.5"
    assert forwarded("203.0.113.5", client="::ffff:10.0.0.1") == "203.0.113.5"
    assert forwarded(client="::ffff:198.51.100.7") == "198.51.100.7"


def test_one_address_is_one_client_however_it_is_written() -> None:
    assert forwarded("2001:DB8:0:0::5") == forwarded("2001:db8::5")


def test_limits_count_an_ipv4_address_alone() -> None:
    first, second = (PROXIES.network(connection(client=address)) for address in ("198.51.100.7", "198.51.100.8"))
    assert (first, second) == ("198.51.100.7", "198.51.100.8")


def test_limits_count_an_ipv6_subscriber_s_64_as_one() -> None:
    def network(address: str) -> str:
        return PROXIES.network(connection(client=address))

    assert network("2001:db8:1:2::5") == network("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert network("2001:db8:1:3::5") != network("2001:db8:1:2::5")
    assert network("::ffff:198.51.100.7") == "198.51.100.7"


def test_limits_follow_the_forwarded_address() -> None:
    request = connection(("x-forwarded-for", "2001:db8:1:2::5"), client="10.0.0.1")
    assert PROXIES.network(request) == "2001:db8:1:2::/64"


@pytest.mark.parametrize("client", [None, "", "unix:", "testclient"])
def test_client_without_an_address_is_no_error(client: str | None) -> None:
    request = connection(("x-forwarded-for", "203.0.113.5"), client=client)
    assert PROXIES.address(request) == (client or "")
    assert isinstance(PROXIES.network(request), str)


def test_agent_is_short_and_printable() -> None:
    assert client_agent(connection(("user-agent", "curl/8.0 \x1b[31mred\x00\r\n"))) == "curl/8.0 [31mred"
    assert len(client_agent(connection(("user-agent", "x" * 9999)))) == 200
    assert client_agent(connection()) == ""


# --- the query

PARAMETERS = QueryParameters(
    by_argument={"limit": "limit", "cursor": "cursor"},
    names=frozenset({"limit", "cursor"}),
    integers=frozenset({"limit"}),
    dates=frozenset(),
)


@pytest.mark.parametrize(
    "query", [b"limit=1", b"limit=1000&cursor=a%20b", b"cursor=", b"cursor=%F0%9F%98%80", b"limit=-1", b"limit=0"]
)
def test_good_query_passes(query: bytes) -> None:
    check_query(query, PARAMETERS)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        (b"other=1", "#/other"),
        (b"Limit=1", "#/Limit"),
        (b"limit[]=1", "#"),
        (b"limit%00=1", "#"),
        (b"limit", "#/limit"),
        (b"limit=1&limit=1", "#/limit"),
        (b"limit=1&limit=2", "#/limit"),
        (b"cursor=%00", "#/cursor"),
        (b"cursor=a%00b", "#/cursor"),
        (b"cursor=%ff", "#"),
        (b"cursor=%ed%a0%80", "#"),
        (b"cursor=\xff", "#"),
        (b"%ff=1", "#"),
        (b"&".join(b"x%d=1" % number for number in range(QUERY_MAX_FIELDS + 1)), "#"),
        *((b"limit=" + text, "#/limit") for text in (
            b"", b"ten", b"01", b"%2B1", b"+1", b"1_0", b"1.0", b"1e3", b"0x1", b"%D9%A1", b"1%20", b"%201", b"-0", b"9" * 20,
            b"true", b"1,2",
        )),
    ],
)  # fmt: skip
def test_odd_query_is_invalid_and_says_where(query: bytes, pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_query(query, PARAMETERS)
    assert [error.pointer for error in caught.value.errors] == [pointer]
