use kronika_core::Lifted;
use kronika_macros::Event;

#[derive(Event)]
enum Missing {
    #[event(schema = 2)]
    None,
    #[event(schema = 4, upcast(1 => lift, 3 => lift))]
    Between,
    #[event(upcast(("old", 1), ("old", 3)))]
    OfAnother,
}

#[derive(Event)]
enum Beyond {
    #[event(schema = 2, upcast(1, 2))]
    Newest,
    #[event(schema = 2, oldest = 3)]
    Oldest,
    #[event(schema = 2, upcast(1, 1))]
    Twice,
}

#[derive(Event)]
enum TwoPlaces {
    #[event(upcast(("old", 1)))]
    One,
    #[event(upcast(("old", 1)))]
    Other,
}

#[derive(Event)]
enum Taken {
    One,
    #[event(upcast(("one", 1)))]
    Other,
}

fn lift(body: serde_json::Value) -> Lifted {
    Ok(body)
}

fn main() {}
