"""QR codes, drawn here: as one path for a page, or as a file that is printed."""

from dataclasses import dataclass
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True)
class Picture:
    """A QR code: its side in modules, quiet zone included, and one path of all dark ones."""

    side: int
    path: str


def picture(text: str) -> Picture:
    """Draw a text as a QR code."""
    import segno  # slow import

    quiet = 4
    rows = [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]
    parts = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            dark = next((at for at in range(x, len(row)) if row[at]), len(row))
            x = next((at for at in range(dark, len(row)) if not row[at]), len(row))
            if dark < x:
                parts.append(f"M{dark + quiet},{y + quiet}h{x - dark}v1h{dark - x}z")
    return Picture(len(rows) + 2 * quiet, "".join(parts))


def svg(text: str, title: str) -> str:
    """Draw a text as an SVG file: black on white, six centimetres wide, of any size sharp."""
    drawn = picture(text)
    side = drawn.side
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="60mm" height="60mm" '
        f'viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f"<title>{escape(title)}</title>"
        f'<path fill="#fff" d="M0,0h{side}v{side}h-{side}z"/>'
        f'<path d="{drawn.path}"/></svg>\n'
    )
