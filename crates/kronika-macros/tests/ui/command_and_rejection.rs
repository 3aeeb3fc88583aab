use kronika_macros::{Command, Rejection};

#[derive(Command)]
struct Close;

#[derive(Command)]
struct Rename(String);

#[derive(Command)]
struct Generic<T> {
    value: T,
}

#[derive(Command)]
#[command(name = "place bid")]
struct PlaceBid {}

#[derive(Command)]
#[command(named = "place-bid")]
struct Misspelt {}

#[derive(Rejection)]
#[rejection(invalid)]
enum Everywhere {
    One,
}

#[derive(Rejection)]
enum Unknown {
    #[rejection(conflict)]
    One,
}

fn main() {}
