//! Echo over TCP, and files.
use crate::{budget, fail, memory, quantile, report};
use std::io::{Read, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

fn size() -> usize {
    std::env::var("BENCH_BYTES").map_or(64, |t| t.parse().expect("a number"))
}

async fn serve(mut stream: TcpStream) {
    let mut buffer = vec![0; size()];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..n]).await.expect("a connection");
    }
}

#[derive(Default)]
struct Shared {
    done: Vec<AtomicUsize>,
    stop: AtomicBool,
}

/// Returns how long the last round trips took.
async fn ask(mut stream: TcpStream, number: usize, shared: Arc<Shared>, each: usize) -> Vec<Duration> {
    let (message, mut answer, mut took) = (vec![b'e'; size()], vec![0; size()], Vec::with_capacity(each));
    let mut begun = Instant::now();
    for i in 0.. {
        if shared.stop.load(Relaxed) {
            break;
        }
        stream.write_all(&message).await.expect("a connection");
        stream.read_exact(&mut answer).await.expect("a connection");
        if message != answer {
            fail("the echo is not what was sent");
        }
        let now = Instant::now();
        if took.len() < each {
            took.push(now - begun);
        } else {
            took[i % each] = now - begun;
        }
        begun = now;
        shared.done[number].store(i + 1, Relaxed);
    }
    took
}

/// Both ends of a connection.
async fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().expect("an address");
    let client = TcpStream::connect(address).await.unwrap_or_else(|e| fail(&e.to_string()));
    let (server, _) = listener.accept().await.unwrap_or_else(|e| fail(&e.to_string()));
    client.set_nodelay(true).expect("TCP_NODELAY");
    server.set_nodelay(true).expect("TCP_NODELAY");
    (client, server)
}

pub async fn echo(n: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let done = (0..n).map(|_| AtomicUsize::new(0)).collect();
    let shared = Arc::new(Shared { done, stop: AtomicBool::new(false) });
    let mut ends = Vec::new();
    for _ in 0..n {
        let (client, server) = connect(&listener).await;
        tokio::spawn(serve(server));
        ends.push(client);
    }
    let each = ((1 << 20) / n).max(16);
    let asking: Vec<_> = ends
        .into_iter()
        .enumerate()
        .map(|(i, client)| tokio::spawn(ask(client, i, shared.clone(), each)))
        .collect();
    while shared.done.iter().any(|d| d.load(Relaxed) == 0) {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(budget() / 2).await;
    let sum = || shared.done.iter().map(|d| d.load(Relaxed)).sum::<usize>();
    let (begun, before) = (Instant::now(), sum());
    sleep(2 * budget()).await;
    let done = sum() - before;
    report("echo", done as f64 / begun.elapsed().as_secs_f64(), "/s");
    shared.stop.store(true, Relaxed);
    let mut took = Vec::new();
    for task in asking {
        took.extend(task.await.expect("a task"));
    }
    report("echo-p99", 1e3 * quantile(&mut took, 0.99), "us");
}

/// The clients' ends cost this process nothing but their descriptors.
pub async fn idle_connection(n: usize) {
    let before = memory();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (mut ends, mut tasks) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for _ in 0..n {
        let client = std::net::TcpStream::connect(address).unwrap_or_else(|e| fail(&e.to_string()));
        let (server, _) = listener.accept().await.unwrap_or_else(|e| fail(&e.to_string()));
        server.set_nodelay(true).expect("TCP_NODELAY");
        tasks.push(tokio::spawn(serve(server)));
        ends.push(client);
    }
    let (message, mut answer) = ([b'e'; 64], [0; 64]);
    for client in &mut ends {
        client.write_all(&message).expect("a connection");
        tokio::task::yield_now().await;
        client.set_nonblocking(true).expect("a mode");
        while client.read(&mut answer).is_err() {
            sleep(Duration::from_micros(100)).await;
        }
    }
    sleep(Duration::from_millis(100)).await;
    report("idle-connection", (memory() - before) as f64 / n as f64, "bytes");
    drop(ends);
    for task in tasks {
        task.await.expect("a task");
    }
}

const FILE_BYTES: usize = 32 << 20;

async fn cached_file() -> File {
    let path = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    std::fs::write(&path, vec![b'f'; FILE_BYTES]).expect("room for a file");
    let mut file = File::open(&path).await.expect("the file");
    file.set_max_buf_size(size());
    std::fs::remove_file(&path).expect("the file");
    file
}

/// Each read goes to the pool of blocking threads. A random place costs two such calls: there is no pread.
pub async fn file(random: bool) {
    let (mut file, mut buffer, mut seed) = (cached_file().await, vec![0; size()], 88172645463325252u64);
    let blocks = FILE_BYTES / size();
    let mut begun = Instant::now();
    let mut passes = 0;
    loop {
        file.seek(SeekFrom::Start(0)).await.expect("a place");
        for _ in 0..blocks {
            if random {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let place = seed % blocks as u64 * size() as u64;
                file.seek(SeekFrom::Start(place)).await.expect("a place");
            }
            file.read_exact(&mut buffer).await.expect("a block");
        }
        passes += 1;
        if passes == 1 {
            begun = Instant::now(); // the first pass does not count
        } else if begun.elapsed() >= budget() {
            break;
        }
    }
    let metric = if random { "file-pread" } else { "file-read" };
    let took = begun.elapsed().as_nanos() as f64;
    report(metric, took / ((passes - 1) * blocks) as f64, "ns");
}
