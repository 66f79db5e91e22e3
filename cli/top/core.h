/* The threads of a core file, by gdb. */
#ifndef THRUM_TOP_CORE_H
#define THRUM_TOP_CORE_H

/* Has gdb print them. The exit status. */
int print_core(const char *core, const char *program);

#endif
