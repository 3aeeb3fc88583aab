use kronika_macros::Event;

#[derive(Event)]
struct NotAnEnum {}

#[derive(Event)]
enum Empty {}

#[derive(Event)]
enum Generic<T> {
    Opened(T),
}

#[derive(Event)]
enum Twice {
    Opened,
    #[event(name = "opened")]
    Begun,
}

#[derive(Event)]
#[event(schema = 2)]
enum Misplaced {
    #[event(tag)]
    Opened,
    Closed {
        #[event(name = "x")]
        cents: u32,
    },
}

#[derive(Event)]
enum Wrong {
    #[event(name = "Opened")]
    Capital,
    #[event(schema = 0)]
    Zero,
    #[event(schema = 1, schema = 2)]
    Double,
    Tuple(#[event(tag)] String),
    Größe,
}

#[derive(Event, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
enum Tagged {
    Opened {},
    #[serde(skip)]
    Closed {},
}

fn main() {}
