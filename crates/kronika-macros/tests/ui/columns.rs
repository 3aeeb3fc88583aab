use kronika_macros::{Key, Row};

#[derive(Row)]
struct Tuple(String);

#[derive(Row)]
struct Twice {
    price: i64,
    #[column(name = "price")]
    cost: i64,
}

#[derive(Row)]
struct Named {
    #[column(name = "Price")]
    price: i64,
    _hidden: i64,
}

#[derive(Key)]
enum NotAStruct {}

fn main() {}
