"""The page in a real Chromium: every view opens, nothing is blocked or broken, hostile names are inert."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import attrs
import pytest
from support import large_house
from support.made_status import NOW, reading

from proxy_listener.model.reading import Event
from proxy_listener.model.secret import Secret
from proxy_listener.model.settings import WebSettings
from proxy_listener.model.status import Admissions, Newcomer
from proxy_listener.reads import Attempt, Candidate, Progress, ReadReport
from proxy_listener.web import Actions
from proxy_listener.web.context import WebContext
from proxy_listener.web.guard import guard
from proxy_listener.web.server import serving, tcp_socket

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PLANT = "A4:C1:38:00:00:01"
VIEWS = (
    "#/",
    f"#/device/{PLANT}/day",
    f"#/device/{PLANT}/year",
    "#/device/A4:C1:38:00:00:02/week",
    "#/map",
    "#/coverage",
)
SHOWN = {"#/": ".devices tbody tr", "#/map": ".matrix tbody tr", "#/coverage": ".carries tbody tr"}

HOSTILE_MODEL = "<b>0x1234</b>"

RUNAWAY = "document.documentElement.scrollWidth > innerWidth"


def routes(_mac):
    words = ("strongest that is free: -74 dBm", "<b>busy</b>: it is connecting to another device")
    return [
        Candidate(f"p{k}", "Hall", True, k == 1, k == 0, 1, -70.0, -70.0, 4.0, 0, 2, 3, 0.0, why)
        for k, why in enumerate(words)
    ]


async def read(_mac, options, tell):
    tell(Progress("log", "p0", 3, 10))
    await asyncio.sleep(0)
    attempts = [
        Attempt("<i>p1</i>", False, "timeout", "133 after 20 s", 20.0),
        Attempt("p0", True, "", "answered", 2.0),
    ]
    return ReadReport(True, f"read with history {options.history}.", attempts, {"battery": 99})


NEWCOMERS = [
    Newcomer(0xA4C138000001 + k, HOSTILE_MODEL, k == 0, "p0", "Hall", -70, 3, 70.0, 2.0, "too many new devices")
    for k in range(2)
]


@attrs.frozen
class Browser:
    """A page of a browser, where the service is, and what went wrong in it."""

    page: object
    url: str
    journal: object
    wrong: list[str]

    async def shows(self, count, locator):
        """Wait until there are ``count`` of them: the page draws when its queries are answered."""
        from playwright.async_api import expect

        await expect(locator).to_have_count(count, timeout=5_000)


async def one_of_three(seconds, once):
    """At least one of three tries is fast enough: a busy machine may stall a browser."""
    for last in (False, False, True):
        try:
            async with asyncio.timeout(seconds):
                await once()
        except TimeoutError:
            if last:
                raise
        else:
            return


@pytest.fixture
async def browser(journal, request, tmp_path) -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    size, scheme, settings, house = getattr(request, "param", None) or ((1440, 900), "light", WebSettings(), (8, 14))
    for each in large_house.year_of_readings(int(PLANT.replace(":", ""), 16), NOW, 6 * 3600):
        journal.append(each)
    for k in range(20):
        journal.append(reading(mac=0xA4C138000002, time=NOW - k * 20_000, values={"opening": k % 2 == 0}))
    await journal.flush()
    admitted = []
    view = attrs.evolve(
        large_house.large_house(*house), admissions=lambda: Admissions(len(NEWCOMERS) - len(admitted), 0, full=True)
    )
    actions = Actions(
        route=routes,
        read=read,
        coverage=large_house.coverage_of(view),
        units={"temperature": "°C"},
        newcomers=lambda: [one for one in NEWCOMERS if one.mac not in admitted],
        admit=admitted.append,
    )
    context = WebContext(view, journal, actions, settings.token, wall=lambda: NOW)
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(tcp_socket("loopback", socket.AF_INET, ("127.0.0.1", 0)))
        await stack.enter_async_context(serving(context, listener, guard(settings)))
        playwright = await stack.enter_async_context(async_playwright())
        context = await playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=shutil.which("chromium"),
            args=ARGUMENTS,
            color_scheme=scheme,
            viewport={"width": size[0], "height": size[1]},
        )
        stack.push_async_callback(context.close)
        page = await context.new_page()
        await page.clock.install(time=datetime.fromtimestamp(NOW, UTC))
        wrong = []
        page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("requestfailed", lambda one: wrong.append(one.url) if one.failure != "net::ERR_ABORTED" else None)
        page.set_default_timeout(5_000)
        yield Browser(page, f"http://127.0.0.1:{listener.getsockname()[1]}/", journal, wrong)


BOTH = [
    pytest.param(((width, 900), scheme, WebSettings(), (8, 14)), id=f"{width}-{scheme}")
    for width in (390, 1440)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize("browser", BOTH, indirect=True)
async def test_every_view_opens_and_fits(browser):
    """No error in the console (a violation of the policy is one), no sideways scrolling, no name parsed as markup."""
    for view in VIEWS:
        await browser.page.goto(browser.url + view)
        await browser.page.reload()
        await browser.page.locator(SHOWN.get(view, ".plot svg")).first.wait_for()
        assert not await browser.page.evaluate(RUNAWAY), view
        assert await browser.page.locator("main img, main script, main b b, td b b, p i, .tried i").count() == 0
        await browser.shows(1, browser.page.locator("h1"))
    assert browser.wrong == []


async def test_hostile_names_are_shown_as_they_are(browser):
    """Each of them is there as text."""
    await browser.page.goto(browser.url)
    for name in large_house.HOSTILE:
        await browser.shows(1, browser.page.get_by_role("rowheader").filter(has_text=name))
    assert await browser.page.title() == "House · proxy-listener"
    assert browser.wrong == []


async def test_a_reading_appears_as_it_comes(browser):
    """Without another query: the stream updates the value."""
    await browser.page.goto(browser.url)
    row = browser.page.get_by_role("row").filter(has_text=large_house.HOSTILE[0])
    await row.wait_for()
    await browser.page.locator(".live.good").wait_for()
    browser.journal.append(reading(mac=0xA4C138000000, values={"temperature": -12.75}))
    await row.get_by_text("\N{MINUS SIGN}12.75").wait_for()
    pressed = (Event("button", "long_press"),)
    browser.journal.append(reading(mac=0xA4C138000000, values={}, events=pressed))
    await row.get_by_text("long press").wait_for()
    assert browser.wrong == []


async def test_the_last_event_is_shown_after_a_reload(browser):
    """A button has no values, only its last event: it is in the list and on the device's own page."""
    pressed = (Event("button", "long_press"),)
    browser.journal.append(reading(mac=0xA4C138000002, values={}, events=pressed, time=NOW - 60))
    await browser.journal.flush()
    await browser.page.goto(browser.url)
    await browser.page.locator(".devices .values").get_by_text("long press").wait_for()
    await browser.page.goto(browser.url + VIEWS[3])
    await browser.page.reload()
    await browser.page.locator(".bigs").get_by_text("long press").wait_for()
    assert browser.wrong == []


