//! Starting, switching, joining: spawn, yield, forkjoin, skynet.
use crate::{budget, fail, report};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::task::{yield_now, JoinHandle};

async fn spawn_and_join(handles: &mut Vec<JoinHandle<()>>, n: usize) {
    handles.extend((0..n).map(|_| tokio::spawn(async {})));
    for handle in handles.drain(..) {
        handle.await.expect("a task");
    }
}

pub async fn spawn(n: usize) {
    let mut handles = Vec::with_capacity(n);
    spawn_and_join(&mut handles, n).await;
    let (begun, mut batches) = (Instant::now(), 0);
    while begun.elapsed() < budget() || batches == 0 {
        spawn_and_join(&mut handles, n).await;
        batches += 1;
    }
    report("spawn", begun.elapsed().as_nanos() as f64 / (batches * n) as f64, "ns");
}

/// A ring of n tasks that yield `each` times, from the last arrival to the last finish.
struct Ring {
    n: usize,
    each: usize,
    arrived: AtomicUsize,
    finished: AtomicUsize,
    begun: Mutex<Instant>,
    ended: Mutex<Instant>,
}

async fn yielder(ring: Arc<Ring>) {
    if ring.arrived.fetch_add(1, AcqRel) + 1 == ring.n {
        *ring.begun.lock().unwrap() = Instant::now();
    }
    while ring.arrived.load(Acquire) < ring.n {
        yield_now().await;
    }
    for _ in 0..ring.each {
        yield_now().await;
    }
    if ring.finished.fetch_add(1, AcqRel) + 1 == ring.n {
        *ring.ended.lock().unwrap() = Instant::now();
    }
}

pub async fn yielding(n: usize) {
    let ring = Arc::new(Ring {
        n,
        each: (2_000_000 / n).max(4),
        arrived: AtomicUsize::new(0),
        finished: AtomicUsize::new(0),
        begun: Mutex::new(Instant::now()),
        ended: Mutex::new(Instant::now()),
    });
    let all: Vec<_> = (0..n).map(|_| tokio::spawn(yielder(ring.clone()))).collect();
    for handle in all {
        handle.await.expect("a task");
    }
    let took = *ring.ended.lock().unwrap() - *ring.begun.lock().unwrap();
    report("yield", took.as_nanos() as f64 / (ring.each * n) as f64, "ns");
}

type Number = Pin<Box<dyn Future<Output = u64> + Send>>;

/// One spawn and one direct call; an async function that calls itself must be boxed.
fn fib(n: u64) -> Number {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let child = tokio::spawn(fib(n - 1));
        let y = fib(n - 2).await;
        child.await.expect("a task") + y
    })
}

/// How many calls of fib(n) spawn.
fn fib_spawns(n: u64) -> u64 {
    if n < 2 {
        0
    } else {
        1 + fib_spawns(n - 1) + fib_spawns(n - 2)
    }
}

pub async fn forkjoin(n: u64) {
    fib(n - 7).await;
    let begun = Instant::now();
    if fib(n).await != fib_spawns(n - 1) + 1 {
        fail("fib is wrong");
    }
    report("forkjoin", begun.elapsed().as_nanos() as f64 / fib_spawns(n) as f64, "ns");
}

fn skynet(first: u64, count: u64) -> Number {
    const CHILDREN: u64 = 10;
    Box::pin(async move {
        if count == 1 {
            return first;
        }
        let part = count / CHILDREN;
        let children: Vec<_> = (0..CHILDREN).map(|i| tokio::spawn(skynet(first + i * part, part))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.expect("a task");
        }
        sum
    })
}

pub async fn skynet_run(n: u64) {
    skynet(0, n / 10).await;
    let begun = Instant::now();
    if skynet(0, n).await != n * (n - 1) / 2 {
        fail("skynet's sum is wrong");
    }
    report("skynet", begun.elapsed().as_secs_f64() * 1e3, "ms");
}
