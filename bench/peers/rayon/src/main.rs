//! forkjoin and skynet with Rayon. Called as `rayon WORKLOAD N WORKERS`; prints `metric value unit`.
//!
//! rayon::join is fork-join and nothing else: what is not stolen is a direct call.
mod work;

use rayon::prelude::*;
use std::time::Instant;

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (x, y) = rayon::join(|| fib(n - 1), || fib(n - 2));
    x + y
}

/// How many calls of fib(n) fork.
fn fib_forks(n: u64) -> u64 {
    if n < 2 {
        0
    } else {
        1 + fib_forks(n - 1) + fib_forks(n - 2)
    }
}

fn forkjoin(n: u64) {
    fib(n - 7);
    let begun = Instant::now();
    assert_eq!(fib(n), fib_forks(n - 1) + 1);
    println!("forkjoin {:.3} ns", begun.elapsed().as_nanos() as f64 / fib_forks(n) as f64);
}

fn skynet(first: u64, count: u64) -> u64 {
    const CHILDREN: u64 = 10;
    if count == 1 {
        return first;
    }
    let part = count / CHILDREN;
    (0..CHILDREN).into_par_iter().map(|i| skynet(first + i * part, part)).sum()
}

fn skynet_run(n: u64) {
    skynet(0, n / 10);
    let begun = Instant::now();
    assert_eq!(skynet(0, n), n * (n - 1) / 2);
    println!("skynet {:.3} ms", begun.elapsed().as_secs_f64() * 1e3);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let n: u64 = arguments[2].parse().expect("a number");
    let workers: usize = arguments[3].parse().expect("a number");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool");
    match arguments[1].as_str() {
        "forkjoin" => pool.install(|| forkjoin(n)),
        "skynet" => pool.install(|| skynet_run(n)),
        "nqueens" => pool.install(|| work::nqueens(n)),
        "uts" => pool.install(|| work::uts(n)),
        "matmul" => pool.install(|| work::matmul(n)),
        "for" => pool.install(|| work::for_loop(n)),
        "for-uneven" => pool.install(|| work::for_uneven(n)),
        "reduce" => pool.install(|| work::reduce(n)),
        other => panic!("no workload {other} here"),
    }
}