async def test_units_are_the_service_s(browser):
    """A quantity without a unit is shown without one."""
    await browser.page.goto(browser.url + VIEWS[1])
    bigs = browser.page.locator(".bigs")
    await bigs.get_by_text("°C").wait_for()
    assert await bigs.locator("i").all_inner_texts() == ["°C", "", "", "", ""]


async def test_a_flag_is_drawn_as_bars_whatever_is_known_first(browser):
    """The curves may arrive before the device."""
    await browser.page.goto(browser.url + VIEWS[3])
    await browser.page.reload()
    await browser.page.locator(".plot rect.bar").first.wait_for()
    assert await browser.page.locator(".plot path.line").count() == 0


async def test_a_device_without_its_key_is_among_what_needs_a_person(browser):
    """With and without an entry; its own page says how many frames are kept since when, and what the cure is."""
    device = 0xA4C13800000B
    browser.journal.tables.seal(device, NOW - 60, "hall", -60, 0, b"frame", 0xFE95)
    await browser.journal.flush()
    await browser.page.goto(browser.url)
    needs = browser.page.get_by_role("region", name="Needs you")
    await needs.wait_for()
    await needs.locator("summary").click()
    await browser.shows(4, needs.get_by_text("sends encrypted frames and has no bindkey"))
    await browser.shows(1, needs.get_by_text("If it is not yours"))
    await needs.get_by_text("1 frame is kept since").wait_for()
    await browser.page.goto(f"{browser.url}#/device/A4:C1:38:00:00:0B/day")
    await browser.page.locator(".need").get_by_text("1 frame is kept since").wait_for()
    await browser.page.locator(".need").get_by_text("key extractor").wait_for()
    await browser.page.get_by_text("cannot be read without its bindkey").wait_for()
    assert browser.wrong == []


