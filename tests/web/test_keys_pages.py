"""Can a person do with their OpenRouter keys what the API can?"""

from __future__ import annotations

from decimal import Decimal

from tests.web.conftest import Arrive, Service, newcomer


async def test_key_is_read_paused_renamed_replaced_and_deleted(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "keeper", password_hash)
    account = service.world.add_account()
    first, second = account.add_key("first", limit=Decimal(10), limit_reset="monthly"), account.add_key("second")
    account.spend(first, Decimal("1.25"))
    person = await arrive()
    page = person.page
    await person.signs_in(api.email)
    await person.opens("/keys")
    assert "No key is watched yet" in await person.reads()
    await page.get_by_label("Name").fill("production")
    await page.get_by_label("Key", exact=True).fill(first.secret)
    await person.presses("Add the key")
    card = page.locator(".key", has_text="production")
    await card.get_by_text("up to date").wait_for()
    assert "$10.00 monthly, $8.75 left" in " ".join((await card.inner_text()).split())
    assert first.secret not in await page.content()

    # in place, without leaving the list
    account.spend(first, Decimal("0.50"))
    await card.get_by_role("button", name="Read now").click()
    await card.get_by_text("$8.25 left").wait_for()
    assert "The key has been read" not in await person.reads()  # it says so by itself

    await card.get_by_role("link", name="Manage").click()
    facts = await person.reads("dl.facts")
    assert "Counted by OpenRouter $1.75" in facts
    assert "Difference" in facts
    await person.presses("Pause")
    assert "The key is paused" in await person.reads()
    assert "not while it is paused" in await person.reads("dl.facts")
    await person.presses("Resume")
    assert "The key is read again" in await person.reads()
    await page.get_by_label("Name here").fill("website")
    await person.presses("Rename")
    assert "website" in await person.reads("h1")
    await page.get_by_label("New key").fill("no key")
    await person.presses("Replace")
    assert "is not an OpenRouter key" in await person.reads("#wrong-key")
    await page.get_by_label("New key").fill(second.secret)
    await person.presses("Replace")
    assert "The key is replaced" in await person.reads()
    assert second.label in await person.reads("dl.facts")

    # deletion asks in place, and lets one think again
    await page.get_by_role("link", name="Delete …").click()
    dialog = page.get_by_role("dialog")
    assert "Delete “website”?" in await dialog.inner_text()
    await dialog.get_by_role("link", name="Cancel").click()
    assert not await dialog.is_visible()
    await page.get_by_role("link", name="Delete …").click()
    assert await dialog.get_by_label("Keep the history").is_checked()
    await dialog.get_by_role("button", name="Delete the key").click()
    assert "Its history stays under its name" in await person.reads()
    told = await api.get("/api/stats")
    assert {row["api_key_name"] for row in told.json()["by_key"]} == {"website"}


async def test_history_goes_with_the_key_if_that_is_chosen(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "eraser", password_hash)
    account = service.world.add_account()
    key = account.add_key("only")
    added = await api.post("/api/keys", {"name": "only", "key": key.secret})
    await api.post(f"/api/keys/{added.json()['id']}/sync")
    account.spend(key, Decimal(3))
    await api.post(f"/api/keys/{added.json()['id']}/sync")
    person = await arrive()
    await person.signs_in(api.email)
    await person.opens(f"/keys/{added.json()['id']}/delete")
    await person.page.get_by_label("Delete the history too").check()
    await person.presses("Delete the key")
    assert "and its history with it" in await person.reads()
    assert (await api.get("/api/stats")).json()["by_key"] == []
