#!/usr/bin/env python3
"""Reads a log of format 1 and checks it; written from log.md alone, to see that it says enough.

    read_log.py DIR [--all]

DIR is a data directory or its `journal`. Prints every event as one JSON line, in order of
position; with --all also every append and every claim, each before what it holds. Ends with 0
only if all is sound: checks, seals, chain, positions, times, versions, epochs, padding, prepared
zeros, the published head. Else one line on standard error names the segment and the offset, and
it ends with 1; also for a torn commit, which the next opening would heal. Changes nothing and
takes no lock: nobody should be writing. Derived files, the published head aside, are not read.
"""
import json, mmap, os, re, struct, sys

COMMIT_MAX, SECTOR, FIRST, SLICES = 16 << 20, 512, 4096, 1024
STREAM = re.compile(r"[a-z][a-z0-9-]{0,63}/[^\x00-\x1f\x7f-\x9f]+")
TEXTS = {2: "principal", 3: "tenant", 4: "correlation", 5: "causation", 6: "trace", 7: "encryption_key"}


class Unsound(Exception):
    """Where, and what is wrong."""


def need(condition, offset, what):
    if not condition:
        raise Unsound(offset, what)


def crc_table():
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        yield number


TABLE = tuple(crc_table())


def crc32c(data, crc=0):
    crc, table = crc ^ 0xFFFFFFFF, TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def is_zero(file, start, end):
    for at in range(start, end, 1 << 20):
        block = file[at:min(at + (1 << 20), end)]
        if block.count(0) != len(block):
            return False
    return True