@pytest.mark.parametrize("browser", BOTH, indirect=True)
async def test_a_newcomer_is_admitted_by_its_button(browser):
    """The page says that too many are new; the row leaves the list."""
    await browser.page.goto(browser.url)
    await browser.page.get_by_text("too many at once: 2 are not admitted").wait_for()
    await browser.page.get_by_text("2 heard, not admitted yet").click()
    await browser.shows(2, browser.page.locator(".newcomers tbody tr"))
    assert not await browser.page.evaluate(RUNAWAY)
    assert await browser.page.locator(".newcomers b").count() == 0
    await browser.page.get_by_role("button", name="Admit A4:C1:38:00:00:01").click()
    await browser.shows(1, browser.page.locator(".newcomers tbody tr"))
    await browser.page.get_by_text("A4:C1:38:00:00:01 is admitted").wait_for()
    assert browser.wrong == []


async def test_the_order_of_the_table_survives_a_reload(browser):
    """The column and its direction."""
    await browser.page.goto(browser.url)
    for _ in range(2):
        await browser.page.get_by_role("button", name="Battery").click()
    await browser.page.reload()
    await browser.page.locator("th[aria-sort=descending]").get_by_text("Battery").wait_for()
    assert browser.wrong == []


async def test_events_have_seconds_and_earlier_ones_are_a_button_away(browser):
    """Fifty at first, then all 120."""
    mac = 0xA4C138000002
    pressed = (Event("button", "press"),)
    for k in range(120):
        browser.journal.append(reading(mac=mac, values={}, events=pressed, time=NOW - 60 - k, counter=k))
    await browser.journal.flush()
    await browser.page.goto(f"{browser.url}#/device/A4:C1:38:00:00:02/day")
    rows = browser.page.locator(".events tbody tr")
    await browser.shows(50, rows)
    times = await rows.locator("th").all_inner_texts()
    assert len(set(times)) == 50
    await browser.page.get_by_role("button", name="Earlier events").click()
    await browser.shows(120, rows)
    await browser.shows(0, browser.page.get_by_role("button", name="Earlier events"))
    assert browser.wrong == []


@pytest.mark.parametrize("order", ["before", "after"])
async def test_the_log_of_a_plant_is_one_line_before_and_after_what_it_sent_itself(browser, order):
    """Entries of each hour, and a value a minute for three hours on the other side of them: one run, no lone dots."""
    mac, now = 0xA4C13800000B - 5, NOW
    log = range(4, 20) if order == "before" else range(1, 12)
    dense = range(180) if order == "before" else range(720, 900)
    for hour in log:
        browser.journal.append(reading(mac=mac, time=now - hour * 3600, source="history", values={"temperature": 20.0}))
    for minute in dense:
        browser.journal.append(reading(mac=mac, time=now - minute * 60 - 60, values={"temperature": 20.5}))
    await browser.journal.flush()
    await browser.page.goto(f"{browser.url}#/device/A4:C1:38:00:00:06/day")
    plot = browser.page.locator(".plot").filter(has_text="temperature")
    await plot.locator("path.line").first.wait_for()
    await browser.shows(1, plot.locator("path.line"))
    await browser.shows(0, plot.locator("circle.dot"))


async def test_coverage_says_what_hangs_on_what(browser):
    """A device that one proxy hears, a proxy that hears nothing, a device that no proxy hears; by keyboard too."""
    await browser.page.goto(browser.url)
    await browser.page.get_by_role("link", name="Coverage").press("Enter")
    rows = browser.page.locator(".carries tbody tr")
    await rows.first.wait_for()
    verdicts = await rows.locator(".verdict > span").all_inner_texts()
    assert "hears nothing" in verdicts
    assert any("hang" in verdict for verdict in verdicts)
    await browser.page.locator("#unheard").wait_for()
    link = browser.page.locator(".names a").first
    named = await link.inner_text()
    await link.press("Enter")
    await browser.page.get_by_role("heading", level=1).get_by_text(named).wait_for()
    assert browser.wrong == []


