use kronika_macros::Key;

#[derive(Key, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    city: String,
    street: Option<String>,
}

fn main() {}
