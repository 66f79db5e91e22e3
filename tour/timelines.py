"""What the programs' threads did: each program is recorded, each chapter ends with the lanes of one, all have a page.

The pages are in FOLDER/NAME.html, and FOLDER/index.html leads to them. Without the thrum command, which a build may lack,
nothing is recorded and the tour is the same for the rest.
"""
import html
import os
import subprocess

# Of each chapter the program whose lanes say most, shown in the text.
SHOWN = {"0-1-checksums", "1-1-workers", "2-3-five-threads", "3-3-list-of-joins", "4-1-slices", "5-5-a-few-at-a-time",
         "6-1-put-and-get", "7-1-a-starting-gun", "8-5-a-pool", "9-5-a-scope"}
# These measure: recording would be part of what they find.
NOT_RECORDED = {"8-2-costs"}

INDEX = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The tour of thrum: timelines</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 3rem auto; padding: 0 1rem }}
  h1 {{ font-size: 1.6rem }}
  h2 {{ font-size: 1.1rem; margin: 2rem 0 .3rem }}
  ul {{ margin: 0; padding-left: 1.2rem }}
  a {{ text-decoration-thickness: 1px; text-underline-offset: 3px }}
  .file {{ opacity: .65; font-size: .85rem; margin-left: .5rem }}
</style>
<h1>The tour of thrum: timelines</h1>
<p>What the threads of each program did when the tour ran: each page has a lane for each worker and each thread. It opens from
this folder, and needs nothing else.</p>
{chapters}
</html>
"""


class Timelines:
    def __init__(self, thrum, folder):
        self.thrum, self.folder = thrum, folder
        self.works = os.access(thrum, os.X_OK)
        if self.works:
            folder.mkdir(parents=True, exist_ok=True)

    def environment(self, name):
        """For the program of that name, so that it is recorded."""
        if not self.works or name in NOT_RECORDED:
            return os.environ
        self.trace(name).unlink(missing_ok=True)
        return os.environ | {"THRUM_TRACE": str(self.trace(name))}

    def trace(self, name):
        return self.folder / f"{name}.trace"

    def page(self, name):
        return self.folder / f"{name}.html"

    def add(self, name):
        """That program has ended: makes its page."""
        if self.trace(name).exists():
            subprocess.run([self.thrum, "timeline", self.trace(name), "-o", self.page(name)])

    def show(self, name):
        """The lanes of that program, as text."""
        if name not in SHOWN or not self.trace(name).exists():
            return
        print(f"\n   what the threads of {name} did:\n", flush=True)
        subprocess.run([self.thrum, "timeline", "--threads", "12", self.trace(name)])

    def write_index(self, chapters):
        """Of the pages that are there, from this run or one before. chapters: heading -> [(title, name)]. Returns its path, or None."""
        parts = []
        for heading, programs in chapters.items():
            items = [f'  <li><a href="{name}.html">{html.escape(title)}</a><span class="file">{name}.c</span></li>'
                     for title, name in programs if self.page(name).exists()]
            if items:
                parts.append("\n".join([f"<h2>{html.escape(heading)}</h2>", "<ul>", *items, "</ul>"]))
        if not parts:
            return None
        index = self.folder / "index.html"
        index.write_text(INDEX.format(chapters="\n".join(parts)))
        return index