async def test_a_year_of_a_device_is_drawn_within_a_second(browser):
    """52,560 readings, one every ten minutes: asked for, answered and drawn."""
    for each in large_house.year_of_readings(0xA4C138000006, NOW, 600):
        browser.journal.append(each)
    assert await browser.journal.flush()
    await browser.page.goto(browser.url + "#/device/A4:C1:38:00:00:06/day")
    await browser.page.get_by_text("Past").wait_for()

    async def draw():
        await browser.page.get_by_role("link", name="day").click()
        await browser.page.get_by_role("link", name="year").click()
        await browser.page.locator(".plot path.line").nth(7).wait_for()

    await one_of_three(1, draw)


async def test_a_gap_is_a_gap(browser):
    """Two weeks of silence: the year's line is in two runs."""
    await browser.page.goto(browser.url + VIEWS[2])
    plot = browser.page.locator(".plot").filter(has_text="temperature")
    await plot.locator("path.line").first.wait_for()
    await browser.shows(2, plot.locator("path.line"))


async def test_a_device_is_read_from_the_page(browser):
    """The button, the report, and which routes were tried."""
    await browser.page.goto(browser.url + VIEWS[1])
    await browser.page.get_by_role("button", name="Read with its log").click()
    await browser.page.get_by_text("read with history True.").wait_for()
    assert await browser.page.locator(".tried li").all_inner_texts() == [" <i>p1</i>: 133 after 20 s", " p0: answered"]
    await browser.shows(1, browser.page.get_by_text("<b>busy</b>: it is connecting"))
    assert browser.wrong == []


async def test_the_page_works_by_keyboard(browser):
    """The first tab stop skips to the content, and the filter finds a device."""
    await browser.page.goto(browser.url)
    await browser.page.locator(".devices tbody tr").first.wait_for()
    await browser.page.keyboard.press("Tab")
    assert await browser.page.evaluate("document.activeElement.className") == "skip"
    await browser.page.get_by_label("Find a device").fill("scale 8")
    await browser.shows(1, browser.page.locator(".devices tbody tr"))
    button = browser.page.get_by_role("button", name="Heard")
    await button.press("Enter")
    await browser.page.locator("th[aria-sort=ascending]").get_by_text("Heard").wait_for()


async def test_what_is_redrawn_keeps_the_focus(browser):
    """Curves and routes are reloaded while a user reads them with the arrow keys."""
    await browser.page.goto(browser.url + VIEWS[1])
    await browser.page.locator(".plot svg").nth(1).wait_for()
    # In one call: when the device becomes known, the curves are redrawn, and a node that was found before is gone.
    await browser.page.evaluate(
        "node = document.querySelectorAll('.plot svg')[1]; node.dataset.old = true; node.focus()"
    )
    await browser.page.keyboard.press("End")
    await browser.page.clock.run_for(61_000)
    await browser.page.locator(".plot:nth-child(2) svg:not([data-old])").wait_for()
    await browser.shows(1, browser.page.locator(".plot:nth-child(2) svg:focus"))
    assert browser.wrong == []


LOCKED = [((390, 900), "dark", WebSettings(token=Secret("the token")), (2, 3))]


@pytest.mark.parametrize("browser", LOCKED, indirect=True)
async def test_the_token_opens_the_page(browser):
    """The form, a wrong token, the right one; over plain HTTP as on loopback."""
    await browser.page.goto(browser.url)
    await browser.page.get_by_label("Token").fill("wrong")
    await browser.page.get_by_role("button", name="Open").click()
    await browser.page.get_by_role("alert").wait_for()
    await browser.page.get_by_label("Token").fill("the token")
    await browser.page.get_by_role("button", name="Open").click()
    await browser.page.locator(".devices tbody tr").first.wait_for()
    assert not await browser.page.evaluate(RUNAWAY)


LARGE = [((1440, 900), "light", WebSettings(), (50, 300))]


@pytest.mark.parametrize("browser", LARGE, indirect=True)
async def test_a_large_house_is_drawn_at_once(browser):
    """50 proxies and 300 devices: each view within three seconds here, most of which is the browser's own start."""

    async def devices():
        await browser.page.goto(browser.url)
        await browser.page.locator(".devices tbody tr").nth(299).wait_for(state="attached")

    async def heard():
        await browser.page.get_by_role("link", name="Who hears whom").click()
        await browser.page.locator(".matrix tbody tr").nth(299).wait_for(state="attached")

    await one_of_three(3, devices)
    await one_of_three(3, heard)
    assert not await browser.page.evaluate(RUNAWAY)
    assert browser.wrong == []
