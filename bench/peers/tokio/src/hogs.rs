//! CPU-bound tasks: convoy. (No slice: tasks are not preempted.)
use crate::{fail, quantile, report};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{self, Receiver, Sender};

pub fn hog(stop: &AtomicBool) {
    while !stop.load(Relaxed) {}
}

pub fn hog_malloc(stop: &AtomicBool) {
    let mut i = 0u32;
    while !stop.load(Relaxed) {
        black_box(format!("hog {}: {}", i, f64::from(i) / 3.0));
        i = i.wrapping_add(1);
    }
}

async fn echo(mut from: Receiver, mut to: Sender) {
    let mut buffer = [0; 64];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        to.write_all(&buffer[..n]).await.expect("a pipe");
    }
}

async fn round_trips(mut from: Receiver, mut to: Sender) -> Vec<Duration> {
    const ENOUGH: usize = 2000;
    const WARM_UP: usize = 3;
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(3);
    let (mut took, mut answer) = (Vec::new(), [0; 64]);
    let message = [b'e'; 64];
    let start = Instant::now();
    for i in 0.. {
        let begun = Instant::now();
        let time = begun - start;
        if time > LONGEST || time > SHORTEST && took.len() >= ENOUGH {
            break;
        }
        to.write_all(&message).await.expect("a pipe");
        from.read_exact(&mut answer).await.expect("a pipe");
        if message != answer {
            fail("the echo is not what was sent");
        }
        if i >= WARM_UP {
            took.push(begun.elapsed());
        }
    }
    took
}

/// The hogs are tasks, or with `offload` blocking tasks on kernel threads of their own, as Tokio's
/// documentation teaches for CPU-bound work.
pub async fn convoy(hogs: usize, hog: fn(&AtomicBool), offload: bool) {
    let (there_in, there_out) = pipe::pipe().map(|(tx, rx)| (rx, tx)).expect("a pipe");
    let (back_in, back_out) = pipe::pipe().map(|(tx, rx)| (rx, tx)).expect("a pipe");
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..hogs {
        let stop = stop.clone();
        if offload {
            tokio::task::spawn_blocking(move || hog(&stop));
        } else {
            tokio::spawn(async move { hog(&stop) });
        }
    }
    tokio::spawn(echo(there_in, back_out));
    let mut took = tokio::spawn(round_trips(back_in, there_out)).await.expect("a task");
    stop.store(true, Relaxed);
    if took.is_empty() {
        fail("no round trip within 3 s");
    }
    report("convoy-p50", quantile(&mut took, 0.5), "ms");
    report("convoy", quantile(&mut took, 0.99), "ms");
}
