// SPDX-License-Identifier: MIT

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import net.openhft.chronicle.map.ChronicleMap;
import net.openhft.chronicle.map.ChronicleMapBuilder;

/**
 * A worker of the comparison for Chronicle Map: a mapped file, shared by processes, with a lock in each segment.
 *
 * <p>{@code java Worker KEYS_FILE TABLE WORKER WORKERS SECONDS MEETING}; bench/README.md (Other languages) says what a worker
 * does.
 */
public final class Worker {
    private static final int CHUNK = 64;
    private static final long STEP = 0xd1342543de82ef95L;

    private final int index;
    private final int workers;
    private final double seconds;
    private final Path meeting;
    private int keysN;
    private int keyBytes;
    private int valueBytes;
    private Stream present;
    private Stream absent;
    private Stream uniform;
    private Stream zipf;
    private byte[] coins;
    private int coin;
    private int version;
    private long churned;
    private byte[] value;
    private byte[] answer;
    private ChronicleMap<byte[], byte[]> map;

    private Worker(String[] words) {
        index = Integer.parseInt(words[2]);
        workers = Integer.parseInt(words[3]);
        seconds = Double.parseDouble(words[4]);
        meeting = Paths.get(words[5]);
    }

    // -- Keys and values: bench/keyset.c -----------------------------------------------------------------------------

    private final class Stream {
        private final byte[][] keys;
        private int at;

        Stream(DataInputStream from, int n) throws IOException {
            keys = new byte[n][keyBytes];
            for (byte[] key : keys) {
                from.readFully(key);
            }
            at = (int) ((long) n * index / workers);
        }

        byte[] next() {
            byte[] key = keys[at];
            at = at + 1 == keys.length ? 0 : at + 1;
            return key;
        }
    }

    private void readKeys(String path) throws IOException {
        try (DataInputStream from = new DataInputStream(new BufferedInputStream(new FileInputStream(path), 1 << 20))) {
            StringBuilder line = new StringBuilder();
            for (int c = from.read(); c != '\n'; c = from.read()) {
                line.append((char) c);
            }
            String[] fields = line.toString().split(" ");
            keysN = Integer.parseInt(fields[1]);
            int draws = Integer.parseInt(fields[2]);
            keyBytes = Integer.parseInt(fields[3]);
            valueBytes = Integer.parseInt(fields[4]);
            present = new Stream(from, keysN);
            absent = new Stream(from, keysN);
            uniform = new Stream(from, draws);
            zipf = new Stream(from, draws);
            coins = new byte[Integer.parseInt(fields[5])];
            from.readFully(coins);
        }
        coin = (int) ((long) coins.length * index / workers);
        version = index;
        value = new byte[valueBytes];
        answer = new byte[valueBytes];
    }

