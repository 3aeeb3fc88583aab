//! `kronika parked`: the keys that wait, or the events that wait for one of them.

use super::events;
use crate::{
    arguments::Parked,
    failure::Failure,
    forms::{Key, LetterForm, LetterWithBody},
    output, place,
    standing::{self, choose, is_live},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use kronika_core::{
    Codec, Journal, KeyText, Letter, ParkedKey, Position, ReadModelId, ReadPartition, RecordedEvent,
};
use kronika_log::{Follower, Settings};
use kronika_sqlite::SqliteLook;
use serde_json::value::RawValue;

/// Keys or letters that are read at once.
const AT_ONCE: usize = 1_000;

pub fn run(arguments: &Parked) -> Result<(), Failure> {
    let data = &arguments.data.data;
    let look = standing::look(data)?;
    let all = look.read_models()?;
    let id = match (arguments.generation, arguments.run) {
        (None, _) => choose(&all, &arguments.name, is_live, "live"),
        (Some(generation), run) => {
            let fits = |id: &ReadModelId| {
                id.generation == generation && run.is_none_or(|run| run == id.run)
            };
            choose(&all, &arguments.name, |one| fits(&one.id), "such")
        }
    };
    let id = &id?.id;
    match &arguments.key {
        None => keys(&look, id, arguments.json),
        Some(key) => {
            let parked = find(&look, id, key)?;
            let follower = Follower::open(&place::journal(data), Settings::default())?;
            letters(&look, id, &parked, &follower, arguments.json)
        }
    }
}

/// Prints all parked keys, page by page.
fn keys(look: &SqliteLook, id: &ReadModelId, json: bool) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = look.parked(id, after.as_ref(), AT_ONCE)?;
        if page.is_empty() && after.is_none() {
            output::print_all(json, [(); 0], format_args!("no key of {id} is parked"))?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        let text = page.iter().map(block).collect::<Vec<_>>().join("\n");
        if !output::print_all(json, page.iter().map(Key::from), text)? {
            return Ok(());
        }
    }
}

fn block(parked: &ParkedKey) -> String {
    let ParkedKey { key, cause, first, letters, parked, attempts, asked } = parked;
    let wait = match letters {
        1 => "1 event waits".to_owned(),
        _ => format!("{letters} events wait"),
    };
    let times = if *attempts == 1 { "once" } else { &format!("{attempts} times") };
    let asked = asked.map_or(String::new(), |asked| format!("\n    asked  {}", asked.name()));
    format!(
        "{}: {wait}, tried {times}, parked {}\n    first  {} v{} {}, position {}\n    cause  {}{asked}",
        output::plain(key.as_str()),
        output::time(*parked),
        first.stream,
        first.version,
        first.event,
        first.position,
        output::plain(cause)
    )
}

fn find(look: &SqliteLook, id: &ReadModelId, key: &KeyText) -> Result<ParkedKey, Failure> {
    let mut after = None;
    loop {
        let page = look.parked(id, after.as_ref(), AT_ONCE)?;
        let last = page.last().map(|last| last.key.clone());
        if let Some(found) = page.into_iter().find(|parked| parked.key == *key) {
            return Ok(found);
        }
        after = last;
        if after.is_none() {
            let words = format!(
                "key {key} is not parked in {id}; `kronika parked {}` lists those that are",
                id.name
            );
            return Err(Failure::Words(words));
        }
    }
}

/// Prints the letters of a key with the bodies of their events.
fn letters(
    look: &SqliteLook,
    id: &ReadModelId,
    parked: &ParkedKey,
    follower: &Follower,
    json: bool,
) -> Result<(), Failure> {
    if !json && !output::print_all(false, [(); 0], block(parked))? {
        return Ok(());
    }
    let runtime = super::runtime()?;
    let mut done = 0;
    loop {
        let page = look.letters(id, &parked.key, done, AT_ONCE)?;
        done += page.len() as u64;
        for letter in &page {
            let event = runtime.block_on(event_of(follower, letter))?;
            let text = line(letter, event.as_ref());
            if !output::print_all(json, [with_body(letter, event.as_ref())], text)? {
                return Ok(());
            }
        }
        if page.len() < AT_ONCE {
            return Ok(());
        }
    }
}

/// The event of a letter; `None` where the journal has another one there, or none.
async fn event_of(follower: &Follower, letter: &Letter) -> Result<Option<RecordedEvent>, Failure> {
    let before = Position::new(letter.position.get().saturating_sub(1));
    let read = ReadPartition::after(letter.partition, before).limit_events(1);
    let page = follower.read_partition(read).await?;
    let is_it = |event: &RecordedEvent| {
        event.position == letter.position
            && *event.stream() == letter.stream
            && event.version == letter.version
    };
    Ok(page.events.into_iter().find(is_it))
}

fn line(letter: &Letter, event: Option<&RecordedEvent>) -> String {
    let mut line = Vec::new();
    match event {
        Some(event) => {
            events::text(&mut line, event).expect("memory takes everything");
            String::from_utf8_lossy(&line).trim_end().to_owned()
        }
        None => {
            let Letter { position, event, stream, version, time, .. } = letter;
            let time = output::time(*time);
            format!("{position:>8}  {time}  {stream} v{version}  {event}  is not in the journal")
        }
    }
}

fn with_body<'a>(letter: &'a Letter, event: Option<&'a RecordedEvent>) -> LetterWithBody<'a> {
    let json = |event: &'a RecordedEvent| -> Option<&'a RawValue> {
        let is_line = event.codec == Codec::Json && !event.body.contains(&b'\n');
        serde_json::from_slice(&event.body).ok().filter(|_| is_line)
    };
    let body = event.and_then(json);
    let other = event.filter(|_| body.is_none());
    LetterWithBody {
        letter: LetterForm::from(letter),
        schema: event.map(|event| event.schema),
        body,
        body_base64: other.map(|event| BASE64_STANDARD.encode(&event.body)),
    }
}
