/* The workloads that echo.h and files.h give to their includer. */
#ifndef BENCH_IO_RUNS_H
#define BENCH_IO_RUNS_H

void echo_run(long connections);
void idle_connection_run(long connections);
void file_read_run(long n);
void file_pread_run(long n);

#endif
