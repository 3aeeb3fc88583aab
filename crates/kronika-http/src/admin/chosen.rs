//! Which of a projection's read models is meant, where a request does not name one fully.

use super::refusals::{no_projection, refused};
use crate::problem::Problem;
use kronika_core::{Generation, ProjectionName, ReadModel, ReadModelId, Stage};

/// What a request names.
pub(super) struct Choice<'a> {
    pub name: &'a ProjectionName,
    pub generation: Option<Generation>,
    pub run: Option<u32>,
}

/// What is meant where it names several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meant {
    /// The live one.
    Live,
    /// The one that is building, else the only old one.
    NotLive,
}

impl Choice<'_> {
    /// The one that is meant. Nothing is guessed: where it is not clear, it is to be named.
    pub fn among(&self, stored: &[ReadModel], meant: Meant) -> Result<ReadModelId, Problem> {
        let of_name: Vec<_> = stored.iter().filter(|it| it.id.name == *self.name).collect();
        if of_name.is_empty() {
            return Err(no_projection(self.name));
        }
        let fits = |it: &&&ReadModel| {
            self.generation.is_none_or(|generation| generation == it.id.generation)
                && self.run.is_none_or(|run| run == it.id.run)
        };
        let named: Vec<_> = of_name.iter().filter(fits).collect();
        let in_stage = |stage| named.iter().filter(move |it| it.stage == stage);
        let only = |stage| {
            let mut found = in_stage(stage);
            found.next().filter(|_| found.next().is_none())
        };
        let found = match (&named[..], meant) {
            ([], _) => return Err(self.none(&of_name)),
            ([one], _) if self.generation.is_some() || self.run.is_some() => Some(one),
            (_, Meant::Live) => only(Stage::Live),
            (_, Meant::NotLive) => match in_stage(Stage::Building).next() {
                Some(_) => only(Stage::Building),
                None => only(Stage::Old),
            },
        };
        found.map(|found| found.id.clone()).ok_or_else(|| self.unclear(&of_name, meant))
    }

    fn none(&self, of_name: &[&ReadModel]) -> Problem {
        let number = |number: Option<u32>| number.map_or("any".to_owned(), |it| it.to_string());
        let generation = number(self.generation.map(Generation::get));
        let (name, run, there) = (self.name, number(self.run), list(of_name));
        Problem::not_found(format!(
            "{name} has no read model of generation {generation}, run {run}; there is {there}"
        ))
    }

    fn unclear(&self, of_name: &[&ReadModel], meant: Meant) -> Problem {
        let lacks = match meant {
            Meant::Live => "no single live one",
            Meant::NotLive => "none that is building and no single old one",
        };
        let (name, there) = (self.name, list(of_name));
        refused(format!(
            "of {name} there is {lacks} that fits: name generation and run; there is {there}"
        ))
    }
}

fn list(read_models: &[&ReadModel]) -> String {
    let one = |it: &&ReadModel| {
        format!("generation {}, run {} ({})", it.id.generation, it.id.run, it.stage)
    };
    read_models.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kronika_core::{Timestamp, Wanted};

    #[test]
    fn nothing_is_guessed() {
        let name = ProjectionName::new("x").unwrap();
        let model = |&(generation, run, stage): &(u32, u32, Stage)| {
            let generation = Generation::new(generation);
            let id = ReadModelId { name: name.clone(), generation, run };
            let (begun, wanted) = (Timestamp::new(0), Wanted::default());
            let (checkpoint, report) = (None, None);
            ReadModel { id, stage, wanted, checkpoint, parked: 0, letters: 0, begun, report }
        };
        let check = |there: &[(u32, u32, Stage)],
                     asked: (Option<u32>, Option<u32>),
                     meant,
                     expected| {
            let stored: Vec<_> = there.iter().map(model).collect();
            let generation = asked.0.map(Generation::new);
            let choice = Choice { name: &name, generation, run: asked.1 };
            let found = choice.among(&stored, meant);
            let found = found.map(|id| (id.generation.get(), id.run));
            assert_eq!(found.map_err(|problem| problem.status().as_u16()), expected, "{asked:?}");
        };
        let (live, building, old) = (Stage::Live, Stage::Building, Stage::Old);
        let all = [(1, 1, old), (1, 2, live), (1, 3, building), (2, 1, old)];
        let any = (None, None);
        check(&[], any, Meant::Live, Err(404));
        check(&all, any, Meant::Live, Ok((1, 2)));
        check(&all, any, Meant::NotLive, Ok((1, 3)));
        check(&all, (Some(1), Some(1)), Meant::Live, Ok((1, 1)));
        check(&all, (Some(2), None), Meant::Live, Ok((2, 1)));
        check(&all, (None, Some(3)), Meant::Live, Ok((1, 3)));
        check(&all, (Some(1), None), Meant::Live, Ok((1, 2)));
        check(&all, (None, Some(1)), Meant::Live, Err(409));
        check(&all, (Some(3), None), Meant::Live, Err(404));
        check(&all, (Some(1), Some(9)), Meant::NotLive, Err(404));
        check(&all[..2], any, Meant::NotLive, Ok((1, 1)));
        check(&[all[0], all[1], all[3]], any, Meant::NotLive, Err(409));
        check(&[all[1]], any, Meant::NotLive, Err(409));
        check(&[all[0]], any, Meant::Live, Err(409));
    }
}
