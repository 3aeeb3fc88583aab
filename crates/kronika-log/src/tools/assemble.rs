//! Lines to appends: an append is complete when its last event was read, and nothing of it is used before.

use super::{
    error::ToolError,
    line::{AppendPart, Line, TimerPart, bytes_of},
};
use bytes::Bytes;
use kronika_core::{
    Append, AppendId, AppendMore, EVENTS_PER_APPEND_MAX, Epoch, EventId, Keyed, Loading, Metadata,
    NewEvent, Origin, StreamId, Timer, Version, check_limits,
};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An append that was read, and the line that it begins with.
#[derive(Debug)]
pub(crate) struct ReadAppend {
    pub(crate) line: u64,
    pub(crate) append: Append,
}

/// Puts appends together from lines.
#[derive(Debug)]
pub(crate) struct Assembler {
    line: u64,
    /// The append that is not complete yet, and how many events it is to have.
    open: Option<(ReadAppend, usize)>,
    /// Whether an event without a time of its own takes the one at which it was recorded.
    keep_times: bool,
}

impl Assembler {
    pub(crate) fn new(keep_times: bool) -> Self {
        Self { line: 0, open: None, keep_times }
    }

    /// Takes the next line; gives the append that it completes.
    pub(crate) fn line(&mut self, text: &[u8]) -> Result<Option<ReadAppend>, ToolError> {
        self.line += 1;
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let line = self.line;
        let wrong = |what| ToolError::Line { line, what };
        let read: Line<'_> = serde_json::from_slice(text).map_err(|error| {
            wrong(error.to_string().replace(" at line 1 column ", " at column "))
        })?;
        let id = id_of(&read.append.id).map_err(wrong)?;
        if self.open.as_ref().is_some_and(|(open, _)| open.append.id != id) {
            self.end()?;
        }
        self.take(&read, id).map_err(wrong)
    }

    /// Nothing more of the present append comes: if it is not complete, it is refused.
    pub(crate) fn end(&mut self) -> Result<(), ToolError> {
        self.open.take().map_or(Ok(()), |(read, events)| {
            let (id, found) = (read.append.id, read.append.events.len());
            let what = format!("append {id} has {found} of its {events} events");
            Err(ToolError::Line { line: read.line, what })
        })
    }

    /// The line that was read last.
    pub(crate) fn number(&self) -> u64 {
        self.line
    }

    fn take(&mut self, line: &Line<'_>, id: AppendId) -> Result<Option<ReadAppend>, String> {
        if line.partition.is_some_and(|partition| partition != 0) {
            return Err("the journal has one partition, 0".to_owned());
        }
        let part = &line.append;
        let (mut read, events) = match self.open.take() {
            Some(open) => open,
            None => (ReadAppend { line: self.line, append: begin(line, id)? }, part.events),
        };
        let append = &mut read.append;
        let index = append.events.len();
        let stream = append.stream.name();
        if (part.events, part.index, stream) != (events, index, &*line.stream) {
            return Err(format!(
                "not event {index} of the {events} events of append {id} to {stream}"
            ));
        }
        match (&line.name, events) {
            (None, 0) => {}
            (Some(name), 1..) => {
                if line.version != append.expected.get() + index as u64 + 1 {
                    return Err(format!("version {} is not the next one", line.version));
                }
                append.events.push(self.event(line, name, id.event(index))?);
            }
            (None, _) => return Err("the event has no name".to_owned()),
            (Some(_), 0) => return Err("the append is said to have no events".to_owned()),
        }
        if append.events.len() < events {
            self.open = Some((read, events));
            return Ok(None);
        }
        check_limits(append).map_err(|error| error.to_string())?;
        Ok(Some(read))
    }

    fn event(&self, line: &Line<'_>, name: &str, usual: EventId) -> Result<NewEvent, String> {
        let id = line.id.as_deref().map(|text| text.parse::<EventId>());
        let id = id.transpose().map_err(|error| format!("the event's id is none: {error}"))?;
        let metadata = line.metadata.iter().flatten();
        let metadata: Metadata =
            metadata.map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let recorded = line.time.filter(|_| self.keep_times);
        Ok(NewEvent {
            name: Cow::Owned(name.to_owned()),
            schema: line.schema.unwrap_or(1),
            body: body("body", line.body, line.body_base64.as_deref())?,
            tags: line.tags.iter().map(ToString::to_string).collect(),
            occurred: line.occurred.or(recorded).map(|moment| moment.0),
            id: id.filter(|id| *id != usual),
            metadata: (!metadata.is_empty()).then(|| Box::new(metadata)),
            ..NewEvent::default()
        })
    }
}

