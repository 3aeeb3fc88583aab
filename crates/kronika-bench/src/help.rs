//! What `cargo xtask bench --help` prints: what each row means, and what it is held against.

/// The text.
pub const HELP: &str = "\
Usage: cargo xtask bench commands [--json] [--quick] [--callers N]
       cargo xtask bench snapshots [--json] [--quick] [--callers N]
       cargo xtask bench log [--json] [--quick] [--rows A,B] [--heavy] [more options]
       cargo xtask bench projections [--json] [--quick] [--rows A,B] [more options]

  --json             one object a line
  --quick            a short run that shows that it works; its figures say little

commands: through the whole runtime to the durable reply; events of 256 bytes; 1, 16, 64 and 256 callers; rows
`many` (10,000 aggregates) and `hot` (one); against a raw zero-filled log written and synced in batches of the
same size in the same run.
  --callers N        only this number of callers

snapshots: loading a stream of 100,000 events from its snapshot, against reading all of them; commands to 1,000
aggregates while snapshots of them and of four states of 1 MB are taken, against the same without: row `longest`
has the longest latency, and the latencies without.

log: the embedded journal by its public interface; events of 256 bytes; slices in turns, medians. Files are made
below the working directory, which must be on the disk in question, and removed.
  append             callers in a closed loop, each with one append of one event to its own stream. At 1 caller
                     against `sync`, one write and one sync for each event; else against `raw log`, the same bytes in
                     commits of the same size, and `full raw log`, one commit for all callers at a time; at 64 and 256
                     callers against tephra, too
  latency            appends that arrive by themselves at half the rate of 64 callers, from the moment each was meant to
                     be sent; rows `latency-p50` and `latency-p99` against the raw sync at the same percentile
  stall              the longest append while segments of 16 MiB are filled, rolled and sealed, against the longest
                     raw sync of the run
  read               all events in order, from files, checked; by processor time of the process; against tephra.
                     `read-passed` is by the time that passed
                     `read-stream`: streams of 10 events of 1,000,000, opened anew, files dropped from the page cache
                     before each one; `read-stream-warm` in it; against tephra
  recover            a process that appends is killed with kill -9: opening and one read then, files dropped from the
                     page cache; `recover-warm` in it; takes long
  flat               the rate at a hundredth, a tenth and all of the events, of 32 bytes, in a tenth as many streams, with
                     the resident memory, against the first size and against the raw log; takes long
Options:
  --rows A,B         only these rows; without it all but those that take long
  --heavy            also those that take long
  --callers N,N      of append; default 1,64,256,1024
  --threads N        threads that callers run on; default as many as there are cores
  --style S          what a caller is: tasks, which is best for all, or threads that block
  --slices N         slices of each figure; default 5
  --seconds S        length of a slice; default 2
  --each             tells the figures of every slice of `append` on standard error
  --streams N        streams that are read; default 100000
  --recover-bytes N  of the log that is killed; default 10000000000
  --flat-events N    events at last; default 100000000
  --flat-live N      streams that are appended to at a time, the newest ones; default 50000; 0: any that was ever
                     opened, so that most appends look up a version that is in memory no longer
  --without-peers    does not build and measure tephra, see bench/peers
  --peers PROGRAM    the program that does; `cargo xtask bench log` builds it

projections: read models in SQLite that follow the embedded log; events of two fields; slices in turns, medians.
  rebuild            one table of 10,000 keys built from a whole log, in a new file, against SQLite alone on one thread,
                     16 rows in a statement, in the same transactions with the same pragmas and a checkpoint, with nothing
                     to read, decode or fold: `raw upserts` writes the row of every event, as a handler does that does not
                     fold; `raw rows` only those that a projection commits, the last ones of each batch
  rebuild-many       the same with 200,000 keys
  rebuild-three      three tables in one pass, by deliveries, against those of all three tables on one thread
  visible            from a command's receipt to its row in a query's answer, at 10,000 commands a second that arrive by
                     themselves; `visible-idle` one command at a time, against the query alone
  beside             64 callers while a read model is rebuilt at 10,000 events a second, against no rebuild, in turns:
                     `beside-throttled`; without a throttle: `beside-full`
  parked             the rate of `rebuild` with one key of all parked, against none; `parked-visible`: the 99th percentile
                     of `visible` with and without
Options:
  --rows A,B         only these rows
  --slices N         slices of each figure; default 5
  --seconds S        length of a slice that is not a whole rebuild; default 2
  --events N         events of the logs that are read; default 600000
  --keys N           keys of all rows but `rebuild-many`; default 10000
  --batch N          events in a batch of the rebuilds, at most, raw upserts alike; default 4096
  --offered N        commands a second of `visible`; default 10000
  --throttle N       events a second of `beside-throttled`; default 10000
  --threads N        threads of the runtime; default as many as there are cores
";
