"""Do the import and the account page do what they say?"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.cast import PASSWORD
from tests.web.browsing import figure
from tests.web.conftest import EXPORT, Arrive, Service, newcomer

WATCH_PROGRESS = """() => {
    const bar = document.querySelector("progress");
    window.progressWasSeen = false;
    const look = () => { window.progressWasSeen ||= !bar.hidden; };
    new MutationObserver(look).observe(bar, { attributes: true });
}"""


async def test_export_is_dropped_and_reported(
    arrive: Arrive, service: Service, password_hash: str, tmp_path: Path
) -> None:
    api = await newcomer(service, "importer", password_hash)
    person = await arrive()
    page = person.page
    await person.signs_in(api.email)
    await person.opens("/import")
    wrong = tmp_path / "notes.csv"
    wrong.write_text("no,export\n1,2\n")
    await page.get_by_label("The file", exact=True).set_input_files(wrong)
    await person.presses("Import")
    await page.locator("#outcome .notice").wait_for()
    assert "generation_id" in await person.reads("#outcome")
    await page.get_by_label("The file", exact=True).set_input_files(EXPORT)
    await page.evaluate(WATCH_PROGRESS)  # it may be gone before anybody has looked
    await person.presses("Import")
    await page.get_by_role("heading", name="Imported").wait_for()
    assert await page.evaluate("window.progressWasSeen")
    assert "Imported 159" in await person.reads("#outcome")
    assert await figure(page, "#outcome .facts div:last-child") == Decimal("1.071850")
    await person.presses("Import")
    await page.get_by_role("heading", name="Nothing new").wait_for()
    assert "Known already 159" in await person.reads("#outcome")
    await person.opens("/?start_date=2026-08-18&end_date=2026-08-24")
    assert await figure(page, "#card-period + .figure") == Decimal("1.071850")


async def test_account_changes_its_password_ends_sessions_and_goes(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "leaver", password_hash)
    elsewhere, third, person = await arrive(), await arrive(), await arrive()
    for somebody in (elsewhere, third, person):
        await somebody.signs_in(api.email)
    page = person.page
    await person.opens("/account")
    rows = page.locator("section[aria-labelledby=sessions-title] tbody tr")
    assert await rows.count() == 4  # three browsers and the API
    assert "Chrome on Linux" in await rows.nth(0).inner_text()
    assert await page.get_by_text("this one").count() == 1
    await rows.nth(1).get_by_role("button").click()
    assert "That session has ended" in await person.reads()
    await third.opens("/account")
    assert "Sign in" in await third.reads("h1")
    await person.presses("End all others")
    assert "All your other sessions have ended" in await person.reads()
    await elsewhere.opens("/usage")
    assert "Sign in" in await elsewhere.reads("h1")

    await page.get_by_label("As it is").fill("not it")
    await page.get_by_label("As it shall be").fill("another fine long sentence 42")
    await person.presses("Change it")
    assert "The password is wrong" in await person.reads()
    await page.get_by_label("As it is").fill(PASSWORD)
    await page.get_by_label("As it shall be").fill("passwordpassword")
    await person.presses("Change it")
    assert "too easy to guess" in await person.reads("#wrong-new_password")
    await page.get_by_label("As it is").fill(PASSWORD)
    await page.get_by_label("As it shall be").fill("another fine long sentence 42")
    await person.presses("Change it")
    assert "Your password is changed" in await person.reads()

    await page.get_by_role("link", name="Delete the account …").click()
    await page.get_by_label("Your password").fill("another fine long sentence 42")
    await person.presses("Delete the account")
    assert "Your account is deleted" in await person.reads()
    await elsewhere.page.get_by_label("Email address").fill(api.email)
    await elsewhere.page.get_by_label("Password").fill("another fine long sentence 42")
    await elsewhere.presses("Sign in")
    assert "The email address or the password is wrong" in await elsewhere.reads()
