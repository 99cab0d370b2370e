#!/usr/bin/env python3
"""Draws a terminal's text as SVG: terminal.py < transcript > terminal.svg

Bold, dim and the eight colours are kept; of a line that was overwritten with carriage returns, the last
state counts.
"""

import re
import sys
from html import escape

COLOURS = {31: "#e06c75", 32: "#98c379", 33: "#e5c07b", 34: "#61afef", 35: "#c678dd", 36: "#56b6c2", 90: "#7f848e"}
WIDTH, HEIGHT, MARGIN = 8.4, 19, 16  # of a character cell at 14 px, and around the text


def spans(line):
    """Yields (text, colour, bold) for the parts of a line between escape sequences."""
    colour, bold = None, False
    for text, codes in re.findall(r"([^\x1b]+)|\x1b\[([\d;]*)[A-Za-z]", line):
        if text:
            yield text, colour, bold
            continue
        for code in (int(c or 0) for c in codes.split(";")):
            if code == 0:
                colour, bold = None, False
            elif code == 1:
                bold = True
            elif code == 2:
                colour = COLOURS[90]
            elif code == 39:
                colour = None
            else:
                colour = COLOURS.get(code, colour)


def draw(text):
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.expandtabs().rstrip("\n").split("\n")]
    plain = [re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line) for line in lines]
    width = max(map(len, plain)) * WIDTH + 2 * MARGIN
    height = len(lines) * HEIGHT + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="14"'
        ' font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace" fill="#d7dae0">'
    )
    yield '<rect width="100%" height="100%" rx="8" fill="#21252b"/>'
    for row, line in enumerate(lines):
        y = MARGIN + row * HEIGHT + 14
        parts = "".join(
            f'<tspan{f" fill={chr(34)}{c}{chr(34)}" if c else ""}{" font-weight=" + chr(34) + "bold" + chr(34) if b else ""}>'
            f"{escape(t)}</tspan>"
            for t, c, b in spans(line)
        )
        yield f'<text x="{MARGIN}" y="{y}" xml:space="preserve">{parts}</text>'
    yield "</svg>"


if __name__ == "__main__":
    print("\n".join(draw(sys.stdin.read())))
