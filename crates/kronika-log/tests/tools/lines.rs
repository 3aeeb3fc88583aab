//! Export and import: nothing is lost on the way, an import is started again anywhere, and what is no line of an
//! export is refused with its number.

use crate::{common::*, support::*};
use kronika_core::{AppendBy, Journal, Position, RecordedAppend};
use kronika_log::{
    ExportFilter, ImportOptions, ImportReport, Log, Settings, SimulatedDisk, ToolError, export,
    import, stats,
};
use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

fn exported_with(disk: &SimulatedDisk, filter: &ExportFilter) -> Vec<u8> {
    let mut out = Vec::new();
    let report = export(&files(disk), filter, &mut out, &mut |_| {}).unwrap();
    assert_eq!(report.lines, out.iter().filter(|byte| **byte == b'\n').count() as u64);
    assert!(!report.reader_gone);
    out
}

fn exported(disk: &SimulatedDisk) -> Vec<u8> {
    exported_with(disk, &ExportFilter::default())
}

fn imported(disk: &SimulatedDisk, lines: &[u8]) -> Result<ImportReport, ToolError> {
    let log = Log::open_on(Arc::new(disk.clone()), Path::new(JOURNAL), Settings::small()).unwrap();
    import(&log, &mut &*lines, ImportOptions::default(), &mut |_| {})
}

/// What an import keeps of an append.
fn kept(append: &RecordedAppend) -> impl PartialEq + std::fmt::Debug + use<> {
    let header = &append.header;
    let events = append.events.iter().map(|event| {
        let text = (event.name.clone(), event.schema, event.body.clone(), event.tags.clone());
        (event.id, event.version, text, event.occurred, event.metadata.clone())
    });
    let of = (header.id, header.stream.clone(), header.expected, header.command.clone());
    (of, header.more.clone(), events.collect::<Vec<_>>())
}

/// Lines without what an import makes anew.
fn comparable(lines: &[u8]) -> Vec<serde_json::Value> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    let values = lines.map(|line| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("time").unwrap();
        value["append"].as_object_mut().unwrap().remove("epoch");
        value
    });
    values.collect()
}

#[test]
fn what_was_exported_and_imported_is_the_same() {
    let disk = filled(6);
    let lines = exported(&disk);
    let to = SimulatedDisk::new(2);
    let report = imported(&to, &lines).unwrap();
    assert_eq!((report.events, report.head.get()), (6 * EVENTS_A_ROUND, 6 * EVENTS_A_ROUND));
    assert_eq!((report.appends, report.appends_skipped), (6 * 6, 0));
    let (from, there) = (appends(&files(&disk)), appends(&files(&to)));
    assert_eq!(
        there.iter().map(kept).collect::<Vec<_>>(),
        from.iter().map(kept).collect::<Vec<_>>()
    );
    assert_eq!(comparable(&exported(&to)), comparable(&lines));
    assert!(verified(&files(&to)).is_sound());
    // Keys are found as before.
    let log = Log::open_on(Arc::new(to.clone()), Path::new(JOURNAL), Settings::small()).unwrap();
    let by = AppendBy::Key { principal: Some("ann".into()), key: "key-4".into() };
    let found = block_on(log.read_append(&stream("c"), by)).unwrap().unwrap();
    assert_eq!(found.header.more.as_ref().unwrap().keyed.as_ref().unwrap().fingerprint, 1 << 100);
}

#[test]
fn a_line_is_frozen() {
    let disk = filled(1);
    let lines = exported(&disk);
    let mut lines = std::str::from_utf8(&lines).unwrap().lines();
    let id = |append: &RecordedAppend| append.header.id.to_string();
    let all = appends(&files(&disk));
    let rich = all.iter().find(|append| append.header.stream.id() == "c").unwrap();
    let first = lines.clone().find(|line| line.contains("account/c")).unwrap();
    assert_eq!(
        first,
        format!(
            "{{\"version\":1,\"position\":5,\"stream\":\"account/c\",\"name\":\"deposited\",\"schema\":1,\
             \"time\":\"2023-11-14T22:13:20.000000Z\",\"body\":{{\"text\": \"two\\nlines\", \"amount\": 1.0}},\
             \"metadata\":{{\"\":\"\",\"source\":\"ü\\n\"}},\"id\":\"ffffffffffffffffffffffffffffffff\",\
             \"tags\":[\"red\",\"\"],\"occurred\":\"1969-12-31T23:59:59.999995Z\",\"append\":{{\"id\":\"{}\",\
             \"events\":4,\"command\":\"deposit\",\"epoch\":1,\"principal\":\"ann\",\"tenant\":\"t\",\
             \"correlation\":\"\",\"causation\":\"c\",\"trace\":\"00-1\",\"key\":\"key-0\",\
             \"fingerprint\":\"00000010000000000000000000000000\",\"reply\":17,\"command_body\":{{\"cents\":1}},\
             \"timers\":[{{\"due\":\"1970-01-01T00:00:00.000009Z\",\"command\":\"close\",\"body\":{{}}}}],\
             \"encryption_key\":\"e\"}}}}",
            id(rich)
        )
    );
    let last = rich.events[3].id;
    let fourth = lines.find(|line| line.contains("\"position\":8,")).unwrap();
    assert_eq!(
        fourth,
        format!(
            "{{\"version\":4,\"position\":8,\"stream\":\"account/c\",\"name\":\"deposited\",\"schema\":1,\
             \"time\":\"2023-11-14T22:13:20.000000Z\",\"body\":null,\"body_base64\":\"/wAH\",\"metadata\":{{}},\
             \"id\":\"{last}\",\"append\":{{\"id\":\"{}\",\"events\":4,\"index\":3}}}}",
            id(rich)
        )
    );
    let without = lines.next().unwrap();
    assert!(without.starts_with("{\"version\":4,\"stream\":\"account/c\",\"time\""), "{without}");
    assert!(without.contains("\"events\":0,\"command\":\"deposit\""), "{without}");
}

