//! `kronika acts`: what was done by hand.

use crate::{arguments::Acts, failure::Failure, forms, output, standing};
use kronika_core::ActRecord;

pub fn run(arguments: &Acts) -> Result<(), Failure> {
    let look = standing::look(&arguments.data.data)?;
    let acts = look.acts(arguments.limit as usize)?;
    let text = match acts.is_empty() {
        true => "nothing was done by hand yet".to_owned(),
        false => acts.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    output::print_all(arguments.json, acts.iter().map(forms::Act::from), text)?;
    Ok(())
}

fn line(record: &ActRecord) -> String {
    let ActRecord { number, at, by, act } = record;
    let (time, who, why) = (output::time(*at), output::plain(&by.who), output::plain(&by.why));
    format!("{number:>5}  {time}  {who}: {}: {why}", output::plain(act))
}
