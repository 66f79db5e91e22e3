"""The names of the functions that the public headers give."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Comments, string literals and preprocessor lines hold no declarations.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"[^"\n]*"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)


def declarations():
    """The headers' text, cut into statements."""
    for header in sorted((ROOT / "include").rglob("*.h")):
        yield from re.split(r"[;{}]", NOISE.sub("", header.read_text()))


def functions(marked):
    """The first name before a parenthesis, in each declaration that begins with what `marked` matches."""
    names = set()
    for text in declarations():
        if re.match(rf"\s*(?:{marked})\b", text):
            found = re.search(r"\b(thrum_\w+)\s*\(", text)
            names.update([found.group(1)] if found else [])
    return names


def exported():
    """Functions that the library defines."""
    return functions("THRUM_API")


def machinery():
    """What the library shows for the inline paths of the headers: functions, variables, and what assembly names."""
    names = set()
    for text in declarations():
        found = re.match(r"\s*THRUM_API\b.*?\b(thrumi_\w+)\s*(?:\(|$)", text, re.S)
        names.update([found.group(1)] if found else [])
    for header in (ROOT / "include").rglob("*.h"):
        names.update(re.findall(r"\b(thrumi_\w+_tls)\b", header.read_text()))
    return names


def inline():
    """Functions that the headers define themselves."""
    return functions("static (?:inline|THRUMI_INLINE)")


def macros():
    """Macros that look like functions."""
    names = set()
    for header in (ROOT / "include").rglob("*.h"):
        names.update(re.findall(r"^#define (thrum_\w+)\(", header.read_text(), re.M))
    return names
