"""Sessions of browsers."""

from tidemill_server.console.session import Session, new_session, sessions_of

KEYS = {1: b"\x01" * 32}


def test_a_session_is_known_where_its_key_is() -> None:
    """Another process with the same keys opens a cookie; one with other keys does not."""
    sessions, session = sessions_of(KEYS), new_session("tm_key")

    cookie = sessions.sealed(session)

    assert "tm_key" not in cookie
    assert sessions_of(KEYS).opened(cookie) == session
    assert sessions_of(KEYS | {2: b"\x02" * 32}).opened(cookie) is None
    assert sessions.opened(cookie[:-4] + "AAA=") is None
    assert sessions.opened("") is None
    assert sessions.opened("\N{SNOWMAN}") is None


def test_a_csrf_token_is_of_one_session() -> None:
    """A form's token is valid for its own session only."""
    sessions, session = sessions_of(KEYS), new_session()

    token = sessions.csrf_token(session)

    assert sessions.is_csrf_token(session, token)
    assert not sessions.is_csrf_token(new_session(), token)
    assert not sessions.is_csrf_token(session, "")
    assert not sessions.is_csrf_token(session, "\N{SNOWMAN}")
    assert session == Session(session.nonce)
