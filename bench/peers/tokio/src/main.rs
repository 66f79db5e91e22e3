//! The workloads with Tokio's tasks. Called as `tokio WORKLOAD N WORKERS`; prints `metric value unit`.
mod executor;
mod hogs;
mod net;
mod queues;
mod spawn;
mod timers;
mod wait;

use std::future::Future;
use std::process::exit;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

pub fn fail(reason: &str) -> ! {
    eprintln!("{reason}");
    exit(1)
}

pub fn report(metric: &str, value: f64, unit: &str) {
    println!("{metric} {value:.3} {unit}");
}

pub fn milliseconds(variable: &str, otherwise: u64) -> Duration {
    let text = std::env::var(variable);
    Duration::from_millis(text.map_or(otherwise, |t| t.parse().expect("a number")))
}

pub fn budget() -> Duration {
    milliseconds("BENCH_MS", 300)
}

/// Resident bytes and page tables of this process.
pub fn memory() -> i64 {
    1024 * (kilobytes("/proc/self/smaps_rollup", "Rss:") + kilobytes("/proc/self/status", "VmPTE:"))
}

fn kilobytes(path: &str, key: &str) -> i64 {
    let text = std::fs::read_to_string(path).expect(path);
    let line = text.lines().find(|line| line.starts_with(key)).expect(key);
    line.split_whitespace().nth(1).expect(key).parse().expect(key)
}

/// The value at the quantile, in milliseconds.
pub fn quantile(values: &mut [Duration], q: f64) -> f64 {
    values.sort_unstable();
    let at = ((q * values.len() as f64) as usize).min(values.len() - 1);
    values[at].as_secs_f64() * 1e3
}

#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Tasks,
    ForkJoin,
    Drivers,
}
use Needs::{Drivers, ForkJoin, Tasks};

/// The fastest runtime for each: one worker is the current-thread runtime, save that fork-join wants the
/// newest task first, as the multi-thread one has it; the I/O and time drivers only where they are needed.
fn runtime(workers: usize, needs: Needs) -> Runtime {
    let mut builder = if workers == 1 && needs != ForkJoin {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    if workers > 1 || needs == ForkJoin {
        builder.worker_threads(workers);
    }
    if needs == Drivers {
        builder.enable_all();
    }
    builder.build().expect("a runtime")
}

/// The body of a workload is a spawned task, as Tokio's documentation advises.
fn run(workers: usize, needs: Needs, body: impl Future<Output = ()> + Send + 'static) {
    let runtime = runtime(workers, needs);
    runtime.block_on(async { tokio::spawn(body).await.expect("the workload") });
    runtime.shutdown_background();
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 4 {
        fail("usage: tokio WORKLOAD N WORKERS");
    }
    let n: usize = arguments[2].parse().expect("a number");
    let workers: usize = arguments[3].parse().expect("a number");
    match arguments[1].as_str() {
        "spawn" => run(workers, Tasks, spawn::spawn(n)),
        "yield" => run(workers, Tasks, spawn::yielding(n)),
        "forkjoin" => run(workers, ForkJoin, spawn::forkjoin(n as u64)),
        "skynet" => run(workers, ForkJoin, spawn::skynet_run(n as u64)),
        "parked" => run(workers, Tasks, wait::parked(n)),
        "sleepers" => run(workers, Drivers, wait::sleepers(n)),
        "convoy" => run(workers, Drivers, hogs::convoy(n, hogs::hog, false)),
        "convoy-malloc" => run(workers, Drivers, hogs::convoy(n, hogs::hog_malloc, false)),
        "convoy-offload" => run(workers, Drivers, hogs::convoy(n, hogs::hog, true)),
        "convoy-malloc-offload" => run(workers, Drivers, hogs::convoy(n, hogs::hog_malloc, true)),
        "queue" => run(workers, Tasks, queues::queue(n, false)),
        "queue-flume" => run(workers, Tasks, queues::queue(n, true)),
        "queue-fill" => run(workers, Tasks, queues::fill(n)),
        "pingpong" => run(workers, Tasks, queues::pingpong()),
        "pingpong-flume" => run(workers, Tasks, queues::pingpong_flume()),
        "select" => run(workers, Tasks, queues::select(n)),
        "sieve" => run(workers, Tasks, queues::sieve(n)),
        "timers" => run(workers, Drivers, timers::timers(n)),
        "executor" => run(workers, Tasks, executor::executor("executor", n, 0)),
        "executor-1us" => run(workers, Tasks, executor::executor("executor-1us", n, 1000)),
        "executor-100us" => run(workers, Tasks, executor::executor("executor-100us", n, 100_000)),
        "echo" => run(workers, Drivers, net::echo(n)),
        "idle-connection" => run(workers, Drivers, net::idle_connection(n)),
        "file-read" => run(workers, Tasks, net::file(false)),
        "file-pread" => run(workers, Tasks, net::file(true)),
        "timers-random" => run(workers, Drivers, timers::timers_random(n)),
        other => fail(&format!("no workload {other} here")),
    }
}