fn id_of(text: &str) -> Result<AppendId, String> {
    let id =
        text.parse::<AppendId>().map_err(|error| format!("the append's id is none: {error}"))?;
    let free = (1u128 << AppendId::EVENT_BITS) - 1;
    if id.get() & free != 0 {
        return Err(format!("append id {id} does not end in four zeros"));
    }
    Ok(id)
}

/// An append that begins with a line, without its events.
fn begin(line: &Line<'_>, id: AppendId) -> Result<Append, String> {
    let part = &line.append;
    if part.index != 0 {
        return Err(format!("append {id} begins with its event {}", part.index));
    }
    if part.events > EVENTS_PER_APPEND_MAX {
        return Err(format!("{} events, at most {EVENTS_PER_APPEND_MAX}", part.events));
    }
    let expected = match part.events {
        0 => line.version,
        _ => line.version.checked_sub(1).ok_or("the first version of a stream is 1")?,
    };
    let more = more(part)?;
    Ok(Append {
        id,
        stream: StreamId::parse(&line.stream).map_err(|error| error.to_string())?,
        expected: Version::new(expected),
        epoch: Epoch::default(),
        loading: Loading::default(),
        events: Vec::new(),
        command: Cow::Owned(part.command.as_deref().unwrap_or("import").to_owned()),
        more: (more != AppendMore::default()).then(|| Box::new(more)),
    })
}

fn more(part: &AppendPart<'_>) -> Result<AppendMore, String> {
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let keyed = part.key.as_deref().map(|key| {
        let fingerprint = part.fingerprint.as_deref().ok_or("a key without its fingerprint")?;
        Ok::<_, String>(Keyed {
            key: key.to_owned(),
            fingerprint: u128::from_str_radix(fingerprint, 16)
                .map_err(|error| format!("the fingerprint is none: {error}"))?,
            reply: body("reply", part.reply, part.reply_base64.as_deref())?,
        })
    });
    let has_body = part.command_body.is_some() || part.command_body_base64.is_some();
    let command_body = has_body
        .then(|| body("command_body", part.command_body, part.command_body_base64.as_deref()));
    Ok(AppendMore {
        command_body: command_body.transpose()?,
        keyed: keyed.transpose()?,
        origin: Origin {
            principal: text(&part.principal),
            tenant: text(&part.tenant),
            correlation: text(&part.correlation),
            causation: text(&part.causation),
            trace: text(&part.trace),
        },
        timers: part.timers.iter().map(timer).collect::<Result<_, _>>()?,
        encryption_key: text(&part.encryption_key),
    })
}

fn timer(part: &TimerPart<'_>) -> Result<Timer, String> {
    Ok(Timer {
        due: part.due.0,
        command: Cow::Owned(part.command.to_string()),
        body: body("a timer's body", part.body, part.body_base64.as_deref())?.to_vec(),
    })
}

fn body(what: &str, json: Option<&RawValue>, base64: Option<&str>) -> Result<Bytes, String> {
    let bytes = bytes_of(json, base64);
    bytes.map(Bytes::from).map_err(|error| format!("{what} is no base64: {error}"))
}
