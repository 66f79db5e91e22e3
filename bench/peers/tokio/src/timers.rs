//! Timers that are started and cancelled, while as many others are pending. A `Sleep` is in the wheel from its first poll
//! until it is dropped; nobody waits for it here, so that none costs a task. In a random order they are there and are set
//! again, by `reset`.
use crate::{budget, fail, report};
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::task::yield_now;
use tokio::time::{sleep, Sleep};

type Timer = Pin<Box<Sleep>>;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn some_time(seed: &mut u64) -> Duration {
    Duration::from_secs(1000) + Duration::from_nanos(random(seed) % 1_000_000_000_000)
}

/// Puts it into the wheel.
fn arm(timer: &mut Timer, context: &mut Context) {
    if timer.as_mut().poll(context).is_ready() {
        fail("a timer fired");
    }
}

fn start_new(n: usize, seed: &mut u64, context: &mut Context) -> Vec<Timer> {
    let mut timers: Vec<Timer> = Vec::with_capacity(n);
    for _ in 0..n {
        timers.push(Box::pin(sleep(some_time(seed))));
        arm(timers.last_mut().expect("one"), context);
    }
    timers
}

/// Does something in one go. Unconstrained, since a task that has polled 128 times would find its timers not polled at all.
/// Then it lets the driver look, which else would be woken for each timer that is the first it hears of.
async fn at_once<T>(mut what: impl FnMut(&mut Context) -> T) -> T {
    let result = tokio::task::unconstrained(poll_fn(|context| Poll::Ready(what(context)))).await;
    yield_now().await;
    result
}

/// A round says how long its two halves took.
async fn measure(n: usize, name: &str, mut round: impl FnMut(&mut u64, &mut Context) -> (Duration, Duration)) {
    let (mut started, mut cancelled, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    let mut seed = 88172645463325252;
    let others = at_once(|context| start_new(n, &mut seed, context)).await;
    at_once(|context| round(&mut seed, context)).await;
    while count == 0 || started + cancelled < budget() {
        let (start, cancel) = at_once(|context| round(&mut seed, context)).await;
        started += start;
        cancelled += cancel;
        count += 1;
    }
    drop(others);
    report(&format!("{name}-start"), started.as_nanos() as f64 / (count * n) as f64, "ns");
    report(&format!("{name}-cancel"), cancelled.as_nanos() as f64 / (count * n) as f64, "ns");
}

fn drop_timed(timers: Vec<Timer>) -> Duration {
    let begun = Instant::now();
    drop(timers);
    begun.elapsed()
}

pub async fn timers(n: usize) {
    let round = |seed: &mut u64, context: &mut Context| {
        let begun = Instant::now();
        let timers = start_new(n, seed, context);
        (begun.elapsed(), drop_timed(timers))
    };
    measure(n, "timers", round).await
}

/// There is no way to cancel a `Sleep` and keep it, so it is started by a reset of one that is pending.
pub async fn timers_random(n: usize) {
    let round = |seed: &mut u64, context: &mut Context| {
        let mut timers = start_new(n, seed, context);
        for i in (1..n).rev() {
            timers.swap(i, random(seed) as usize % (i + 1));
        }
        let begun = Instant::now();
        for timer in &mut timers {
            timer.as_mut().reset(tokio::time::Instant::now() + some_time(seed));
            arm(timer, context);
        }
        (begun.elapsed(), drop_timed(timers))
    };
    measure(n, "timers-random", round).await
}
