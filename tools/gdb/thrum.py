"""Light threads in gdb: `source tools/gdb/thrum.py`, then

    thrum threads         lists all threads: slot, state, name or function, what each waits for
    thrum bt SLOT         the stack of one, `thrum bt all` of each

A running, preempted or blocked thread is on a kernel thread, and gdb's own bt shows it there. A parked one is a
saved frame (src/arch/arch.h): its registers are put in place of the selected kernel thread's for as long as
bt runs. That needs a process; for a core file only `thrum threads` works.
"""
import gdb

# Words of the saved frame, counted from the saved stack pointer: name of the register, index. The stack
# pointer itself then is behind the frame.
FRAMES = {
    "i386:x86-64": (8, {"r15": 1, "r14": 2, "r13": 3, "r12": 4, "rbx": 5, "rbp": 6, "rip": 7}, "rsp"),
    "aarch64": (22, {**{f"x{19 + i}": i for i in range(10)}, "x29": 10, "pc": 11}, "sp"),
}
CHUNK = 1024
FREE = 1


def number(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def threads():
    """Every record in use."""
    table = gdb.parse_and_eval("thrumi_table")
    for slot in range(1, number(table["made"])):
        chunk = table["chunk"][slot // CHUNK]
        pointer = gdb.lookup_type("struct thrumi_thread").pointer()
        record = (chunk.cast(pointer) + slot % CHUNK).dereference()
        if not number(record["life"]) & FREE:
            yield record


def state(record):
    states = gdb.lookup_type("enum thrumi_state")
    return str(gdb.Value(number(record["state"])).cast(states)).replace("THRUMI_", "")


def title(record):
    if number(record["name"]):
        return record["name"]["text"].string()
    return str(record["fn"]).split("<")[-1].rstrip(">") if number(record["fn"]) else "main or foreign"


def waits(record):
    if state(record) != "WAITING" or not number(record["waits_for"]):
        return ""
    at = f" at {record['waits_on']}" if number(record["waits_on"]) else ""
    return f"waits for {record['waits_for'].string()}{at}"


def show_parked(record):
    words, registers, stack_pointer = FRAMES[gdb.selected_frame().architecture().name()]
    frame = record["sp"].cast(gdb.lookup_type("unsigned long").pointer())
    wanted = {name: number(frame[index]) for name, index in registers.items()}
    wanted[stack_pointer] = number(frame + words)
    gdb.newest_frame().select()
    former = {name: number(gdb.parse_and_eval(f"${name}")) for name in wanted}
    try:
        for name, value in wanted.items():
            gdb.execute(f"set ${name} = {value}")
        gdb.execute("bt")
    finally:
        for name, value in former.items():
            gdb.execute(f"set ${name} = {value}")


def show_carried(record):
    tid = number(record["kthread"].dereference()["tid"])
    selected = gdb.selected_thread()
    for thread in gdb.selected_inferior().threads():
        if thread.ptid[1] == tid:
            thread.switch()
            gdb.execute("bt")
    selected.switch()


def show(record):
    print(f"{int(record['slot'])}  {state(record)}  {title(record)}  {waits(record)}".rstrip())
    if number(record["kthread"]):
        show_carried(record)
    elif state(record) in ("READY", "WAITING") and number(record["sp"]):
        show_parked(record)
    else:
        print("runs on a kernel thread (see `thread apply all bt`), or has no stack yet")


class Thrum(gdb.Command):
    """thrum threads | thrum bt SLOT | thrum bt all"""

    def __init__(self):
        super().__init__("thrum", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if words == ["threads"]:
            for record in threads():
                print(f"{int(record['slot']):>7}  {state(record):<8} {title(record):<32} {waits(record)}".rstrip())
        elif len(words) == 2 and words[0] == "bt":
            for record in threads():
                if words[1] in ("all", str(int(record["slot"]))):
                    show(record)
        else:
            raise gdb.GdbError(self.__doc__)


Thrum()
