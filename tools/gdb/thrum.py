"""Light threads in gdb, of a process and of a core file.

    thrum threads         lists all threads: slot, state, name or function, what each waits for
    thrum bt SLOT         the stack of one, `thrum bt all` of each
    thrum thread SLOT     makes it the one that bt, up and `info locals` look at
    thrum thread off      ... and no more

Where libthrum is installed gdb loads this by itself; else `source tools/gdb/thrum.py`. Everything that it knows of the
layout comes from libthrum's debug information; without that it says so.

A running, preempted or blocked thread is on a kernel thread, and gdb's own bt shows it there. A parked one is a frame on
its stack that the switch saved (struct thrumi_saved_frame, whose members are called as the registers). Nothing is written to show it,
so that a core file will do: the unwinder below says that the caller of the selected kernel thread's innermost frame is
that saved frame. Frame 0 is the kernel thread's then, and frame 1 where the thread waits.
"""
import gdb
import gdb.unwinder

FREE = 1
WITHOUT = ("libthrum's debug information is not here, by which its threads are found: use a libthrum that is built with -g "
           "and not stripped, or install its debug symbols")
INCOMPLETE = ("the records of threads are not in this core file: gdb's generate-core-file leaves memory out in which it finds guard "
              "pages; the kernel's core files have it")


def number(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def known(name):
    """A constant or variable of libthrum."""
    try:
        value = gdb.parse_and_eval(name)
        number(value) if value.type.code == gdb.TYPE_CODE_ENUM else value.type.fields()
        return value
    except (gdb.error, TypeError):
        raise gdb.GdbError(WITHOUT) from None


def threads():
    """Every record in use."""
    table, chunk_size = known("thrumi_table"), number(known("THRUMI_CHUNK"))
    pointer = gdb.lookup_type("struct thrumi_thread").pointer()
    for slot in range(1, number(table["made"])):
        chunk = table["chunk"][slot // chunk_size]
        record = (chunk.cast(pointer) + slot % chunk_size).dereference()
        life = number(record["life"])
        if not life:
            raise gdb.GdbError(INCOMPLETE)
        if not life & FREE:
            yield record


def state(record):
    states = gdb.lookup_type("enum thrumi_state")
    return str(gdb.Value(number(record["state"])).cast(states)).replace("THRUMI_", "")


def title(record):
    if number(record["name"]):
        return record["name"]["text"].string(errors="replace")
    return str(record["fn"]).split("<")[-1].rstrip(">") if number(record["fn"]) else "main or foreign"


def waits(record):
    if state(record) != "WAITING" or not number(record["waits_for"]):
        return ""
    at = f" at {record['waits_on']}" if number(record["waits_on"]) else ""
    return f"waits for {record['waits_for'].string()}{at}"


def line(record):
    return f"{int(record['slot']):>7}  {state(record):<8} {title(record):<32} {waits(record)}".rstrip()


def carrier(record):
    """The number of the kernel thread that has its context live, or None."""
    if number(record["kthread"]):
        return number(record["kthread"].dereference()["tid"])
    worker_type = gdb.lookup_type("struct thrumi_worker").pointer()
    kthread_type = gdb.lookup_type("struct thrumi_kthread").pointer()
    workers = known("thrumi_sched")["worker"]
    for i in range(workers.type.range()[1] + 1):
        if not number(workers[i]):
            return None
        kthread = workers[i].cast(worker_type)["kthread"].cast(kthread_type)
        if number(kthread) and number(kthread["current"]) == number(record.address):
            return number(kthread["tid"])
    return None


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Parked(gdb.unwinder.Unwinder):
    """Puts a saved frame in the place of the selected kernel thread's callers."""

    def __init__(self):
        super().__init__("thrum")
        self.enabled = False

    def put(self, record):
        word = gdb.lookup_type("unsigned long")
        self.off()
        gdb.newest_frame().select()
        here = gdb.selected_frame()
        self.here = number(here.read_register("sp")), here.pc()
        names = {r.name for r in here.architecture().registers()}
        frame = record["sp"].cast(gdb.lookup_type("struct thrumi_saved_frame").pointer())
        self.saved = {f.name: gdb.Value(number(frame[f.name])).cast(word)
                      for f in frame.dereference().type.fields() if f.name in names}
        self.stack_pointer = "rsp" if "rsp" in names else "sp"
        self.saved[self.stack_pointer] = gdb.Value(number(frame + 1)).cast(word)
        self.id = FrameId(gdb.Value(number(frame)).cast(word), gdb.Value(here.pc()).cast(word))
        self.past_main = gdb.parameter("backtrace past-main")
        gdb.execute("set backtrace past-main on")  # the kernel thread may be in main itself
        self.enabled = True
        gdb.invalidate_cached_frames()

    def off(self, *_):
        if self.enabled:
            self.enabled = False
            gdb.execute(f"set backtrace past-main {'on' if self.past_main else 'off'}")
            gdb.invalidate_cached_frames()

    def __call__(self, pending):
        pc = "rip" if self.stack_pointer == "rsp" else "pc"
        at = number(pending.read_register(self.stack_pointer)), number(pending.read_register(pc))
        if at != self.here:
            return None
        unwound = pending.create_unwind_info(self.id)
        for name, value in self.saved.items():
            unwound.add_saved_register(name, value)
        return unwound


def select_kernel_thread(tid):
    for thread in gdb.selected_inferior().threads():
        if thread.ptid[1] == tid:
            thread.switch()
            return
    raise gdb.GdbError(f"kernel thread {tid} is not there")


def without_first(text):
    """A backtrace from frame 1 on."""
    start = text.find("#1 ")
    return text[start:] if start >= 0 else ""


def show(record):
    print(line(record).strip())
    tid, selected = carrier(record), gdb.selected_thread()
    try:
        if tid:
            select_kernel_thread(tid)
            gdb.execute("bt")
        elif state(record) in ("READY", "WAITING") and number(record["sp"]):
            parked.put(record)
            print(without_first(gdb.execute("bt", to_string=True)), end="")
        else:
            print("it has no stack, or none yet")
    finally:
        parked.off()
        selected.switch()


def choose(record):
    tid = carrier(record)
    if tid:
        select_kernel_thread(tid)
    elif state(record) in ("READY", "WAITING") and number(record["sp"]):
        parked.put(record)
        gdb.newest_frame().older().select()
    else:
        raise gdb.GdbError("it has no stack, or none yet")
    print(line(record).strip())
    gdb.execute("frame")


def by_slot(word):
    for record in threads():
        if word == str(int(record["slot"])):
            return record
    raise gdb.GdbError(f"no thread has the slot {word}; `thrum threads` lists them")


class Thrum(gdb.Command):
    """thrum threads | thrum bt SLOT | thrum bt all | thrum thread SLOT | thrum thread off"""

    def __init__(self):
        super().__init__("thrum", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if not gdb.selected_thread():
            raise gdb.GdbError("there is no process, and no core file")
        if words == ["threads"]:
            for record in threads():
                print(line(record))
        elif words == ["bt", "all"]:
            for record in threads():
                show(record)
        elif words == ["thread", "off"]:
            parked.off()
        elif len(words) == 2 and words[0] == "bt":
            show(by_slot(words[1]))
        elif len(words) == 2 and words[0] == "thread":
            parked.off()
            choose(by_slot(words[1]))
        else:
            raise gdb.GdbError(self.__doc__)


parked = Parked()
gdb.unwinder.register_unwinder(None, parked, replace=True)
gdb.events.cont.connect(parked.off)
Thrum()