def sectors(file, start, end):
    """The sectors of the file as far as a commit covers them, but the one with its header."""
    for at in range((start // SECTOR + 1) * SECTOR, end, SECTOR):
        yield file[at:min(at + SECTOR, end)]


def has_a_bit_at_most(sector):
    number = int.from_bytes(sector, "little")
    return number == 0 or number & (number - 1) == 0


class Raw(str):
    """JSON that is printed as it was written."""


def raw(data):
    """JSON on one line; what is no JSON in hexadecimal digits."""
    def refuse(constant):
        raise ValueError(constant)
    try:
        text = data.decode()
        json.loads(text, parse_constant=refuse)
        return Raw(text.replace("\r", " ").replace("\n", " "))
    except (ValueError, RecursionError):
        return {"hex": data.hex()}


def as_json(value):
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{as_json(name)}:{as_json(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Cursor:
    """Takes bytes from the front, and believes no length before it is bounded."""

    def __init__(self, data, base):
        self.data, self.base, self.at = data, base, 0

    def here(self):
        return self.base + self.at

    def take(self, length, what):
        need(length <= len(self.data) - self.at, self.here(), f"{what} is longer than what holds it")
        self.at += length
        return self.data[self.at - length:self.at]

    def inner(self, length, what):
        base = self.here()
        return Cursor(self.take(length, what), base)

    def numbers(self, form, what):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form), what))

    def text(self, length, what):
        at = self.here()
        try:
            return self.take(length, what).decode()
        except UnicodeDecodeError:
            raise Unsound(at, f"{what} is not UTF-8")

    def rest(self):
        return self.take(len(self.data) - self.at, "")

    def rest_as_text(self, what):
        return self.text(len(self.data) - self.at, what)

    def ends(self, what):
        need(self.at == len(self.data), self.here(), f"bytes stand behind {what}")

    def fields(self, known, repeated=()):
        """Number and contents of each known field; those that may be skipped are."""
        found = set()
        while self.at < len(self.data):
            at = self.here()
            number, length = self.numbers("HI", "a field")
            field = self.inner(length, f"field {number}")
            if number < 0x8000:
                need(number in known, at, f"field {number} is not known and must be understood")
                need(number not in found or number in repeated, at, f"field {number} stands twice")
                found.add(number)
                yield number, field


def read_event(cursor, append, place):
    at = cursor.here()
    body_length, schema, name_length, codec, zero, fields_length = cursor.numbers("IIBBHI", "an event")
    need(codec == 0 and zero == 0, at + 9, f"codec {codec}, flags {zero}: not known")
    need(body_length <= 1 << 20, at, "the body of an event has more than 1 MiB")
    event = {"position": append["position"] + place, "stream": append["stream"],
             "version": append["expected"] + 1 + place, "id": f"{(int(append['append'], 16) + 1 + place) % (1 << 128):032x}",
             "name": cursor.text(name_length, "the name of an event"), "schema": schema, "time": append["time"]}
    for number, field in cursor.inner(fields_length, "the fields of an event").fields((1, 2, 3, 4), (1,)):
        if number == 1:
            event.setdefault("tags", []).append(field.rest_as_text("a tag"))
        elif number == 2:
            event["occurred"], = field.numbers("q", "a time")
        elif number == 3:
            event["id"] = f"{int.from_bytes(field.take(16, 'an id'), 'little'):032x}"
        else:
            event["metadata"] = {}
            while field.at < len(field.data):
                name, text = (field.text(*field.numbers("I", "metadata"), "metadata") for _ in range(2))
                event["metadata"][name] = text
        field.ends(f"field {number} of an event")
    event["body"] = raw(cursor.take(body_length, "the body of an event"))
    return event


def read_more(cursor):
    more = {}
    for number, field in cursor.fields(range(1, 10), (9,)):
        if number == 1:
            more["fingerprint"] = f"{int.from_bytes(field.take(16, 'a fingerprint'), 'little'):032x}"
            more["key"] = field.text(*field.numbers("I", "a key"), "a key")
            more["reply"] = raw(field.rest())
        elif number == 8:
            more["command_body"] = raw(field.rest())
        elif number == 9:
            due, length = field.numbers("qI", "a timer")
            timer = {"due": due, "command": field.text(length, "the command of a timer"), "body": raw(field.rest())}
            more.setdefault("timers", []).append(timer)
        else:
            more[TEXTS[number]] = field.rest_as_text(TEXTS[number])
    return more


class Log:
    def __init__(self, journal):
        self.journal, self.incarnation, self.head, self.segment = journal, None, None, 1
        self.number, self.check, self.position, self.time, self.end = 0, 0, 1, -1 << 63, (1, FIRST)
        self.versions, self.epochs = {}, [0] * SLICES

    def read(self):
        """Lines of the log, commit by commit."""
        names = sorted(name for name in os.listdir(self.journal) if re.fullmatch(r"\d{8,}\.segment", name))
        need(names, 0, "no segment is there")
        for self.segment, name in enumerate(names, 1):
            need(name == f"{self.segment:08}.segment", 0, "damaged: the segment is missing")
            with open(os.path.join(self.journal, name), "rb") as file:
                need(os.fstat(file.fileno()).st_size >= SECTOR, 0, "damaged: shorter than its header")
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
                    before = self.number
                    yield from self.read_segment(contents)
            may_be_empty = self.segment in (1, len(names))
            need(may_be_empty or self.number > before, FIRST, "damaged: no commits, and a segment behind it")
        self.need_published()

    def need_published(self):
        told = self.head["number"] if self.head else 0
        need(told <= self.number, self.end[1], f"damaged: the log ends with commit {self.number}, published is {told}")

    def read_head(self):
        try:
            with open(os.path.join(self.journal, "head"), "rb") as file:
                head = file.read()
        except FileNotFoundError:
            return
        if len(head) == 64 and head[:8] == b"kronihed" and head[60:] == struct.pack("<I", crc32c(head[:60])):
            if head[8:24] == self.incarnation:
                names = ("segment", "check", "offset", "number", "position")
                self.head = dict(zip(names, struct.unpack("<IIQQQ", head[24:56])))
                self.compare_head()

    def compare_head(self):
        if self.head and self.head["number"] == self.number:
            told = (self.head["segment"], self.head["offset"]), self.head["check"], self.head["position"]
            ends = self.end, (self.end[0] + 1, FIRST)
            found = told in [(end, self.check, self.position - 1) for end in ends]
            need(found, self.end[1], f"damaged: commit {self.number} is not the one that was published")

    def read_segment(self, file):
        magic, wrote, must, incarnation, number, features, length, salt, partition, rest, check = struct.unpack(
            "<8sII16sIIQ8sH450sI", file[:512])
        need(magic == b"kronilog" and check == crc32c(file[:508]), 0, "damaged: not the header of a segment")
        need(must <= 1, 12, f"a reader must know format {must}, this one knows 1")
        need(must == 1 and wrote >= 1, 8, "damaged: format 0")
        need(features == 0 and partition == 0, 36, f"features {features}, partition {partition}: not known")
        need(number == self.segment, 32, f"damaged: the header is that of segment {number}")
        need(not any(rest), 58, "damaged: the rest of the header is not zero")
        need(length % FIRST == 0 and 2 * FIRST <= length <= 1 << 31, 40, "damaged: the length is not possible")
        need(length == len(file), 40, f"damaged: {len(file)} bytes, {length} by the header")
        need(self.incarnation in (None, incarnation), 16, "damaged: a segment of another history")
        need(is_zero(file, 512, FIRST), 512, "damaged: the space behind the header is not zero")
        if self.incarnation is None:
            self.incarnation = incarnation
            self.read_head()
        seal = crc32c(salt + struct.pack("<I", number) + incarnation)
        at = FIRST
        while at < length:
            if not any(file[at:at + 64]):
                return self.read_end(file, at, seal)
            lines, at = self.read_commit(file, at, seal)
            yield from lines

    def read_end(self, file, at, seal):
        """No header: the end of the commits, a torn commit, or damage."""
        if is_zero(file, at, len(file)):
            return
        need(is_zero(file, at + COMMIT_MAX, len(file)), at, "damaged: bytes stand behind where a commit could end")
        for later in range(at + 64, min(at + COMMIT_MAX, len(file)) - 63, 64):
            header = file[later:later + 64]
            valid = header[48:52] == struct.pack("<I", later // 64) and any(header) \
                and header[60:] == struct.pack("<I", crc32c(header[:60], seal))
            need(not valid, at, f"damaged: a commit lacks its header, and one stands behind it at {later}")
        self.torn(at, "a commit lacks its header")

    def torn(self, at, what):
        self.need_published()
        later = self.segment + 1
        while os.path.exists(path := os.path.join(self.journal, f"{later:08}.segment")):
            with open(path, "rb") as file:
                need(not any(file.read()[512:]), at, f"damaged: {what}, and segment {later} goes on")
            later += 1
        raise Unsound(at, f"torn: {what}; the next opening heals it")

    def read_commit(self, file, at, seal):
        header = file[at:at + 64]
        kind, flags, sparse, length, position, time, records, events, number, chain, segment, units, body_check, zero, \
            check = struct.unpack("<BBHIQqIIQIIIIII", header)
        end = at + 64 + length
        need(check == crc32c(header[:60], seal), at, "damaged: the check of a commit's header does not fit")
        need(kind in (1, 2), at, f"commit kind {kind} is not known")
        need(flags in (0, 1) and zero == 0, at, f"commit flags {flags}, {zero} are not known")
        need((segment, units * 64) == (self.segment, at), at, "damaged: a commit of another place")
        need(length > 0 and length % 64 == 0 and end - at <= COMMIT_MAX and end <= len(file), at,
             f"damaged: a body of {length} bytes")
        if body_check != crc32c(file[at + 64:end], seal):
            lost = sum(not any(sector) for sector in sectors(file, at, end)) - sparse
            torn = lost > 0 and is_zero(file, end, len(file))
            need(torn, at, "damaged: the check of a commit's body does not fit")
            self.torn(at, f"commit {number} lacks {lost} sectors")
        found = sum(has_a_bit_at_most(sector) for sector in sectors(file, at, end))
        need(found == sparse, at, f"damaged: {found} sparse sectors, {sparse} by the header")
        expected = (self.number + 1, self.check, self.position)
        need((number, chain, position) == expected, at, f"damaged: not the commit {expected} that is expected")
        need(time >= self.time, at, "damaged: the time of a commit goes back")
        body = Cursor(file[at + 64:end], at + 64)
        if flags & 1:
            list(body.inner(*body.numbers("I", "the block of fields"), "the block of fields").fields(()))
        lines = [line for _ in range(records) for line in self.read_record(body, kind, time, seal)]
        padding = body.rest()
        need(len(padding) < 64 and not padding.strip(b"\xff"), end - len(padding), "damaged: padding is not 0xff")
        need(self.position == position + events, at, f"damaged: not the {events} events that the header tells of")
        self.number, self.check, self.time, self.end = number, check, time, (self.segment, end)
        self.compare_head()
        return lines, end

    def read_record(self, body, commit_kind, time, seal):
        at = body.here()
        length, check = body.numbers("II", "a record")
        need(length >= 9, at, f"damaged: a record of {length} bytes")
        record = body.inner(length - 8, "a record")
        own = crc32c(struct.pack("<Q", at) + record.data, seal)
        need(check == own, at, "damaged: the check of a record does not fit")
        kind, = record.numbers("B", "a record")
        if commit_kind == 1:
            need(kind == 1, at, f"record {kind} is not known")
            return self.read_append(record, at, time)
        need(kind == 2 or kind >= 128, at, f"control record {kind} is not known")
        return [self.read_claim(record, at)] if kind == 2 else []

    def read_append(self, record, at, commit_time):
        streams, count, stream_length, command_length, flags = record.numbers("BHHBB", "an append")
        ident = int.from_bytes(record.take(16, "the id of an append"), "little")
        expected, epoch, position, time, fields_length = record.numbers("QQQqI", "an append")
        need(streams == 1 and flags in (0, 1), at, f"append of {streams} streams, flags {flags}: not known")
        need(count <= 4096, at, f"damaged: an append of {count} events")
        need((position, time) == (self.position, commit_time), at, "damaged: position or time of an append")
        stream = record.text(stream_length, "the name of a stream")
        need(STREAM.fullmatch(stream) and len(stream.split("/", 1)[1].encode()) <= 255, at, f"damaged: stream {stream!r}")
        newest = self.versions.get(stream, 0)
        need(expected == newest, at, f"damaged: {stream} is at version {newest}, an append stands on {expected}")
        need(newest + count < 1 << 40, at, f"damaged: {stream} is beyond its last version")
        # The slice of a stream is a hash of its name; every slice's epoch is at least the least of them.
        need(epoch >= min(self.epochs), at, f"damaged: an append under epoch {epoch}, which was over")
        append = {"append": f"{ident:032x}", "stream": stream, "expected": expected, "epoch": epoch,
                  "position": position, "time": time, "events": count}
        append["command"] = record.text(command_length, "the name of a command")
        fields = record.inner(fields_length, "the fields of an append")
        need(flags or not fields.data, at, "damaged: an append has fields without their flag")
        if flags:
            append["more"] = read_more(fields)
        events = [read_event(record, append, place) for place in range(count)]
        record.ends("the last event of an append")
        self.versions[stream] = newest + count
        self.position += count
        return [append, *events]

    def read_claim(self, record, at):
        zeros, first, last, epoch = record.numbers("3sHHQ", "a claim")
        record.ends("a claim")
        need(not any(zeros) and first <= last < SLICES, at, "damaged: a claim of no slices")
        need(epoch > max(self.epochs[first:last + 1]), at, f"damaged: epoch {epoch} of a claim is not a new one")
        self.epochs[first:last + 1] = [epoch] * (last + 1 - first)
        return {"claim": [first, last], "epoch": epoch}


def main(arguments):
    directories = [argument for argument in arguments if not argument.startswith("--")]
    if len(directories) != 1 or set(arguments) - {"--all", *directories}:
        print("usage: read_log.py DIR [--all]", file=sys.stderr)
        return 2
    inner = os.path.join(directories[0], "journal")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    log = Log(inner if os.path.isdir(inner) else directories[0])
    try:
        for line in log.read():
            if "body" in line or "--all" in arguments:
                print(as_json(line))
    except Unsound as wrong:
        sys.stdout.flush()
        print("segment {} at offset {}: {}".format(log.segment, *wrong.args), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
