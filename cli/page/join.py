#!/usr/bin/env python3
"""Joins the timeline's page into a C header: page_before[] and page_after[], the bytes before and after the trace.

    join.py OUT INDEX STYLE SCRIPT...

In INDEX, %STYLE%, %TRACE% and %SCRIPT%, each on a line of its own, say where these belong.
"""
import re
import sys
from pathlib import Path

MARKER = re.compile(r"^ *%(STYLE|TRACE|SCRIPT)%\n", re.M)


def array(name, text):
    data = text.encode()
    lines = [", ".join(str(b) for b in data[at:at + 24]) for at in range(0, len(data), 24)]
    return f"static const unsigned char {name}[] = {{\n  " + ",\n  ".join(lines) + "};\n"


def joined_script(paths):
    body = "\n".join(Path(p).read_text() for p in paths)
    if re.search(r"</script|<!--", body, re.I):
        sys.exit("join.py: a script holds what would end its element")
    return f'<script>\n"use strict";\n(() => {{\n{body}\n}})();\n</script>\n'


def main():
    out, index, style, *scripts = sys.argv[1:]
    parts = MARKER.split(Path(index).read_text())
    if parts[1::2] != ["STYLE", "TRACE", "SCRIPT"]:
        sys.exit(f"join.py: {index}: wants %STYLE%, %TRACE% and %SCRIPT%, in this order")
    before = parts[0] + "<style>\n" + Path(style).read_text() + "</style>\n" + parts[2]
    after = parts[4] + joined_script(scripts) + parts[6]
    Path(out).write_text("/* Made by cli/page/join.py. */\n" + array("page_before", before) + array("page_after", after))


main()
