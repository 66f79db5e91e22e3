//! nqueens, uts, matmul, for, for-uneven and reduce: what is computed is said in bench/common/work.h.
use rayon::prelude::*;
use std::time::{Duration, Instant};

fn mix(x: u64) -> u64 {
    let mut x = x.wrapping_add(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d049bb133111eb);
    x ^ x >> 31
}

/// The second of two runs.
fn timed(metric: &str, by: f64, unit: &str, run: impl Fn() -> bool) {
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let begun = Instant::now();
        let right = run();
        took = begun.elapsed();
        assert!(right, "{metric} is wrong");
    }
    println!("{metric} {:.3} {unit}", took.as_nanos() as f64 / by);
}

const QUEENS_DEPTH: u32 = 5;

#[derive(Clone, Copy, Default)]
struct Board {
    columns: u32,
    left: u32,
    right: u32,
    row: u32,
    size: u32,
}

impl Board {
    fn free(&self) -> u32 {
        ((1 << self.size) - 1) & !(self.columns | self.left | self.right)
    }

    fn place(&self, bit: u32) -> Board {
        let (left, right) = ((self.left | bit) << 1, (self.right | bit) >> 1);
        Board { columns: self.columns | bit, left, right, row: self.row + 1, size: self.size }
    }
}

fn queens_alone(b: Board) -> u64 {
    if b.row == b.size {
        return 1;
    }
    let (mut count, mut free) = (0, b.free());
    while free != 0 {
        count += queens_alone(b.place(free & free.wrapping_neg()));
        free &= free - 1;
    }
    count
}

fn queens(b: Board) -> u64 {
    if b.row >= QUEENS_DEPTH {
        return queens_alone(b);
    }
    let free = b.free();
    (0..b.size).into_par_iter().filter(|i| free >> i & 1 != 0).map(|i| queens(b.place(1 << i))).sum()
}

pub fn nqueens(n: u64) {
    let board = Board { size: n as u32, ..Board::default() };
    let solutions = queens_alone(board);
    timed("nqueens", 1e6, "ms", || queens(board) == solutions);
}

fn children(node: u64, depth: u64) -> u64 {
    if depth == 0 {
        return 0;
    }
    let (u, mut t, mut n) = ((mix(node) >> 11) as f64 / (1u64 << 53) as f64, 0.8, 0);
    while u < t && n < 100 {
        n += 1;
        t *= 0.8;
    }
    n
}

fn child(node: u64, i: u64) -> u64 {
    mix(node.wrapping_mul(128).wrapping_add(i + 1))
}

fn tree_alone(node: u64, depth: u64) -> u64 {
    1 + (0..children(node, depth)).map(|i| tree_alone(child(node, i), depth - 1)).sum::<u64>()
}

fn tree(node: u64, depth: u64) -> u64 {
    let n = children(node, depth);
    if n == 0 {
        return 1;
    }
    1 + (0..n).into_par_iter().map(|i| tree(child(node, i), depth - 1)).sum::<u64>()
}

pub fn uts(depth: u64) {
    let nodes = tree_alone(19, depth);
    timed("uts", nodes as f64, "ns", || tree(19, depth) == nodes);
}

/// A block within rows of `stride`; blocks that are written at once are disjoint.
#[derive(Clone, Copy)]
struct Block(*mut f64);
unsafe impl Send for Block {}
unsafe impl Sync for Block {}

impl Block {
    fn at(self, offset: usize) -> Block {
        Block(unsafe { self.0.add(offset) })
    }
}

unsafe fn multiply_block(c: Block, a: Block, b: Block, n: usize, stride: usize) {
    for i in 0..n {
        let row = std::slice::from_raw_parts_mut(c.at(i * stride).0, n);
        for k in 0..n {
            let x = *a.at(i * stride + k).0;
            let other = std::slice::from_raw_parts(b.at(k * stride).0, n);
            for (to, from) in row.iter_mut().zip(other) {
                *to += x * from;
            }
        }
    }
}

fn multiply(c: Block, a: Block, b: Block, n: usize, stride: usize) {
    if n <= 64 {
        return unsafe { multiply_block(c, a, b, n, stride) };
    }
    let (h, down) = (n / 2, n / 2 * stride);
    for half in 0..2 {
        let (x, y) = (a.at(half * h), b.at(half * down));
        let part = move |c: Block, x: Block, y: Block| multiply(c, x, y, h, stride);
        rayon::join(
            || rayon::join(|| part(c, x, y), || part(c.at(h), x, y.at(h))),
            || rayon::join(|| part(c.at(down), x.at(down), y), || part(c.at(down + h), x.at(down), y.at(h))),
        );
    }
}

fn times(m: &[f64], x: &[f64]) -> Vec<f64> {
    m.chunks(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

pub fn matmul(n: u64) {
    let n = n as usize;
    let matrix = |seed: u64| (0..n * n).map(|i| (mix(seed + i as u64) % 8) as f64).collect::<Vec<f64>>();
    let (mut a, mut b) = (matrix(1), matrix(1 << 30));
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let mut c = vec![0.0; n * n];
        let begun = Instant::now();
        multiply(Block(c.as_mut_ptr()), Block(a.as_mut_ptr()), Block(b.as_mut_ptr()), n, n);
        took = begun.elapsed();
        let x: Vec<f64> = (0..n).map(|i| (mix(i as u64 + 99) % 4) as f64).collect();
        assert!(times(&c, &x) == times(&a, &times(&b, &x)), "matmul is wrong");
    }
    println!("matmul {:.3} ms", took.as_secs_f64() * 1e3);
}

fn repeated(metric: &str, mut run: impl FnMut()) {
    let budget = std::env::var("BENCH_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(300);
    run();
    let (begun, mut rounds) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_millis(budget) || rounds == 0 {
        run();
        rounds += 1;
    }
    println!("{metric} {:.4} ms", begun.elapsed().as_secs_f64() * 1e3 / rounds as f64);
}

pub fn for_loop(n: u64) {
    let mut x = vec![0u32; n as usize];
    repeated("for", || x.par_iter_mut().enumerate().for_each(|(i, x)| *x = mix(i as u64) as u32));
    assert!(x.iter().enumerate().all(|(i, x)| *x == mix(i as u64) as u32), "for is wrong");
}

fn uneven(i: u64, n: u64) -> u32 {
    let steps = if i < n / 2 { 20 } else { 20000 };
    (0..steps).fold(i, |x, _| mix(x)) as u32
}

pub fn for_uneven(n: u64) {
    let mut x = vec![0u32; n as usize];
    repeated("for-uneven", || x.par_iter_mut().enumerate().for_each(|(i, x)| *x = uneven(i as u64, n)));
    assert!(x.iter().enumerate().all(|(i, x)| *x == uneven(i as u64, n)), "for-uneven is wrong");
}

pub fn reduce(n: u64) {
    let expected = (0..n).map(mix).fold(0, u64::wrapping_add);
    let mut got = 0;
    repeated("reduce", || got = (0..n).into_par_iter().map(mix).reduce(|| 0, u64::wrapping_add));
    assert_eq!(got, expected, "reduce is wrong");
}
