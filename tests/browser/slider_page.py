"""What the browser tests do with a published figure that has sliders."""

from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page


def drag_by_touch(page: Page, slider: Locator, index: int) -> None:
    """Put a finger on the slider's thumb and drag it to the value numbered `index`."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    start, last = slider.evaluate(
        "slider => [slider.valueAsNumber, Number(slider.max)]"
    )
    thumb = 16  # its centre stays half a thumb away from both ends
    x_start, x_end = (
        box["x"] + thumb / 2 + (box["width"] - thumb) * i / last for i in (start, index)
    )
    y = box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)

    def touch(kind, *points):
        where = [{"x": x, "y": y} for x in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    touch("touchStart", x_start)
    for step in range(1, 11):
        touch("touchMove", x_start + (x_end - x_start) * step / 10)
    touch("touchEnd")


def shown(figure: Locator) -> dict[str, object]:
    """What a figure shows now, after its picture has been decoded."""
    image = figure.locator("img")
    image.evaluate(
        "image => image.decode()"
    )  # rejects, and so fails the test, if the picture is broken
    return {
        "file": urlsplit(image.get_attribute("src")).path.rpartition("/")[2],
        "alt": image.get_attribute("alt"),
        "width": image.evaluate("image => image.naturalWidth"),
        "values": figure.locator("output").all_inner_texts(),
        "spoken values": [
            slider.get_attribute("aria-valuetext")
            for slider in figure.locator("input").all()
        ],
        "read-out": figure.locator(".explore-read-out").text_content(),
    }


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
