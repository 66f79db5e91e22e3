#!/usr/bin/env python3
"""The timeline page in a browser, headless: what it shows, how it answers, and that it keeps to itself.

    page.py PAGE_SAMPLE THRUM [-k WORD]     PAGE_SAMPLE writes pages of made-up traces (page_sample.c)

Ends with 77 (skipped) where there is no Chromium or no python3-selenium (Debian: chromium-driver, python3-selenium).
"""
import sys

folder = sys.path.pop(0)  # its dis.py is not Python's own
import json
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, for a python3 that is not
try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("page: no python3-selenium here: skipped")
    sys.exit(77)

sys.path.append(folder + "/timeline")
import tracefile  # noqa: E402

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("chromium-browser")
LOADS_IN = 10  # seconds of CPU time: five times what is promised, for slow machines
FRAME_IN = 1.0  # seconds, for machines that do much else
PATIENCE = 120  # seconds to wait for a state


def open_browser(profile):
    options = Options()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
                     "--disable-extensions", "--no-first-run", f"--user-data-dir={profile}", "--window-size=1300,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service(DRIVER), options=options)


class Page(unittest.TestCase):
    sample = thrum = None  # the program that writes pages, and the command

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="thrum-page-", ignore_cleanup_errors=True)
        cls.browser = open_browser(cls.folder.name + "/profile")

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.folder.cleanup()

    # ---- Help ----

    def open(self, kind):
        path = Path(self.folder.name) / f"{kind}.html"
        if not path.exists():
            subprocess.run([self.sample, str(path), kind], check=True)
        self.logs()
        began = time.monotonic()
        self.browser.get(path.as_uri())
        self.wait(lambda: self.js("return !!(window.timeline && timeline.frames && timeline.frames.last > 0)"), "a first frame")
        return time.monotonic() - began

    def js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, ready, what):
        end = time.monotonic() + PATIENCE
        while not ready():
            self.assertLess(time.monotonic(), end, f"no {what}")
            time.sleep(0.02)

    def element(self, name):
        return self.browser.find_element(By.ID, name)

    def rows(self, page):
        return self.browser.find_elements(By.CSS_SELECTOR, f"#page-{page} tbody tr:not(.filler)")

    def tab(self, page):
        self.element(f"tab-{page}").click()

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def view(self):
        return self.js("const v = timeline.view; return {from: v.from, to: v.from + v.scale * v.width, top: v.top, duration: v.duration}")

    def settled(self):
        """The view, once it rests."""
        self.wait(lambda: not self.js("return timeline.gliding"), "end of the glide")
        views = [None, self.view()]
        while views[-1] != views[-2]:
            time.sleep(0.1)
            views.append(self.view())
        return views[-1]

    def length(self):
        view = self.settled()
        return view["to"] - view["from"]

    def logs(self):
        requests = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [r["params"] for r in requests if r["method"] == "Network.requestWillBeSent"]
        urls = [r["request"]["url"] for r in sent if r["documentURL"].startswith("file:")]  # not of the browser's own first tab
        return [entry["message"] for entry in self.browser.get_log("browser")], urls

    def assert_quiet(self):
        """Nothing on the console, and nothing asked for but the page itself."""
        console, urls = self.logs()
        self.assertEqual(console, [])
        self.assertEqual([url for url in urls if not url.startswith(("file:///", "data:,"))], [])
        self.assertLessEqual(len([url for url in urls if url.startswith("file:")]), 1)

    def cpu_time(self):
        """Of the thread that runs the page, in seconds."""
        metrics = self.browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def pixels(self):
        """Of the lanes, right of the names: how many have which colour."""
        return self.js("""
          const found = {};
          for (const p of timeline.painter.raster.pixels) found[p] = (found[p] || 0) + 1;
          return found;""")

    def colour(self, name):
        return self.js("return String(timeline.painter.look[arguments[0]])", name)

    # ---- Tests ----

    def test_of_a_trace_file(self):
        """From the file on: two threads, of which one waits for the lock of the other and then for its end."""
        t = tracefile.Trace(workers=2)
        t.name(1, "MainThread")
        t.name(2, "writer")
        t.object(0x1000, "lock `table`")
        t.run(0, 1, worker=0)
        t.spawn(1000, 1, 2, worker=0)
        t.run(2000, 2, worker=1)
        t.event(2500, tracefile.ACQUIRE, 2, 0x1000, worker=1)
        t.park(5000, 1, worker=0, object=0x1000, what="lock")
        t.event(9000, tracefile.RELEASE, 2, 0x1000, worker=1)
        t.unpark(9000, 1, by=2, worker=1)
        t.run(9500, 1, worker=0)
        t.park(10000, 1, worker=0, object=2, what="the end of thread")
        t.event(20000, tracefile.END, 2, worker=1)
        t.unpark(20000, 1, by=2, worker=1)
        t.run(21000, 1, worker=0)
        t.event(22000, tracefile.END, 1, worker=0)
        path = Path(self.folder.name) / "two.trace"
        path.write_bytes(t.bytes())
        subprocess.run([self.thrum, "timeline", str(path), "-o", str(path.with_suffix(".html"))], check=True)
        self.open("two")
        told = self.js("""
          const { trace: { intervals: i, threads }, words } = timeline;
          return threads.map((t) => Array.from({ length: t.size }, (_, k) => [i.from[t.first + k], i.to[t.first + k], words.state(t.first + k)]));""")
        main = told[self.js("return timeline.trace.threads.findIndex((t) => t.name === 'MainThread')")]
        self.assertIn([5000, 9000, "waiting for lock `table`"], main)
        self.assertIn([10000, 20000, "waiting for the end of thread writer"], main)
        self.assertIn([21000, 22000, "running on worker 0"], main)
        self.assertEqual(self.element("name").text, "two.trace")
        self.assert_quiet()

    def test_shows_lanes_rows_and_warnings(self):
        self.open("some")
        kinds = self.js("return timeline.lanes.list.map((lane) => lane.kind)")
        self.assertEqual((kinds.count("worker"), kinds.count("thread"), kinds.count("counter"), kinds.count("marks")), (2, 12, 2, 1))
        self.assertEqual(kinds.count("span"), 12)
        self.assertEqual(len(self.rows("threads")), 12)
        self.assertEqual([w.text for w in self.browser.find_elements(By.CSS_SELECTOR, "#warnings button")][0],
                         "thread `worker-thread-2` never yielded for 300 ms")
        self.tab("locks")
        self.assertIn("lock `table`", [row.find_element(By.TAG_NAME, "td").text for row in self.rows("locks")])
        self.tab("critical")
        self.assertGreater(len(self.rows("critical")), 10)
        self.tab("spans")
        self.assertEqual(sorted(row.find_element(By.TAG_NAME, "td").text for row in self.rows("spans")), ["parse", "reply"])
        self.assertIn("12 threads", self.element("facts").text)
        self.assert_quiet()

    def test_numbers_survive_the_page(self):
        """What the page decodes adds up to what the threads' totals say, which come from the model."""
        self.open("some")
        self.assertTrue(self.js("""
          const { threads, intervals: i } = timeline.trace;
          return threads.every((t) => {
            const total = [0, 0, 0, 0];
            for (let k = t.first; k < t.first + t.size; k++) total[i.state[k]] += i.to[k] - i.from[k];
            return total.every((sum, s) => sum === t.total[s]) && t.total.reduce((a, b) => a + b) <= timeline.trace.duration;
          });"""))
        self.assertTrue(self.js("""
          const { intervals: i, objects } = timeline.trace, waited = objects.map(() => 0);
          for (let k = 0; k < i.size; k++) if (i.object[k] >= 0) waited[i.object[k]] += i.to[k] - i.from[k];
          return waited.every((sum, o) => sum === objects[o].waited && sum > 0);"""))
        self.assertEqual(self.js("return Math.max(...timeline.trace.intervals.to)"), self.view()["duration"])
        self.assertTrue(self.js("""
          const { path: p, spans: s, intervals: i, threads } = timeline.trace;
          for (let k = 0; k < p.size; k++)
            if (p.from[k] < i.from[p.interval[k]] || p.to[k] > i.to[p.interval[k]] || (k && p.from[k] !== p.to[k - 1])) return false;
          for (let k = 0; k < s.size; k++)
            if (s.from[k] < threads[s.thread[k]].born || s.to[k] > threads[s.thread[k]].ended || s.to[k] < s.from[k]) return false;
          return p.size > 100 && s.size > 100 && p.to[p.size - 1] === timeline.trace.duration;"""), "path and spans lie in their threads")
        self.assertTrue(self.js("""
          const { samples: s, strings, duration } = timeline.trace, lengths = s.value.filter((_, k) => strings[s.name[k]] === "queue length");
          return lengths.length === 150 && lengths.every((v) => v >= 0 && v < 40) && s.time.every((t, k) => t <= duration && (!k || t >= s.time[k - 1]));
          """), "counters")

    def test_draws_each_state(self):
        self.open("some")
        self.js("document.getElementById('scroller').scrollTop = 170; timeline.zoom(0.2, 300)")
        self.wait(lambda: all(self.pixels().get(self.colour(c), 0) > 50 for c in ("run", "ready", "readyLine", "blocked", "call", "callLine")),
                  "bar of each state")

    def test_states_differ_by_height_and_pattern(self):
        """In the middle of each wide bar: its state's colours from its state's height down, and the ground above."""
        self.open("some")
        told = self.js("""
          const page = timeline, { view, painter } = page, seen = [0, 0, 0, 0], wrong = [];
          const { run, ready, readyLine, blocked, call, callLine } = painter.look;
          const colours = [[run], [ready, readyLine], [blocked], [call, callLine]];
          page.zoom(0.2, 400);
          const check = (lane, t, i) => {
            const { pixels, width } = painter.raster, { top, height } = painter.box(lane);
            const x = Math.round(painter.x((t.from[i] + t.to[i]) / 2)), s = t.state[i];
            if (t.to[i] - t.from[i] < 6 * view.scale || x < 0 || x >= width) return;
            const column = Array.from({ length: height }, (_, y) => pixels[(top + y) * width + x]);
            const begins = Math.round(height * [0, 0.4, 0.84, 0.4][s]);
            seen[s]++;
            if (!column.slice(begins).every((p) => colours[s].includes(p))) wrong.push([i, s, "bar"]);
            if (column.slice(0, Math.max(0, begins - 1)).some((p) => colours[s].includes(p))) wrong.push([i, s, "above"]);
          };
          for (const lane of page.lanes.list.filter(({ kind }) => kind === "thread").slice(0, 8)) {
            document.getElementById("scroller").scrollTop = lane.y;
            page.frame();
            for (let i = lane.track.low; i < lane.track.high; i++) check(lane, lane.track, i);
          }
          return [seen.every((n) => n > 1), wrong];""")
        self.assertEqual(told, [True, []])

    def test_lanes_show_what_the_intervals_say(self):
        """Every pixel column of a worker's lane that lies inside one run is painted, and none that lies between runs."""
        self.open("some")
        wrong = self.js("""
          const page = timeline, { view, painter } = page, lane = page.lanes.list[1], t = lane.track;
          page.zoom(0.1, 400);
          painter.paint(page.state);
          const c = painter.canvas, ratio = painter.ratio, { top, height } = painter.box(lane), wrong = [];
          const y = Math.round((top + 1) * ratio), left = Math.round(168 * ratio), width = painter.raster.width;
          const row = new Uint32Array(c.getContext("2d").getImageData(left, y, width, 1).data.buffer);
          let inside = 0, outside = 0;
          for (let x = 0; x < width; x++) {
            const from = view.from + x * view.scale / ratio, to = from + view.scale / ratio;
            const during = Array.from(t.from).some((f, i) => f + view.scale <= from && t.to[i] >= to);
            const apart = !Array.from(t.from).some((f, i) => f < to && t.to[i] > from);
            const is = row[x] === painter.look.run;
            inside += during;
            outside += apart;
            if ((during && !is) || (apart && is)) wrong.push(x);
          }
          return inside > 50 && outside > 50 ? wrong : `too few: ${inside}, ${outside}`;""")
        self.assertEqual(wrong, [])

    def test_search_finds_and_steps(self):
        self.open("some")
        self.press("/")
        self.press("worker-thread-1")
        self.wait(lambda: self.element("found").text == "3 found", "three threads: 1, 10 and 11")
        self.press(Keys.ENTER)
        self.wait(lambda: self.element("found").text == "1 of 3", "first match")
        self.assertEqual(self.js("return timeline.state.thread"), 1)
        self.element("next").click()
        self.assertEqual(self.js("return timeline.state.thread"), 10)
        self.element("previous").click()
        self.assertEqual(self.js("return timeline.state.thread"), 1)
        self.js("const s = document.getElementById('search'); s.value = 'TABLE'; s.dispatchEvent(new Event('input'))")
        self.element("next").click()
        self.assertIn("waiting for lock `table`", self.element("spoken").get_attribute("textContent"))
        self.js("const s = document.getElementById('search'); s.value = 'parse'; s.dispatchEvent(new Event('input'))")
        self.element("next").click()
        self.assertIn("parse", self.element("spoken").get_attribute("textContent"))
        self.js("const s = document.getElementById('search'); s.value = 'nowhere'; s.dispatchEvent(new Event('input'))")
        self.assertEqual(self.element("found").text, "none")
        self.assert_quiet()

    def test_keys_zoom_move_and_choose(self):
        self.open("some")
        whole = self.length()
        self.press("+")
        self.wait(lambda: self.length() < 0.7 * whole, "zoom in by +")
        near = self.length()
        self.press("w")
        self.assertLess(self.length(), near)
        before = self.settled()
        self.press(Keys.ARROW_RIGHT)
        self.assertGreater(self.settled()["from"], before["from"])
        self.press("aa")
        self.assertLess(self.settled()["from"], before["from"])
        self.press(Keys.ARROW_DOWN)
        self.wait(lambda: self.view()["top"] > before["top"], "scroll by an arrow")
        self.press("-----")
        self.press("0")
        self.wait(lambda: self.length() >= whole, "whole trace by 0")
        self.press("]")
        first = self.js("return timeline.state.selected.index")
        self.press("]")
        self.assertEqual(self.js("return timeline.state.selected.index"), first + 1)
        self.press("f")
        self.wait(lambda: self.length() < whole / 4, "zoom to the chosen bar")
        self.press(Keys.ESCAPE)
        self.assertIsNone(self.js("return timeline.state.selected"))
        self.press("?")
        self.assertTrue(self.element("help").is_displayed())
        self.press(Keys.ESCAPE)
        self.assertFalse(self.element("help").is_displayed())
        self.assert_quiet()

    def test_wheel_zooms_drag_moves_ruler_chooses(self):
        self.open("some")
        lanes, whole = self.element("lanes"), self.length()
        under = "return timeline.view.from + 432 * timeline.view.scale"  # 600 pixels from the left, 168 of which are names
        before = self.js(under)
        self.js("""const c = document.getElementById("lanes"), b = c.getBoundingClientRect();
          for (let i = 0; i < 6; i++) c.dispatchEvent(new WheelEvent("wheel",
            {deltaY: -100, clientX: b.left + 600, clientY: b.top + 60, bubbles: true, cancelable: true}))""")
        near = self.length()
        self.assertLess(near, whole / 2)
        self.assertAlmostEqual(self.js(under) / before, 1, places=6, msg="what is under the pointer stays there")
        before = self.settled()
        ActionChains(self.browser).move_to_element(lanes).click_and_hold().move_by_offset(-120, 0).release().perform()
        self.assertGreater(self.settled()["from"], before["from"])
        ActionChains(self.browser).move_to_element(self.element("ruler")).click_and_hold().move_by_offset(90, 0).release().perform()
        chosen = self.js("const r = timeline.state.range; return r.to - r.from")
        self.assertAlmostEqual(chosen / near, 90 / self.js("return timeline.view.width"), delta=0.01)
        self.assertIn("busy", self.element("page-details").text)
        self.press(Keys.ENTER)
        self.wait(lambda: abs(self.length() - chosen) < 0.01 * chosen, "zoom to the chosen stretch")
        self.assert_quiet()

    def test_pointer_tells_and_click_chooses(self):
        self.open("some")
        x, y, thread = self.js("""
          const page = timeline, lane = page.lanes.list[1], t = lane.track;
          let long = 0;
          for (let i = 0; i < t.high; i++) if (t.to[i] - t.from[i] > t.to[long] - t.from[long]) long = i;
          const b = document.getElementById("lanes").getBoundingClientRect();
          return [b.left + 168 + ((t.from[long] + t.to[long]) / 2 - page.view.from) / page.view.scale, b.top + lane.y + 10,
            page.words.thread(page.trace.intervals.thread[t.ids[long]])];""")
        action = ActionChains(self.browser)
        action.w3c_actions.pointer_action.move_to_location(int(x), int(y))
        action.perform()
        self.wait(lambda: "running on worker 0" in self.element("tip").text, "tooltip")
        self.assertIn(thread, self.element("tip").text)
        action = ActionChains(self.browser)
        action.w3c_actions.pointer_action.move_to_location(int(x), int(y)).click()
        action.perform()
        self.assertEqual(self.browser.find_element(By.CSS_SELECTOR, "#page-details h2").text, thread)

    def test_wakeups_point_from_waker_to_woken(self):
        self.open("some")
        self.assertTrue(self.js("""
          const { trace: { intervals: i }, painter, lanes } = timeline;
          const wait = i.waker.findIndex((w, k) => w >= 0 && w !== i.thread[k] && i.to[k + 1] > i.from[k + 1]);
          const shown = painter.arrows([], { arrows: true, selected: { kind: "interval", index: wait } });
          const hidden = painter.arrows(lanes.list, { arrows: false });
          const all = painter.arrows(lanes.list, { arrows: true });
          return shown.length === 1 && shown[0].from === i.waker[wait] && shown[0].to === i.thread[wait] && shown[0].time === i.to[wait]
            && hidden.length === 0 && all.length === 0;"""), "too many to show all")
        self.js("timeline.zoom(0.05, 500)")
        self.assertGreater(self.js("return timeline.painter.arrows(timeline.lanes.list, { arrows: true }).length"), 3)
        self.press("v")
        self.assertEqual(self.element("arrows").get_attribute("aria-pressed"), "false")

    def test_critical_path_is_highlighted(self):
        self.open("some")
        colour = self.js("return String(parseInt('ff' + getComputedStyle(document.documentElement).getPropertyValue('--path').trim()"
                         ".slice(1).match(/../g).reverse().join(''), 16))")
        before = self.pixels()
        self.press("c")
        self.wait(lambda: self.pixels().get(colour, 0) > before.get(colour, 0) + 100, "underline")
        self.assertTrue(self.element("page-critical").is_displayed())
        self.rows("critical")[0].click()
        self.assertIsNotNone(self.js("return timeline.state.selected"))
        self.assert_quiet()

    def test_tables_sort_and_lead_to_lanes(self):
        self.open("threads")
        self.assertLess(len(self.rows("threads")), 100, "rows out of sight are not in the document")
        runs = lambda: self.js("return timeline.tables.threads.rows.map((t) => t.total[0])")
        self.assertEqual(runs(), sorted(runs(), reverse=True))
        head = self.browser.find_elements(By.CSS_SELECTOR, "#page-threads th button")[2]
        head.click()
        self.assertEqual(runs(), sorted(runs()))
        self.browser.find_elements(By.CSS_SELECTOR, "#page-threads th button")[0].click()
        self.assertEqual(self.rows("threads")[3].find_element(By.TAG_NAME, "td").text, "worker-thread-3")
        self.js("document.getElementById('page-threads').scrollTop = 1e9")
        last = "return document.querySelector('#page-threads tbody').lastChild.firstChild.textContent"
        self.wait(lambda: self.js(last) == "worker-thread-999", "last row")
        self.rows("threads")[-1].click()
        self.wait(lambda: self.js("""
          const p = timeline, lane = p.lanes.list[p.lanes.ofThread[999]];
          return p.state.thread === 999 && lane.y >= p.view.top && lane.y + lane.height <= p.view.top + p.view.height;"""), "its lane in sight")
        self.assert_quiet()

    def test_warnings_jump(self):
        self.open("some")
        buttons = self.browser.find_elements(By.CSS_SELECTOR, "#warnings button")
        buttons[0].click()
        self.assertEqual(self.js("return timeline.state.thread"), 2)
        buttons[1].click()
        self.assertIn("waiting for lock `table`", self.element("spoken").get_attribute("textContent"))

    def test_lost_events_are_told(self):
        self.open("lost")
        self.assertIn("12,345 events lost", self.element("facts").text)
        self.open("some")
        self.assertNotIn("lost", self.element("facts").text)

    def test_light_and_dark(self):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        ground = lambda: self.js("return getComputedStyle(document.body).backgroundColor")
        try:
            self.open("some")
            dark = ground()
            self.assertEqual(self.js("return document.documentElement.dataset.theme"), "dark")
            self.assertGreater(self.pixels().get(self.colour("run"), 0), 50)
            self.press("t")
            self.assertNotEqual(ground(), dark)
        finally:
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.open("some")
        self.assertEqual(self.js("return document.documentElement.dataset.theme"), "light")
        self.element("theme").click()
        self.assertEqual(ground(), dark)

    def test_hostile_names_are_text(self):
        self.open("hostile")
        for page in ("details", "locks", "critical", "spans", "threads"):
            self.tab(page)
        self.js("timeline.goToThread(3); timeline.goTo({kind: 'interval', index: timeline.trace.threads[3].first + 1}); timeline.toggle('path')")
        for wanted in ("script", "utf", "mirrored", "www"):
            self.js("const s = document.getElementById('search'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", wanted)
            self.js("timeline.stepFound(1)")
        self.assertIsNone(self.js("return window.broken === undefined ? null : window.broken"))
        self.assertEqual(self.js("return document.querySelectorAll('img, svg, script:not(:last-of-type)').length"), 0)
        warnings = [w.text for w in self.browser.find_elements(By.CSS_SELECTOR, "#warnings button")]
        self.assertIn("</script><script>window.broken=1</script>", warnings)
        self.assertEqual(self.js("return timeline.trace.threads[3].name.length"), 10000)
        self.assertIn("\ufffd\ufffd broken \ufffd( utf\ufffd\ufffd\ufffd", self.js("return timeline.trace.threads.map((t) => t.name)"))
        shown = self.js("return [...document.querySelectorAll('td, #warnings button')].map((n) => n.textContent).join()")
        self.assertIn("mirrored", shown)
        self.assertNotIn("\u202e", shown)
        (Path(self.folder.name) / "hostile.html").read_bytes().decode()  # is UTF-8
        self.assert_quiet()

    def test_little_and_nothing(self):
        self.open("empty")
        self.assertTrue(self.element("nothing").is_displayed())
        self.press("+-0wasd[]fcvn?", Keys.ESCAPE, Keys.ESCAPE)
        for page in ("details", "threads", "locks", "critical", "spans"):
            self.tab(page)
        self.assert_quiet()
        self.open("one")
        self.assertEqual(len(self.rows("threads")), 1)
        self.press("+-0wasd[]fcvn")
        self.assert_quiet()

    def test_small_window(self):
        try:
            self.browser.set_window_size(520, 640)
            self.open("some")
            self.assertLessEqual(self.js("return document.documentElement.scrollWidth"), self.js("return window.innerWidth"))
            self.assertGreaterEqual(self.js("return timeline.view.height"), 100)
        finally:
            self.browser.set_window_size(1300, 900)

    def test_keyboard_reaches_everything(self):
        self.open("some")
        names = self.js("""
          return [...document.querySelectorAll("button, input, [tabindex='0']")].filter((n) => n.offsetParent)
            .filter((n) => !(n.getAttribute("aria-label") || n.textContent.trim())).length;""")
        self.assertEqual(names, 0, "all that can be focused has a name")
        self.element("tab-threads").send_keys(Keys.ARROW_RIGHT)
        self.assertTrue(self.element("page-locks").is_displayed())
        row = self.rows("locks")[0]
        self.js("arguments[0].focus()", row)
        self.press(Keys.ARROW_DOWN, Keys.ENTER)
        self.assertEqual(self.js("return timeline.tables.locks.rows.indexOf(timeline.tables.locks.selected)"), 1)

    def test_a_million_intervals(self):
        self.open("empty")
        self.browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        before = self.cpu_time()
        took = self.open("million")
        worked = self.cpu_time() - before
        inside = self.js("const t = performance.getEntriesByType('navigation')[0]; return (t.loadEventEnd - t.startTime) / 1000")
        frames = self.browser.execute_async_script("""
          const done = arguments[0], page = timeline, times = [];
          let n = 0;
          const step = () => {
            page.frame();
            times.push(page.frames.last);
            if (n === 30) document.getElementById("scroller").scrollTop = 400;
            if (n < 60) page.view.zoom(n % 30 < 15 ? 0.7 : 1 / 0.7, 500);
            else page.view.move(40);
            if (++n < 90) requestAnimationFrame(step);
            else done(times.slice(5).sort((a, b) => a - b));
          };
          step();""")
        middle, worst = frames[len(frames) // 2] / 1000, frames[-1] / 1000
        print(f"\na million intervals: loaded in {inside:.2f} s (seen from outside {took:.2f} s, {worked:.2f} s of CPU time); "
              f"a frame took {1000 * middle:.1f} ms in the middle, {1000 * worst:.1f} ms at worst", file=sys.stderr)
        self.assertLess(worked, LOADS_IN)
        self.assertLess(middle, FRAME_IN)
        self.assert_quiet()


if __name__ == "__main__":
    if not DRIVER or not BROWSER:
        print("page: no chromium or no chromedriver here: skipped")
        sys.exit(77)
    Page.sample, Page.thrum = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main(verbosity=2)
