//! Channels: Tokio's own with one receiver, and async-channel, to which Tokio's documentation sends who needs several; or
//! flume, which has a rendezvous too. The first and the last word of an item carry its number.
use crate::{budget, fail, report};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

fn given(variable: &str, otherwise: isize) -> isize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

const UNBOUNDED: isize = -1;

/// Tells tasks to stop when the budget is used up; no driver of time is needed for it.
pub fn stopper() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let later = stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(budget());
        later.store(true, Relaxed);
    });
    stop
}

type Item<const WORDS: usize> = [u64; WORDS];

trait Put<T>: Clone + Send + 'static {
    fn put(&self, item: T) -> impl Future<Output = ()> + Send;
}

trait Get<T>: Send + 'static {
    fn get(&mut self) -> impl Future<Output = Option<T>> + Send;
}

impl<T: Send + 'static> Put<T> for mpsc::Sender<T> {
    async fn put(&self, item: T) {
        self.send(item).await.expect("a receiver");
    }
}

impl<T: Send + 'static> Get<T> for mpsc::Receiver<T> {
    async fn get(&mut self) -> Option<T> {
        self.recv().await
    }
}

impl<T: Send + 'static> Put<T> for async_channel::Sender<T> {
    async fn put(&self, item: T) {
        self.send(item).await.expect("a receiver");
    }
}

impl<T: Send + 'static> Get<T> for async_channel::Receiver<T> {
    async fn get(&mut self) -> Option<T> {
        self.recv().await.ok()
    }
}

impl<T: Send + 'static> Put<T> for flume::Sender<T> {
    async fn put(&self, item: T) {
        self.send_async(item).await.expect("a receiver");
    }
}

impl<T: Send + 'static> Get<T> for flume::Receiver<T> {
    async fn get(&mut self) -> Option<T> {
        self.recv_async().await.ok()
    }
}

async fn put_all<const WORDS: usize>(
    to: impl Put<Item<WORDS>>,
    stop: Arc<AtomicBool>,
    mut number: u64,
    most: usize,
) -> u64 {
    let (mut sum, mut done, mut item) = (0u64, 0, [0; WORDS]);
    while done < most && !stop.load(Relaxed) {
        for _ in 0..16 {
            number += 1;
            (item[0], item[WORDS - 1]) = (number, number);
            sum = sum.wrapping_add(number);
            to.put(item).await;
        }
        done += 16;
    }
    sum
}

async fn get_all<const WORDS: usize>(mut from: impl Get<Item<WORDS>>) -> (u64, usize) {
    let (mut sum, mut done) = (0u64, 0);
    while let Some(item) = from.get().await {
        if item[0] != item[WORDS - 1] {
            fail("half an item");
        }
        sum = sum.wrapping_add(item[0]);
        done += 1;
    }
    (sum, done)
}

async fn measure<const WORDS: usize, G: Get<Item<WORDS>>>(
    to: impl Put<Item<WORDS>>,
    from: Vec<G>,
    putters: usize,
    most: usize,
) {
    let (stop, begun) = (stopper(), Instant::now());
    let getters: Vec<_> = from.into_iter().map(|from| tokio::spawn(get_all(from))).collect();
    let putters: Vec<_> = (0..putters)
        .map(|i| tokio::spawn(put_all(to.clone(), stop.clone(), (i as u64) << 40, most / putters)))
        .collect();
    drop(to);
    let (mut put, mut got, mut items) = (0u64, 0u64, 0);
    for putter in putters {
        put = put.wrapping_add(putter.await.expect("a task"));
    }
    for getter in getters {
        let (sum, done) = getter.await.expect("a task");
        got = got.wrapping_add(sum);
        items += done;
    }
    let took = begun.elapsed();
    if put != got {
        fail("got not what was put");
    }
    report("queue", took.as_nanos() as f64 / items as f64, "ns");
}

async fn queue_of<const WORDS: usize>(putters: usize, getters: usize, capacity: isize, most: usize) {
    if capacity == UNBOUNDED {
        let (to, from) = async_channel::unbounded();
        measure::<WORDS, _>(to, vec![from; getters], putters, most).await
    } else if getters == 1 {
        let (to, from) = mpsc::channel(capacity as usize);
        measure::<WORDS, _>(to, vec![from], putters, most).await
    } else {
        let (to, from) = async_channel::bounded(capacity as usize);
        measure::<WORDS, _>(to, vec![from; getters], putters, most).await
    }
}

async fn flume_of<const WORDS: usize>(putters: usize, getters: usize, capacity: isize, most: usize) {
    let (to, from) =
        if capacity == UNBOUNDED { flume::unbounded() } else { flume::bounded(capacity as usize) };
    measure::<WORDS, _>(to, vec![from; getters], putters, most).await
}

pub async fn queue(most: usize, by_flume: bool) {
    let (putters, getters) = (given("BENCH_PUTTERS", 4) as usize, given("BENCH_GETTERS", 4) as usize);
    let capacity = given("BENCH_CAPACITY", 1024);
    match (given("BENCH_ITEM", 8), by_flume) {
        (8, false) => queue_of::<1>(putters, getters, capacity, most).await,
        (64, false) => queue_of::<8>(putters, getters, capacity, most).await,
        (_, false) => queue_of::<128>(putters, getters, capacity, most).await,
        (8, true) => flume_of::<1>(putters, getters, capacity, most).await,
        (64, true) => flume_of::<8>(putters, getters, capacity, most).await,
        (_, true) => flume_of::<128>(putters, getters, capacity, most).await,
    }
}