#[test]
fn an_export_is_filtered() {
    let disk = filled(4);
    let all = comparable(&exported(&disk));
    let check = |filter: ExportFilter, passes: &dyn Fn(&serde_json::Value) -> bool| {
        let expected = all.iter().filter(|line| passes(line)).cloned().collect::<Vec<_>>();
        assert_eq!(comparable(&exported_with(&disk, &filter)), expected, "{filter:?}");
    };
    let open = ExportFilter::default();
    let streams = vec![stream("c"), stream("nobody")];
    check(ExportFilter { streams, ..open.clone() }, &|line| line["stream"] == "account/c");
    check(ExportFilter { types: vec!["account".into()], ..open.clone() }, &|_| true);
    check(ExportFilter { types: vec!["auction".into()], ..open.clone() }, &|_| false);
    for after in [0, 1, 5, 6, 17, 4 * EVENTS_A_ROUND] {
        let filter = ExportFilter { after: Position::new(after), ..open.clone() };
        let lines = comparable(&exported_with(&disk, &filter));
        assert!(all.ends_with(&lines), "{after}");
        let positions = lines.iter().filter_map(|line| line["position"].as_u64());
        assert!(positions.eq(after + 1..=4 * EVENTS_A_ROUND), "{after}");
    }
}

/// Wherever an import ended, it is started again and completes; in between the appends are whole.
#[test]
fn an_import_is_started_again() {
    let disk = filled(3);
    let lines = exported(&disk);
    let all = appends(&files(&disk));
    let ends = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    for end in std::iter::once(0).chain(ends) {
        let to = SimulatedDisk::new(2);
        let first = imported(&to, &lines[..end]);
        let there = appends(&files(&to));
        assert!(there.iter().map(kept).eq(all.iter().take(there.len()).map(kept)), "{end}");
        if let Err(error) = &first {
            assert!(error.to_string().contains("of its"), "{error}");
        }
        let again = imported(&to, &lines).unwrap();
        assert_eq!(again.appends_skipped, there.len() as u64, "{end}");
        assert_eq!(again.appends_skipped + again.appends, all.len() as u64, "{end}");
        assert!(appends(&files(&to)).iter().map(kept).eq(all.iter().map(kept)), "{end}");
    }
}

#[test]
fn a_repeat_within_the_input_is_left_out() {
    let disk = filled(3);
    let lines = exported(&disk);
    let to = SimulatedDisk::new(2);
    let report = imported(&to, &[&lines[..], &lines[..]].concat()).unwrap();
    assert_eq!((report.appends, report.appends_skipped), (18, 18));
    assert_eq!(comparable(&exported(&to)), comparable(&lines));
}

