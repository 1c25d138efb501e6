from __future__ import annotations

from store_samples import LATER, NOW

from publisher.store import Tx


def test_a_token_is_found_by_its_hash_until_it_is_removed(tx: Tx) -> None:
    made = tx.api_tokens.add("bot", "hash of it", ("subscribers", "entries"), NOW)
    assert made
    assert (made.name, made.scopes, made.created, made.used) == ("bot", ("entries", "subscribers"), NOW, None)
    assert tx.api_tokens.by_hash("hash of it") == made
    assert tx.api_tokens.by_hash("another") is None
    assert tx.api_tokens.remove("bot")
    assert not tx.api_tokens.remove("bot")
    assert tx.api_tokens.by_hash("hash of it") is None


def test_a_name_is_taken_once(tx: Tx) -> None:
    tx.api_tokens.add("bot", "one", (), NOW)
    assert tx.api_tokens.add("bot", "two", (), NOW) is None
    assert [token.hash for token in tx.api_tokens.list()] == ["one"]


def test_it_is_known_when_a_token_was_used(tx: Tx) -> None:
    for name in ("b", "a"):
        made = tx.api_tokens.add(name, name, (), NOW)
    assert made
    tx.api_tokens.touch(made.id, LATER)
    assert [(token.name, token.used) for token in tx.api_tokens.list()] == [("a", LATER), ("b", None)]
