"""Is somebody with an empty account led to a first chart and a first token?"""

from __future__ import annotations

from decimal import Decimal

from tests.web.conftest import Arrive, Service


async def test_newcomer_is_led_from_a_key_to_a_chart_and_a_token(arrive: Arrive, service: Service) -> None:
    account = service.world.add_account()
    account.add_key("website")
    account.generate(20)
    manager = account.add_management_key("admin")
    person = await arrive()
    page = person.page

    await person.signs_up("newcomer@example.com")
    assert "Add an OpenRouter key" in await person.reads()
    await page.get_by_role("link", name="Add an OpenRouter key").click()
    await page.get_by_label("Name").fill("company")
    await page.get_by_label("Key", exact=True).fill("sk-or-v1-" + "0" * 64)
    await person.presses("Add the key")
    assert "The key was refused" in await person.reads("#wrong-key")  # with what OpenRouter said
    assert await page.get_by_label("Name").input_value() == "company"
    await page.get_by_label("Key", exact=True).fill(manager.secret)
    await person.presses("Add the key")
    assert "The key is added" in await person.reads()
    # the list looks again by itself until the key has been read
    await page.locator(".key", has_text="company").get_by_text("up to date").wait_for()
    await page.locator(".key", has_text="website").wait_for()

    await person.opens("/")
    assert "One thing is left" in await person.reads()
    assert await page.locator("canvas").is_visible()
    await page.get_by_role("link", name="API token", exact=True).click()
    await page.get_by_label("Name").fill("grafana")
    await person.presses("Make the token")
    token = await page.locator("#token").inner_text()
    await page.get_by_role("link", name="I have stored it").click()
    await person.opens("/")
    assert "One thing is left" not in await person.reads()

    answer = await service.client.get("/api/v1/stats", headers={"Authorization": f"Bearer {token}"})
    assert Decimal(str(answer.json()["summary"]["total_cost"])) > 0
