/* What calls do to the thread that makes them. tests/tools/dis.py checks that every function that the library exports is here,
 * and that this agrees with what the headers say of it. A new function goes to the group that says why it parks, or to those
 * that never do. */
#include "dis.h"

#define FROM_LIBC "waits in the kernel"

const struct call_group call_groups[] = {
    {CALL_PARKS, "lets the other threads go first", NULL, "thrum_yield"},
    {CALL_PARKS, "sleeps", NULL, "thrum_sleep thrum_sleep_until"},
    {CALL_PARKS, "waits for another thread to end", NULL,
     "thrum_join thrum_join_for thrum_wait thrum_wait_for thrum_run"},
    {CALL_PARKS, "waits for a thread that has failed and is just ending", NULL, "thrum_detach"},
    {CALL_PARKS, "gives its worker up while the function runs", NULL, "thrum_blocking"},
    {CALL_PARKS, "writes to standard output, and waits its turn", NULL, "thrum_print"},
    {CALL_PARKS, "waits if the lock is held: the fast path before it was in vain", NULL,
     "thrumi_lock_acquire_slow thrumi_lock_for_slow thrumi_rlock_acquire_slow thrumi_rlock_for_slow "
     "thrumi_rwlock_read_slow thrumi_rwlock_read_for_slow thrumi_rwlock_write_slow thrumi_rwlock_write_for_slow"},
    {CALL_PARKS, "waits if the gil is held: the fast path before it was in vain", NULL,
     "thrumi_gil_acquire_slow thrumi_gil_for_slow"},
    {CALL_PARKS, "hands the gil over if others wait, and waits for it", NULL, "thrumi_gil_check_slow"},
    {CALL_PARKS, "takes the gil again: waits if it is held", NULL, "thrumi_gil_begin"},
    {CALL_PARKS, "waits if there is no unit: the fast path before it was in vain", NULL,
     "thrumi_sem_acquire_slow thrumi_sem_for_slow"},
    {CALL_PARKS, "waits if the event is not set: the fast path before it was in vain", NULL,
     "thrumi_event_wait_slow thrumi_event_for_slow"},
    {CALL_PARKS, "waits if the count is not 0: the fast path before it was in vain", NULL,
     "thrumi_waitgroup_wait_slow thrumi_waitgroup_for_slow"},
    {CALL_PARKS, "calls the function, or waits for who does", NULL, "thrumi_once_slow thrumi_once_for_slow"},
    {CALL_PARKS, "releases the lock, waits to be notified, takes the lock again", NULL,
     "thrum_cond_wait thrum_cond_wait_for thrum_cond_wait_rlock thrum_cond_wait_rlock_for thrum_shared_cond_wait "
     "thrum_shared_cond_wait_for thrum_shared_cond_wait_rlock thrum_shared_cond_wait_rlock_for"},
    {CALL_PARKS, "waits for the others to come", NULL,
     "thrum_barrier_wait thrum_barrier_wait_for thrum_shared_barrier_wait thrum_shared_barrier_wait_for"},
    {CALL_PARKS, "waits if it is held, also by another process", NULL,
     "thrum_shared_lock_acquire thrum_shared_lock_acquire_for thrum_shared_rlock_acquire "
     "thrum_shared_rlock_acquire_for thrum_shared_rwlock_acquire_read thrum_shared_rwlock_acquire_read_for "
     "thrum_shared_rwlock_acquire_write thrum_shared_rwlock_acquire_write_for thrum_shared_sem_acquire "
     "thrum_shared_sem_acquire_for"},
    {CALL_PARKS, "waits if the event is not set", NULL,
     "thrum_shared_event_wait thrum_shared_event_wait_for"},
    {CALL_PARKS, "waits if there is no item, or no room", NULL,
     "thrum_queue_get_sized thrum_queue_get_sized_for thrum_queue_get_many_sized thrum_queue_put_sized "
     "thrum_queue_put_sized_for thrum_queue_put_many_sized thrum_process_queue_get thrum_process_queue_get_for "
     "thrum_process_queue_get_new thrum_process_queue_get_new_for thrum_process_queue_put "
     "thrum_process_queue_put_for"},
    {CALL_PARKS, "waits until all items are done", NULL,
     "thrum_queue_join thrum_queue_join_for thrum_process_queue_join thrum_process_queue_join_for"},
    {CALL_PARKS, "waits for the next item", NULL, "thrum_broadcast_get_sized"},
    {CALL_PARKS, "waits if an item of more than a few words is being copied", NULL,
     "thrum_broadcast_put_sized thrum_broadcast_try_get_sized"},
    {CALL_PARKS, "waits for another value", NULL, "thrum_watch_get_sized"},
    {CALL_PARKS, "waits for one of the cases", NULL, "thrum_select thrum_select_for thrum_try_select"},
    {CALL_PARKS, "waits for the next tick", NULL, "thrum_ticker_wait thrum_ticker_wait_for"},
    {CALL_PARKS, "waits for the timer's function to return", NULL, "thrum_timer_cancel_wait"},
    {CALL_PARKS, "sleeps until the next event of the schedule", NULL,
     "thrum_schedule_run thrum_schedule_run_due"},
    {CALL_PARKS, "waits for the scope's threads", NULL,
     "thrum_scope_close thrum_scope_wait_for thrumi_scope_leave"},
    {CALL_PARKS, "waits for the result", NULL,
     "thrum_future_wait thrum_future_wait_for thrum_future_result thrum_future_result_for thrum_future_bytes "
     "thrum_future_bytes_for thrum_future_wait_many thrum_completion_next thrum_map_next thrum_map_next_bytes "
     "thrum_map_next_for thrum_map_next_bytes_for thrum_map_end"},
    {CALL_PARKS, "runs callbacks, which may park", NULL,
     "thrum_future_cancel thrum_future_add_done_callback thrum_future_set_result thrum_future_set_bytes "
     "thrum_future_fail thrum_executor_release"},
    {CALL_PARKS, "an inline executor runs the task here", NULL,
     "thrum_submit thrum_submit_task thrum_map_start thrum_map_start_task"},
    {CALL_PARKS, "waits for the pool's threads, if told to", NULL,
     "thrum_executor_shutdown thrum_executor_shutdown_for"},
    {CALL_PARKS, "runs the loop's body, and waits for those who help", NULL,
     "thrum_parallel_for thrum_parallel_each thrum_parallel_reduce"},
    {CALL_PARKS, "waits if the descriptor is not ready", NULL,
     "thrum_read thrum_read_for thrum_write thrum_write_for thrum_readv thrum_readv_for thrum_writev "
     "thrum_writev_for thrum_read_full thrum_read_full_for thrum_write_all thrum_write_all_for thrum_sendfile "
     "thrum_sendfile_for thrum_poll thrum_poll_for thrum_recv thrum_recv_for thrum_send thrum_send_for "
     "thrum_recvmsg thrum_recvmsg_for thrum_sendmsg thrum_sendmsg_for thrum_accept thrum_accept_for "
     "thrum_connect thrum_connect_for thrum_reader_line thrum_reader_line_for thrum_reader_read "
     "thrum_reader_read_for thrum_writer_put thrum_writer_print thrum_writer_flush thrum_writer_flush_for"},
    {CALL_PARKS, "gives its worker up while the file answers", NULL,
     "thrum_pread thrum_pwrite thrum_open thrum_fsync"},
    {CALL_PARKS, "waits for calls on the descriptor that are under way", NULL,
     "thrum_close thrum_conn_shutdown thrum_conn_close thrum_listener_close"},
    {CALL_PARKS, "looks a name up, and connects", NULL,
     "thrum_getaddrinfo thrum_getaddrinfo_for thrum_dial_tcp thrum_dial_tcp_for thrum_dial_unix "
     "thrum_dial_unix_for thrum_listen_tcp thrum_listen_unix thrum_listener_open"},
    {CALL_PARKS, "waits for a message, or for room", NULL,
     "thrum_conn_send thrum_conn_send_for thrum_conn_recv thrum_conn_recv_for thrum_conn_recv_new "
     "thrum_conn_recv_new_for thrum_conn_send_fd thrum_conn_send_fd_for thrum_conn_recv_fd "
     "thrum_conn_recv_fd_for thrum_conn_wait thrum_conn_wait_for thrum_conn_wait_many thrum_conn_wait_many_for"},
    {CALL_PARKS, "waits for the other end", NULL,
     "thrum_listener_accept thrum_listener_accept_for thrum_conn_dial thrum_conn_dial_for "
     "thrum_conn_authenticate thrum_conn_authenticate_for thrum_shared_memory_attach "
     "thrum_shared_memory_attach_for"},
    {CALL_PARKS, "waits for a signal or a child", NULL,
     "thrum_signal_wait thrum_signal_wait_for thrum_child_wait thrum_child_wait_for"},
    {CALL_PARKS, "waits until the process runs, or has ended", NULL,
     "thrum_process_start thrum_process_exec thrum_process_join thrum_process_join_for thrum_parent_join_for"},
    {CALL_PARKS, "asks the process that gave the name, and waits a moment", NULL,
     "thrum_shared_memory_unlink"},
    {CALL_PARKS, "stops the threads for a moment, and writes", NULL,
     "thrum_dump thrum_dump_json thrum_find_deadlocks thrum_lock_profile"},
    {CALL_PARKS, "asks the manager, and waits for its answer", NULL,
     "thrum_manager_call thrum_manager_close thrum_manager_connect thrum_manager_event_clear "
     "thrum_manager_event_is_set thrum_manager_event_open thrum_manager_event_set "
     "thrum_manager_event_wait thrum_manager_lock_acquire thrum_manager_lock_acquire_for "
     "thrum_manager_lock_open thrum_manager_lock_release thrum_manager_lock_try_acquire "
     "thrum_manager_map_delete thrum_manager_map_get thrum_manager_map_keys thrum_manager_map_open "
     "thrum_manager_map_set thrum_manager_map_set_if thrum_manager_map_size thrum_manager_map_wait "
     "thrum_manager_queue_get thrum_manager_queue_get_for thrum_manager_queue_get_new "
     "thrum_manager_queue_join thrum_manager_queue_open thrum_manager_queue_put "
     "thrum_manager_queue_put_for thrum_manager_queue_shutdown thrum_manager_queue_size "
     "thrum_manager_queue_task_done thrum_manager_queue_try_get thrum_manager_queue_try_put "
     "thrum_manager_queue_unfinished thrum_manager_remove thrum_manager_rlock_open "
     "thrum_manager_sem_acquire thrum_manager_sem_open thrum_manager_sem_release "
     "thrum_manager_sem_value thrum_manager_serve thrum_manager_server_stop thrum_manager_start"},
    {CALL_PARKS, "runs the clean-up handler, which may park", NULL, "thrum_cleanup_pop"},

    {CALL_ENDS, "the thread ends here, and another one runs", NULL, "thrum_exit"},
    {CALL_ENDS, "ends the program with a message", NULL,
     "thrumi_not_held thrumi_gil_not_owned thrumi_rlock_overflow"},

    {CALL_BLOCKS, "opens or writes a file, and never switches of itself", "thrum_blocking",
     "thrum_trace_snapshot thrum_trace_start thrum_trace_stop"},

    {CALL_NEVER, "never switches", NULL,
     "thrum_active_count thrum_after thrum_as_completed thrum_at_exit thrum_barrier_abort "
     "thrum_barrier_broken thrum_barrier_destroy thrum_barrier_init thrum_barrier_init_with "
     "thrum_barrier_reset thrum_barrier_waiting thrum_broadcast_close thrum_broadcast_destroy "
     "thrum_broadcast_init thrum_broadcast_is_closed thrum_broadcast_subscribe thrum_cancel "
     "thrum_cancelled thrum_check_locks thrum_cleanup_push thrum_completion_end thrum_completion_left "
     "thrum_cond_destroy thrum_cond_notify thrum_cond_notify_all thrum_configure thrum_conn_fd "
     "thrum_conn_next_size thrum_conn_open thrum_conn_pair thrum_conn_pipe thrum_current "
     "thrum_current_name thrum_current_process_name thrum_enumerate thrum_errno "
     "thrum_event_destroy thrum_event_fd thrum_executor_inline thrum_executor_pids "
     "thrum_executor_processes thrum_executor_signal thrum_executor_statistics thrum_executor_threads "
     "thrum_fail thrum_failure thrum_future_cancelled thrum_future_done thrum_future_failure "
     "thrum_future_new thrum_future_release thrum_future_retain thrum_future_running "
     "thrum_future_start thrum_gil_destroy thrum_inherited_fd thrum_inspect thrum_is_alive thrum_left "
     "thrum_listener_address thrum_listener_fd thrum_local_get thrum_local_port thrum_local_set "
     "thrum_lock_destroy thrum_main_thread thrum_manager_address thrum_manager_keys_free "
     "thrum_manager_keys_next thrum_manager_pid thrum_manager_server_address thrum_map_failure "
     "thrum_map_index "
     "thrum_name thrum_native_id thrum_now thrum_on_deadlock thrum_on_fatal thrum_on_uncaught "
     "thrum_out_write thrum_parent_is_alive thrum_parent_name thrum_parent_pid thrum_pin "
     "thrum_process_exit_code thrum_process_failure thrum_process_interrupt thrum_process_is_alive "
     "thrum_process_kill thrum_process_main thrum_process_name thrum_process_output thrum_process_pid "
     "thrum_process_pipe thrum_process_queue_bytes thrum_process_queue_deaths "
     "thrum_process_queue_init thrum_process_queue_is_shutdown thrum_process_queue_next_size "
     "thrum_process_queue_shutdown thrum_process_queue_size thrum_process_queue_task_done "
     "thrum_process_queue_try_get thrum_process_queue_try_put thrum_process_queue_unfinished "
     "thrum_process_release thrum_process_result thrum_process_sentinel "
     "thrum_process_set_start_method thrum_process_signal thrum_process_start_method "
     "thrum_process_terminate thrum_processes thrum_profile_locks thrum_queue_capacity "
     "thrum_queue_destroy thrum_queue_init thrum_queue_is_empty thrum_queue_is_full "
     "thrum_queue_is_shutdown thrum_queue_set_capacity thrum_queue_shutdown thrum_queue_size "
     "thrum_queue_task_done thrum_queue_try_get_sized thrum_queue_try_put_sized "
     "thrum_queue_unfinished thrum_queue_writer_done thrum_queue_writers thrum_reader_buffered "
     "thrum_reader_init thrum_rwlock_destroy thrum_rwlock_downgrade thrum_rwlock_try_upgrade "
     "thrum_schedule_cancel thrum_schedule_enter thrum_schedule_enter_at thrum_schedule_list "
     "thrum_schedule_size thrum_scope_cancel thrum_scope_cancelled thrum_scope_count "
     "thrum_scope_deadline thrum_scope_fail thrum_scope_open thrum_scope_set_deadline "
     "thrum_scope_spawn thrum_scope_spawn_copy "
     "thrum_scope_spawn_named thrum_sem_destroy thrum_set_name thrum_set_stack_size "
     "thrum_set_switch_interval thrum_set_workers thrum_shared_alloc thrum_shared_alloc_array "
     "thrum_shared_barrier_abort thrum_shared_barrier_broken thrum_shared_barrier_init "
     "thrum_shared_barrier_reset thrum_shared_barrier_waiting thrum_shared_cond_notify "
     "thrum_shared_cond_notify_all thrum_shared_event_clear thrum_shared_event_is_set "
     "thrum_shared_event_set thrum_shared_free thrum_shared_lock_holder thrum_shared_lock_recover "
     "thrum_shared_lock_release thrum_shared_lock_try_acquire thrum_shared_memory_attach_fd "
     "thrum_shared_memory_close thrum_shared_memory_create thrum_shared_memory_data "
     "thrum_shared_memory_fd thrum_shared_memory_name thrum_shared_memory_resize "
     "thrum_shared_memory_size thrum_shared_offset thrum_shared_pointer thrum_shared_rlock_recover "
     "thrum_shared_rlock_release thrum_shared_rlock_try_acquire thrum_shared_rwlock_recover "
     "thrum_shared_rwlock_release_read thrum_shared_rwlock_release_write thrum_shared_rwlock_try_acquire_read "
     "thrum_shared_rwlock_try_acquire_write thrum_shared_sem_init "
     "thrum_shared_sem_release thrum_shared_sem_try_acquire thrum_shared_sem_value thrum_shared_used "
     "thrum_signal_catch thrum_signal_release thrum_spawn thrum_spawn_copy thrum_spawn_named "
     "thrum_spawn_with thrum_stack_size thrum_stack_used thrum_statistics thrum_switch_interval "
     "thrum_task_find thrum_ticker_start thrum_ticker_start_at thrum_ticker_stop "
     "thrum_ticker_try_wait thrum_timer_cancel thrum_timer_pending thrum_timer_restart "
     "thrum_timer_restart_at thrum_timer_start thrum_timer_start_at thrum_trace_statistics "
     "thrum_unpin thrum_version thrum_waitgroup_destroy thrum_workers thrum_writer_init "
     "thrumi_event_clear_slow thrumi_event_set_slow thrumi_gil_release_slow thrumi_gil_try_slow "
     "thrumi_lock_release_slow thrumi_lock_try_slow thrumi_object_name thrumi_object_name_as "
     "thrumi_rlock_try_slow thrumi_rwlock_release_read_slow thrumi_rwlock_release_write_slow "
     "thrumi_rwlock_try_read_slow thrumi_rwlock_try_write_slow thrumi_scope_enter "
     "thrumi_scope_enter_shield thrumi_sem_release_slow thrumi_sem_try_slow thrumi_span_begin_slow "
     "thrumi_span_end_slow thrumi_task_add thrumi_task_remove thrumi_trace_count_slow "
     "thrumi_trace_mark_slow thrumi_waitgroup_add_slow"},

    {CALL_BLOCKS, FROM_LIBC " until bytes or room are there", "thrum_read, thrum_write and the like",
     "read write readv writev preadv pwritev splice tee vmsplice"},
    {CALL_BLOCKS, FROM_LIBC " for the disk", "thrum_pread, thrum_pwrite, thrum_open, thrum_fsync",
     "pread pwrite open openat creat fsync fdatasync sync syncfs fallocate posix_fallocate ftruncate truncate "
     "unlink rename mkdir rmdir stat lstat fstat fstatat readdir opendir scandir copy_file_range"},
    {CALL_BLOCKS, FROM_LIBC " until there is room", "thrum_sendfile", "sendfile"},
    {CALL_BLOCKS, FROM_LIBC " for the peer", "thrum_recv, thrum_send, thrum_accept, thrum_connect",
     "recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg accept accept4 connect"},
    {CALL_BLOCKS, FROM_LIBC " for descriptors", "thrum_poll or thrum_select",
     "poll ppoll select pselect epoll_wait epoll_pwait epoll_pwait2"},
    {CALL_BLOCKS, "sleeps in the kernel", "thrum_sleep",
     "sleep usleep nanosleep clock_nanosleep thrd_sleep pause"},
    {CALL_BLOCKS, FROM_LIBC " for a signal", "thrum_signal_wait",
     "sigwait sigwaitinfo sigtimedwait sigsuspend"},
    {CALL_BLOCKS, FROM_LIBC " for a child", "thrum_child_wait or thrum_process_join",
     "wait waitpid wait3 wait4 waitid system popen pclose"},
    {CALL_BLOCKS, "asks name servers", "thrum_getaddrinfo",
     "getaddrinfo getnameinfo gethostbyname gethostbyname2 gethostbyaddr gethostbyname_r gethostbyaddr_r "
     "res_query res_search"},
    {CALL_BLOCKS, "waits in the kernel for who holds it", "thrum_lock and its kin",
     "pthread_mutex_lock pthread_mutex_timedlock pthread_mutex_clocklock pthread_rwlock_rdlock "
     "pthread_rwlock_timedrdlock pthread_rwlock_wrlock pthread_rwlock_timedwrlock pthread_cond_wait "
     "pthread_cond_timedwait pthread_cond_clockwait pthread_barrier_wait pthread_spin_lock pthread_once sem_wait "
     "sem_timedwait sem_clockwait mtx_lock mtx_timedlock cnd_wait cnd_timedwait call_once flock lockf "
     "msgrcv msgsnd mq_receive mq_send mq_timedreceive mq_timedsend semop semtimedop"},
    {CALL_BLOCKS, "waits in the kernel for a thread to end", "thrum_join",
     "pthread_join pthread_timedjoin_np pthread_clockjoin_np thrd_join"},
    {CALL_BLOCKS, "takes the stream's lock, and may wait for its descriptor",
     "thrum_print, thrum_writer_print",
     "printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putchar putc fputc fwrite perror putc_unlocked "
     "putchar_unlocked fputs_unlocked fwrite_unlocked fflush fclose fopen freopen fdopen err errx warn warnx "
     "error psignal syslog vsyslog wprintf fwprintf _IO_putc"},
    {CALL_BLOCKS, "takes the stream's lock, and may wait for its descriptor", "thrum_reader_line, thrum_read",
     "fread fgets fgetc getc getchar getline getdelim scanf fscanf vscanf vfscanf fread_unlocked getc_unlocked "
     "getchar_unlocked fgets_unlocked fseek fseeko ftell ftello rewind gets _IO_getc flockfile"},
    {CALL_BLOCKS, "a system call: some wait in the kernel", "thrum_blocking",
     "syscall ioctl fcntl futex dlopen"},

    {CALL_ATOMIC, "an addition, a mask, an exchange that cannot be split", NULL,
     "__aarch64_cas* __aarch64_swp* __aarch64_ldadd* __aarch64_ldset* __aarch64_ldclr* __aarch64_ldeor* "
     "__atomic_* __sync_*"},
};

const size_t call_group_count = sizeof call_groups / sizeof *call_groups;
