// SPDX-License-Identifier: MIT
//
// A worker of the comparison for opendiskmap: linear probing in mapped files, one thread, no deletion, and a replaced value
// stays in the file.
//
//   shoal-bench-rust KEYS_FILE TABLE WORKER WORKERS SECONDS MEETING
//
// bench/README.md (Other languages) says what a worker does.

use opendiskmap::{Bytes, DiskHashMap, MMapFile};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};

const CHUNK: u64 = 64;
const STEP: u64 = 0xd1342543de82ef95;
const PUT_ROOM: u64 = 4 << 30; // bytes of values that the puts may leave behind; the file is sparse

type Table = DiskHashMap<Bytes, Bytes, MMapFile>;
type Answer<T> = Result<T, String>;

// -- Keys and values: bench/keyset.c ---------------------------------------------------------------------------------

struct Stream {
    bytes: Vec<u8>,
    n: usize,
    at: usize,
}

struct Keys {
    n: usize,
    key_bytes: usize,
    value_bytes: usize,
    present: Stream,
    absent: Stream,
    uniform: Stream,
    zipf: Stream,
    coins: Vec<u8>,
}

fn read_exactly(from: &mut impl Read, n: usize) -> Answer<Vec<u8>> {
    let mut bytes = vec![0; n];
    from.read_exact(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

fn read_keys(path: &str) -> Answer<Keys> {
    let mut file = BufReader::new(File::open(path).map_err(|e| e.to_string())?);
    let mut line = String::new();
    file.read_line(&mut line).map_err(|e| e.to_string())?;
    let f: Vec<usize> = line.split_whitespace().skip(1).filter_map(|x| x.parse().ok()).collect();
    let [n, draws, key_bytes, value_bytes, coins] = f[..] else { return Err("no file of keys".into()) };
    let mut stream = |n: usize| -> Answer<Stream> { Ok(Stream { bytes: read_exactly(&mut file, n * key_bytes)?, n, at: 0 }) };
    let (present, absent, uniform, zipf) = (stream(n)?, stream(n)?, stream(draws)?, stream(draws)?);
    let coins = read_exactly(&mut file, coins)?;
    Ok(Keys { n, key_bytes, value_bytes, present, absent, uniform, zipf, coins })
}

impl Stream {
    fn next(&mut self, key_bytes: usize) -> &[u8] {
        let at = self.at;
        self.at = if at + 1 == self.n { 0 } else { at + 1 };
        &self.bytes[at * key_bytes..(at + 1) * key_bytes]
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut w = [0; 8];
    w.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(w)
}

fn seed_of(key: &[u8], version: u32) -> u64 {
    word(key).wrapping_mul(0x9fb21c651e98df25) ^ (version as u64 + 1).wrapping_mul(0xe7037ed1a0b428db)
}

fn value_into(key: &[u8], version: u32, buf: &mut [u8]) {
    let seed = seed_of(key, version);
    buf[..8].copy_from_slice(&((seed & 0xffffffff00000000) | version as u64).to_le_bytes());
    for (j, part) in buf.chunks_mut(8).enumerate().skip(1) {
        let w = seed.wrapping_add((j as u64).wrapping_mul(STEP)).to_le_bytes();
        part.copy_from_slice(&w[..part.len()]);
    }
}

fn value_ok(key: &[u8], buf: &[u8]) -> bool {
    let version = word(buf) as u32;
    let seed = seed_of(key, version);
    let rest = buf.chunks(8).enumerate().skip(1).all(|(j, part)| {
        let w = seed.wrapping_add((j as u64).wrapping_mul(STEP)).to_le_bytes();
        part == &w[..part.len()]
    });
    rest && word(buf) == ((seed & 0xffffffff00000000) | version as u64)
}

// -- Operations ------------------------------------------------------------------------------------------------------

struct Worker {
    table: Table,
    keys: Keys,
    version: u32,
    coin: usize,
    buf: Vec<u8>,
}

fn now_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/* The value is copied out, as everywhere. */
fn get_present(table: &Table, key: &[u8], buf: &mut [u8]) -> Answer<()> {
    let found = table.get(key).map_err(|e| e.to_string())?.ok_or("get of a present key answered that it is missing")?;
    if found.len() != buf.len() {
        return Err(format!("a value of {} bytes came back with {}", buf.len(), found.len()));
    }
    buf.copy_from_slice(found);
    if value_ok(key, buf) { Ok(()) } else { Err("a value is torn or of another key".into()) }
}

fn put(table: &mut Table, key: &[u8], version: &mut u32, buf: &mut [u8]) -> Answer<bool> {
    *version += 1;
    value_into(key, *version, buf);
    Ok(table.insert(key, &buf[..]).map_err(|e| e.to_string())?.is_none())
}

#[derive(Clone, Copy)]
enum Order {
    Absent,
    Uniform,
    Zipf,
}

impl Worker {
    fn chunk(&mut self, order: Order, reads_percent: u8, modifies: bool) -> Answer<()> {
        let (size, keys) = (self.keys.key_bytes, &mut self.keys);
        for _ in 0..CHUNK {
            let key = match order {
                Order::Absent => keys.absent.next(size),
                Order::Uniform => keys.uniform.next(size),
                Order::Zipf => keys.zipf.next(size),
            };
            if let Order::Absent = order {
                if self.table.get(key).map_err(|e| e.to_string())?.is_some() {
                    return Err("get of an absent key found a value".into());
                }
                continue;
            }
            self.coin = (self.coin + 1) % keys.coins.len();
            let reads = keys.coins[self.coin] < reads_percent;
            if reads || modifies {
                get_present(&self.table, key, &mut self.buf)?;
            }
            if !reads {
                put(&mut self.table, key, &mut self.version, &mut self.buf)?;
            }
        }
        Ok(())
    }

    fn insert_all(&mut self) -> Answer<()> {
        for _ in 0..self.keys.n {
            let key = self.keys.present.next(self.keys.key_bytes);
            if !put(&mut self.table, key, &mut self.version, &mut self.buf)? {
                return Err("insert of a new key finds it".into());
            }
        }
        Ok(())
    }

    fn warm(&mut self) -> Answer<()> {
        for _ in 0..self.keys.n {
            get_present(&self.table, self.keys.present.next(self.keys.key_bytes), &mut self.buf)?;
        }
        Ok(())
    }

    fn run_for(&mut self, name: &str, seconds: f64, order: Order, reads_percent: u8, modifies: bool) -> Answer<()> {
        let (mut ops, start) = (0, now_ns());
        let deadline = start + (seconds * 1e9) as u64;
        loop {
            self.chunk(order, reads_percent, modifies)?;
            ops += CHUNK;
            let now = now_ns();
            if now >= deadline {
                tell(&format!("{name} {ops} {start} {now}"));
                return Ok(());
            }
        }
    }
}

fn tell(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

fn run(arguments: &[String]) -> Answer<()> {
    let [_, keys_file, path, _, workers, seconds, _] = arguments else { return Err("seven words are wanted".into()) };
    if workers != "1" {
        return Err("it is for one thread".into());
    }
    let seconds: f64 = seconds.parse().map_err(|_| "no number of seconds")?;
    let keys = read_keys(keys_file)?;
    let records = (keys.n * keys.value_bytes) as u64;
    std::fs::create_dir_all(path).map_err(|e| e.to_string())?;
    let table = Table::with_capacity(path, keys.n * 2, keys.n * (keys.key_bytes + 16), (records * 2 + PUT_ROOM) as usize)
        .map_err(|e| e.to_string())?;
    let buf = vec![0; keys.value_bytes];
    let mut worker = Worker { table, keys, version: 0, coin: 0, buf };
    let start = now_ns();
    worker.insert_all()?;
    tell(&format!("insert {} {start} {}", worker.keys.n, now_ns()));
    worker.warm()?;
    worker.run_for("get_hit", seconds, Order::Uniform, 100, false)?;
    worker.run_for("get_zipf", seconds, Order::Zipf, 100, false)?;
    worker.run_for("get_miss", seconds, Order::Absent, 100, false)?;
    worker.run_for("put", seconds, Order::Uniform, 0, false)?;
    worker.run_for("ycsb_a", seconds, Order::Zipf, 50, false)?;
    worker.run_for("ycsb_b", seconds, Order::Zipf, 95, false)?;
    worker.run_for("ycsb_c", seconds, Order::Zipf, 100, false)?;
    worker.run_for("ycsb_f", seconds, Order::Zipf, 50, true)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Err(reason) = run(&arguments) {
        tell(&format!("failed {reason}"));
        std::process::exit(1);
    }
}
