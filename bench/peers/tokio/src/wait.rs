//! Many tasks that do not run: parked, sleepers.
use crate::{memory, milliseconds, quantile, report};
use std::process::exit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{yield_now, JoinHandle};

/// n tasks that wait for one semaphore.
pub async fn parked(n: usize) {
    let gate = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(AtomicUsize::new(0));
    let mut all: Vec<Option<JoinHandle<()>>> = Vec::new();
    all.resize_with(n, || None);
    let (before, begun) = (memory(), Instant::now());
    for place in all.iter_mut() {
        let (gate, arrived) = (gate.clone(), arrived.clone());
        *place = Some(tokio::spawn(async move {
            arrived.fetch_add(1, AcqRel);
            gate.acquire().await.expect("the gate").forget();
        }));
    }
    while arrived.load(Acquire) < n {
        yield_now().await;
    }
    report("parked-create", begun.elapsed().as_secs_f64() * 1e6 / n as f64, "us");
    report("parked-bytes", (memory() - before) as f64 / n as f64, "bytes");
    gate.add_permits(n);
    for handle in all.into_iter().flatten() {
        handle.await.expect("a task");
    }
}

const EXIT_LATE_START: i32 = 3;

/// n tasks asleep until a common start and up to 1 s more.
pub async fn sleepers(n: usize) {
    let start = Instant::now() + milliseconds("BENCH_LEAD_MS", 500);
    let late_start = Arc::new(AtomicBool::new(false));
    let mut seed = 88172645463325252u64;
    let mut all = Vec::with_capacity(n);
    for _ in 0..n {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let deadline = start + Duration::from_nanos(seed % 1_000_000_000);
        let late_start = late_start.clone();
        all.push(tokio::spawn(async move {
            if Instant::now() > start {
                late_start.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            tokio::time::sleep_until(deadline.into()).await;
            deadline.elapsed()
        }));
    }
    let mut late = Vec::with_capacity(n);
    for handle in all {
        late.push(handle.await.expect("a task"));
    }
    if late_start.load(Acquire) {
        exit(EXIT_LATE_START);
    }
    report("sleepers-p99", quantile(&mut late, 0.99), "ms");
}