/// A number there and back.
async fn back_and_forth(
    there: impl Put<u64>,
    mut there_end: impl Get<u64>,
    back: impl Put<u64>,
    mut back_end: impl Get<u64>,
) {
    let (stop, begun) = (stopper(), Instant::now());
    let other = tokio::spawn(async move {
        while let Some(ball) = there_end.get().await {
            back.put(ball + 1).await;
        }
    });
    let mut ball = 0;
    while !stop.load(Relaxed) {
        there.put(ball).await;
        ball = back_end.get().await.expect("a sender");
    }
    let took = begun.elapsed();
    drop(there);
    other.await.expect("a task");
    report("pingpong", took.as_nanos() as f64 / ball as f64, "ns");
}

/// By two channels with one place: Tokio's has no fewer.
pub async fn pingpong() {
    let ((there, there_end), (back, back_end)) = (mpsc::channel(1), mpsc::channel(1));
    back_and_forth(there, there_end, back, back_end).await
}

pub async fn pingpong_flume() {
    let ((there, there_end), (back, back_end)) = (flume::bounded(0), flume::bounded(0));
    back_and_forth(there, there_end, back, back_end).await
}

/// One task puts n into an unbounded channel and gets n.
pub async fn fill(n: usize) {
    let (to, mut from) = mpsc::unbounded_channel::<usize>();
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < budget() || done == 0 {
        for _ in (0..1000).step_by(n) {
            for i in 0..n {
                to.send(i).expect("a receiver");
            }
            for i in 0..n {
                if from.recv().await != Some(i) {
                    fail("a channel out of order");
                }
            }
            done += n;
        }
    }
    report("queue-fill", begun.elapsed().as_nanos() as f64 / done as f64, "ns");
}

// ---- select: n channels, a sender each, and one task that receives from all

async fn put_numbers(to: mpsc::Sender<u64>, stop: Arc<AtomicBool>, mut number: u64) -> u64 {
    let mut sum = 0u64;
    while !stop.load(Relaxed) {
        for _ in 0..16 {
            number += 1;
            sum = sum.wrapping_add(number);
            to.send(number).await.expect("a receiver");
        }
    }
    sum
}

async fn get_from_2(from: Vec<mpsc::Receiver<u64>>) -> (u64, usize) {
    let [mut a, mut b] = <[_; 2]>::try_from(from).expect("two");
    let (mut sum, mut done) = (0u64, 0);
    loop {
        let got = tokio::select! {
            Some(v) = a.recv() => v,
            Some(v) = b.recv() => v,
            else => return (sum, done),
        };
        sum = sum.wrapping_add(got);
        done += 1;
    }
}

async fn get_from_8(from: Vec<mpsc::Receiver<u64>>) -> (u64, usize) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = <[_; 8]>::try_from(from).expect("eight");
    let (mut sum, mut done) = (0u64, 0);
    loop {
        let got = tokio::select! {
            Some(v) = a.recv() => v,
            Some(v) = b.recv() => v,
            Some(v) = c.recv() => v,
            Some(v) = d.recv() => v,
            Some(v) = e.recv() => v,
            Some(v) = f.recv() => v,
            Some(v) = g.recv() => v,
            Some(v) = h.recv() => v,
            else => return (sum, done),
        };
        sum = sum.wrapping_add(got);
        done += 1;
    }
}

pub async fn select(n: usize) {
    let (stop, begun, mut from, mut senders) = (stopper(), Instant::now(), Vec::new(), Vec::new());
    for i in 0..n {
        let (tx, rx) = mpsc::channel(given("BENCH_CAPACITY", 1024) as usize);
        senders.push(tokio::spawn(put_numbers(tx, stop.clone(), (i as u64) << 40)));
        from.push(rx);
    }
    let getter = if n == 2 { tokio::spawn(get_from_2(from)) } else { tokio::spawn(get_from_8(from)) };
    let mut put = 0u64;
    for sender in senders {
        put = put.wrapping_add(sender.await.expect("a task"));
    }
    let (got, done) = getter.await.expect("a task");
    let took = begun.elapsed();
    if put != got {
        fail("got not what was put");
    }
    report("select", took.as_nanos() as f64 / done as f64, "ns");
}

// ---- sieve: each prime has a task that lets pass what it does not divide

async fn natural_numbers(to: mpsc::Sender<u64>) {
    for i in 2.. {
        if to.send(i).await.is_err() {
            break;
        }
    }
}

async fn pass_others(mut from: mpsc::Receiver<u64>, to: mpsc::Sender<u64>, prime: u64) {
    while let Some(i) = from.recv().await {
        if i % prime != 0 && to.send(i).await.is_err() {
            break;
        }
    }
}

fn nth_prime(n: usize) -> u64 {
    let is_prime = |i: &u64| (2..).take_while(|d| d * d <= *i).all(|d| i % d != 0);
    (2..).filter(is_prime).nth(n - 1).expect("a prime")
}

pub async fn sieve(n: usize) {
    let begun = Instant::now();
    let (to, mut from) = mpsc::channel(1);
    tokio::spawn(natural_numbers(to));
    let mut prime = 0;
    for _ in 0..n {
        prime = from.recv().await.expect("a number");
        let (to, next) = mpsc::channel(1);
        tokio::spawn(pass_others(from, to, prime));
        from = next;
    }
    let took = begun.elapsed();
    if prime != nth_prime(n) {
        fail("that is not that prime");
    }
    report("sieve", took.as_secs_f64() * 1e3, "ms");
}