#[test]
fn what_is_no_line_of_an_export_is_refused_with_its_number() {
    let id = "0000000000000000000000000a000000";
    let good = format!(
        "{{\"version\":1,\"stream\":\"x/a\",\"name\":\"n\",\"body\":{{}},\"append\":{{\"id\":\"{id}\"}}}}"
    );
    let check = |line: &str, expected: &str| {
        let to = SimulatedDisk::new(2);
        let next =
            "{\"version\":1,\"stream\":\"x/b\",\"name\":\"n\",\"append\":{\"id\":\"b0000\"}}";
        let lines = format!("{good}\n\n{line}\n{next}\n");
        let error = imported(&to, lines.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("line 3: ") && error.contains(expected), "{line}: {error}");
        let there = appends(&files(&to));
        assert_eq!(there[0].header.stream.name(), "x/a", "what is before it was recorded");
        assert!(there.iter().all(|append| append.header.stream.name() != "x/c"), "{line}");
        // What follows is at most on its way when the journal refuses what the line says.
        assert!(
            there.len() == 1
                || expected.contains("the newest is")
                || expected.contains("other events")
        );
    };
    let line = |from: &str, to: &str| {
        let other = good.replace("x/a", "x/c").replace("a000000", "c000000");
        assert!(other.contains(from), "{from}");
        other.replace(from, to)
    };
    check("{", "at column 1");
    check("[]", "invalid");
    check("nonsense", "column 2");
    check(&line("\"version\":1,", ""), "missing field `version`");
    check(&line("\"version\":1", "\"version\":-1"), "invalid value");
    check(&line("\"version\":1", "\"version\":0"), "first version");
    check(&line("\"version\":1", "\"version\":7"), "stands on version 6, the newest is 0");
    check(&line("\"version\":1", "\"verzion\":1"), "unknown field `verzion`");
    check(&line("x/c", "X/c"), "aggregate type");
    check(&line("\"name\":\"n\"", "\"name\":\"\""), "event name of 0 bytes");
    check(&line("\"name\":\"n\",", ""), "no name");
    check(&line("{}", "null,\"body_base64\":\"?\""), "body is no base64");
    check(&line("{}", "{},\"time\":\"noon\""), "noon");
    check(&line("{}", "{},\"id\":\"xyz\""), "event's id");
    check(&line("{}", "{},\"partition\":3"), "one partition");
    check(&line("c000000\"", "c000001\""), "four zeros");
    check(&line("c000000\"", "c000000\",\"events\":9999"), "at most 4096");
    check(&line("c000000\"", "c000000\",\"events\":2"), "has 1 of its 2 events");
    check(&line("c000000\"", "c000000\",\"events\":2,\"index\":1"), "begins with its event 1");
    check(&line("c000000\"", "c000000\",\"events\":0"), "said to have no events");
    check(&line("c000000\"", "c000000\",\"key\":\"k\""), "fingerprint");
    check(&good.replace("{}", "1"), "recorded in x/a with other events");
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    check(&line("{}", &large), "1048578 bytes, at most 1048576");
}

#[test]
fn a_line_without_end_and_an_input_that_fails_are_told() {
    let to = SimulatedDisk::new(2);
    let log = Log::open_on(Arc::new(to.clone()), Path::new(JOURNAL), Settings::small()).unwrap();
    let mut endless = io::repeat(b' ');
    let error = import(&log, &mut endless, ImportOptions::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("line 1: the line has more than"), "{error}");
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let error = import(&log, &mut Broken, ImportOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, ToolError::Input(_)), "{error}");
}

#[test]
fn times_of_recording_are_kept_where_that_is_wanted() {
    let disk = filled(1);
    let to = SimulatedDisk::new(2);
    let log = Log::open_on(Arc::new(to.clone()), Path::new(JOURNAL), Settings::small()).unwrap();
    let options = ImportOptions { keep_times: true };
    import(&log, &mut &*exported(&disk), options, &mut |_| {}).unwrap();
    drop(log);
    let events = appends(&files(&to)).into_iter().flat_map(|append| append.events);
    let occurred = events.map(|event| event.occurred.unwrap().get()).collect::<Vec<_>>();
    assert!(occurred.iter().all(|time| [-5, 1_700_000_000_000_000].contains(time)), "{occurred:?}");
    assert_eq!(occurred.iter().filter(|time| **time == -5).count(), 1);
}

/// An output that takes so many bytes.
struct Takes(usize, io::ErrorKind);

impl Write for Takes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(self.1)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_ends_an_export_and_a_full_disk_fails_it() {
    let disk = filled(2);
    let filter = ExportFilter::default();
    let mut gone = Takes(1_000, io::ErrorKind::BrokenPipe);
    let report = export(&files(&disk), &filter, &mut gone, &mut |_| {}).unwrap();
    assert!(report.reader_gone && report.lines > 0, "{report:?}");
    let mut full = Takes(1_000, io::ErrorKind::StorageFull);
    let error = export(&files(&disk), &filter, &mut full, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ToolError::Output(_)), "{error}");
}

#[test]
fn figures_are_counted() {
    let disk = filled(5);
    let counted = stats(&files(&disk), &mut |_| {}).unwrap();
    let report = verified(&files(&disk));
    assert_eq!((counted.events, counted.appends), (report.events, report.appends));
    assert_eq!((counted.commits, counted.streams), (report.commits, report.streams));
    assert_eq!(counted.used_bytes, report.commit_bytes + 4096 * report.segments);
    assert!(counted.file_bytes >= counted.used_bytes && counted.segments >= report.segments);
    assert_eq!(counted.head, report.head);
    let of_type = counted.types["account"];
    assert_eq!((of_type.streams, of_type.events), (counted.streams, counted.events));
    assert_eq!(counted.types.len(), 1);
    assert_eq!(counted.names["account/deposited"].events, counted.events);
    assert_eq!(counted.names["account/deposited"].body_bytes, counted.body_bytes);
}
