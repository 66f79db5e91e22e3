//! Tasks whose results are taken: executor. A task and its JoinHandle are what Tokio has for a pool's future.
use crate::{budget, report};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

async fn task(ns: u64) -> u64 {
    if ns > 0 {
        let end = Instant::now() + Duration::from_nanos(ns);
        while Instant::now() < end {}
    }
    ns
}

async fn batch(handles: &mut Vec<JoinHandle<u64>>, n: usize, ns: u64) {
    handles.extend((0..n).map(|_| tokio::spawn(task(ns))));
    for handle in handles.drain(..) {
        handle.await.expect("a task");
    }
}

pub async fn executor(metric: &str, n: usize, ns: u64) {
    let mut handles = Vec::with_capacity(n);
    batch(&mut handles, n, ns).await;
    let (begun, mut batches) = (Instant::now(), 0);
    while begun.elapsed() < budget() || batches == 0 {
        batch(&mut handles, n, ns).await;
        batches += 1;
    }
    report(metric, begun.elapsed().as_nanos() as f64 / (batches * n) as f64, "ns");
}
