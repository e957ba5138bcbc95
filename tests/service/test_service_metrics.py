"""What monitoring sees of the house."""

from offhook.control.metrics import as_text
from offhook.service.service_metrics import MediaMetrics
from tests.calls.hand_house import HandHouse


async def test_the_media_process_shows_what_it_carries() -> None:
    async with HandHouse() as house:
        await house.dial()
        await house.link.tick(missed=2)
        shown = as_text(MediaMetrics(house.link).metrics())
    assert "offhook_media_rows_open 1\n" in shown
    assert "offhook_media_late_ticks_total 2\n" in shown
    assert "offhook_media_restarts_total 0\n" in shown