    private static long word(byte[] bytes, int at) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(at);
    }

    private static long seedOf(byte[] key, int version) {
        return word(key, 0) * 0x9fb21c651e98df25L ^ ((version & 0xffffffffL) + 1) * 0xe7037ed1a0b428dbL;
    }

    private static void fill(byte[] key, int version, byte[] buf) {
        long seed = seedOf(key, version);
        ByteBuffer out = ByteBuffer.wrap(buf).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(0, seed & 0xffffffff00000000L | version & 0xffffffffL);
        int words = buf.length / 8;
        for (int j = 1; j < words; j++) {
            out.putLong(8 * j, seed + j * STEP);
        }
        for (int i = 8 * words; i < buf.length; i++) {
            buf[i] = (byte) (seed + words * STEP >>> 8 * (i % 8));
        }
    }

    private static boolean isOf(byte[] key, byte[] buf) {
        int version = (int) word(buf, 0);
        long seed = seedOf(key, version);
        long differs = word(buf, 0) ^ (seed & 0xffffffff00000000L | version & 0xffffffffL);
        int words = buf.length / 8;
        for (int j = 1; j < words; j++) {
            differs |= word(buf, 8 * j) ^ seed + j * STEP;
        }
        for (int i = 8 * words; i < buf.length; i++) {
            differs |= buf[i] ^ (byte) (seed + words * STEP >>> 8 * (i % 8));
        }
        return differs == 0;
    }

    // -- Operations --------------------------------------------------------------------------------------------------

    private void getPresent(byte[] key) {
        byte[] found = map.getUsing(key, answer);
        if (found == null) {
            throw new IllegalStateException("get of a present key answered that it is missing");
        }
        if (found.length != valueBytes || !isOf(key, found)) {
            throw new IllegalStateException("a value is torn or of another key");
        }
        answer = found;
    }

    private byte[] nextValue(byte[] key) {
        version += workers;
        fill(key, version, value);
        return value;
    }

    private void insert(byte[] key) {
        if (map.putIfAbsent(key, nextValue(key)) != null) {
            throw new IllegalStateException("insert of a new key finds it");
        }
    }

    private void mix(Stream order, int readsPercent, boolean modifies) {
        for (int i = 0; i < CHUNK; i++) {
            byte[] key = order.next();
            coin = coin + 1 == coins.length ? 0 : coin + 1;
            boolean reads = coins[coin] < readsPercent;
            if (reads || modifies) {
                getPresent(key);
            }
            if (!reads) {
                map.put(key, nextValue(key));
            }
        }
    }

    private void misses() {
        for (int i = 0; i < CHUNK; i++) {
            if (map.getUsing(absent.next(), answer) != null) {
                throw new IllegalStateException("get of an absent key found a value");
            }
        }
    }

    private int first() {
        return (int) ((long) keysN * index / workers);
    }

    private int shareN() {
        return (int) ((long) keysN * (index + 1) / workers) - first();
    }

    private void churn() {
        for (int i = 0; i < CHUNK / 2; i++, churned++) {
            int at = first() + (int) (churned % shareN());
            boolean back = churned / shareN() % 2 != 0;
            if (map.remove(back ? absent.keys[at] : present.keys[at]) == null) {
                throw new IllegalStateException("delete of a present key answered that it is missing");
            }
            insert(back ? present.keys[at] : absent.keys[at]);
        }
    }

    // -- The session -------------------------------------------------------------------------------------------------

    private void meet(String name) throws IOException, InterruptedException {
        Files.createFile(meeting.resolve(name + "." + index));
        for (int i = 0; i < workers; i++) {
            while (!Files.exists(meeting.resolve(name + "." + i))) {
                Thread.sleep(1);
            }
        }
    }

    private long runUntil(long deadline, Runnable chunk) {
        long ops = 0;
        do {
            chunk.run();
            ops += CHUNK;
        } while (System.nanoTime() < deadline);
        return ops;
    }

    /** Once before it counts: for the compiler. */
    private void runFor(String name, Runnable chunk) throws IOException, InterruptedException {
        long span = (long) (seconds * 1e9);
        runUntil(System.nanoTime() + span, chunk);
        meet(name);
        long start = System.nanoTime();
        long ops = runUntil(start + span, chunk);
        System.out.println(name + " " + ops + " " + start + " " + System.nanoTime());
    }

    private void open(String path) throws IOException {
        map = ChronicleMapBuilder.of(byte[].class, byte[].class)
                .name("bench")
                .entries(keysN)
                .constantKeySizeBySample(new byte[keyBytes])
                .constantValueSizeBySample(new byte[valueBytes])
                .putReturnsNull(true)
                .createPersistedTo(new File(path));
    }

    private void run(String keysFile, String path) throws IOException, InterruptedException {
        readKeys(keysFile);
        if (index == 0) {
            open(path);
        }
        meet("made");
        if (index != 0) {
            open(path);
        }
        meet("insert");
        long start = System.nanoTime();
        for (int i = 0; i < shareN(); i++) {
            insert(present.keys[first() + i]);
        }
        System.out.println("insert " + shareN() + " " + start + " " + System.nanoTime());
        meet("warm");
        for (byte[] key : present.keys) {
            getPresent(key);
        }
        runFor("get_hit", () -> mix(uniform, 100, false));
        runFor("get_zipf", () -> mix(zipf, 100, false));
        runFor("get_miss", this::misses);
        runFor("put", () -> mix(uniform, 0, false));
        runFor("ycsb_a", () -> mix(zipf, 50, false));
        runFor("ycsb_b", () -> mix(zipf, 95, false));
        runFor("ycsb_c", () -> mix(zipf, 100, false));
        runFor("ycsb_f", () -> mix(zipf, 50, true));
        runFor("churn", this::churn);
        meet("end");
    }

    public static void main(String[] words) {
        try {
            new Worker(words).run(words[0], words[1]);
        } catch (Exception | Error problem) {
            System.out.println("failed " + String.valueOf(problem).replace('\n', ' '));
            System.exit(1);
        }
        System.exit(0);
    }
}
