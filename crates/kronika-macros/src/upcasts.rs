//! `#[event(upcast(…))]`: the steps from older shapes to a variant's own, without a gap between them.

use crate::event::NAME;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use std::collections::{BTreeMap, HashSet};
use syn::{
    Error, Ident, LitInt, LitStr, Path, Token,
    meta::ParseNestedMeta,
    parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    token::Paren,
};

/// `1 => path`, `("name", 1) => path`, or either without the path.
pub(crate) struct Written {
    name: Option<LitStr>,
    schema: u32,
    span: Span,
    lift: Option<Path>,
}

/// The schema numbers that a variant's own name was recorded with.
#[derive(Clone, Copy)]
pub(crate) struct Schemas {
    pub(crate) oldest: u32,
    pub(crate) newest: u32,
}

/// One step, with both its ends.
pub(crate) struct Step {
    from: (String, u32),
    to: (String, u32),
    span: Span,
    lift: Option<Path>,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let (name, number) = if input.peek(Paren) {
            let inside;
            parenthesized!(inside in input);
            let name: LitStr = inside.parse()?;
            inside.parse::<Token![,]>()?;
            (Some(name), inside.parse::<LitInt>()?)
        } else {
            (None, input.parse()?)
        };
        let span = name.as_ref().map_or(number.span(), LitStr::span);
        let schema = number.base10_parse().ok().filter(|schema| (1..u32::MAX).contains(schema));
        let message = "a schema is a number from 1 on, and one to lift from has a next";
        let schema = schema.ok_or_else(|| Error::new(number.span(), message))?;
        let lift = match input.parse::<Option<Token![=>]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        Ok(Self { name, schema, span, lift })
    }
}

/// Reads `(…)` behind `upcast`.
pub(crate) fn parse(item: &ParseNestedMeta<'_>) -> Result<Vec<Written>, Error> {
    let inside;
    parenthesized!(inside in item.input);
    let steps = Punctuated::<Written, Token![,]>::parse_terminated(&inside)?;
    Ok(steps.into_iter().collect())
}

/// A step from each older schema of the variant, and from each schema of other names.
pub(crate) fn steps(
    ident: &Ident,
    name: &str,
    schemas: Schemas,
    written: Vec<Written>,
) -> Result<Vec<Step>, Error> {
    let Schemas { oldest, newest } = schemas;
    if oldest > newest {
        let message = format!("the oldest schema is {oldest}, the newest {newest}");
        return Err(Error::new(ident.span(), message));
    }
    let mut by_name: BTreeMap<String, BTreeMap<u32, Written>> = BTreeMap::new();
    by_name.insert(name.to_owned(), BTreeMap::new());
    for one in written {
        let from = match &one.name {
            Some(old) => NAME.name(ident, Some(old))?,
            None => name.to_owned(),
        };
        let (span, schema) = (one.span, one.schema);
        let own = from == name;
        if own && !(oldest..newest).contains(&schema) {
            let message = format!(
                "{name} is recorded with schema {newest}, {oldest} being its oldest: there is no step from {schema}"
            );
            return Err(Error::new(span, message));
        }
        if by_name.entry(from).or_default().insert(schema, one).is_some() {
            return Err(Error::new(span, format!("two steps begin at schema {schema}")));
        }
    }
    let mut steps = Vec::new();
    for (from, mut written) in by_name {
        let own = from == name;
        let (first, last) = match (own, written.first_key_value(), written.last_key_value()) {
            (true, ..) => (oldest, newest - 1),
            (false, Some((first, _)), Some((last, _))) => (*first, *last),
            (false, ..) => continue,
        };
        for schema in first..=last {
            let Some(Written { span, lift, .. }) = written.remove(&schema) else {
                return Err(missing(ident, &from, schema, own));
            };
            let to = if own || schema < last {
                (from.clone(), schema + 1)
            } else {
                (name.to_owned(), oldest)
            };
            steps.push(Step { from: (from.clone(), schema), to, span, lift });
        }
    }
    Ok(steps)
}

fn missing(ident: &Ident, from: &str, schema: u32, own: bool) -> Error {
    let next = schema + 1;
    let (step, otherwise) = match own {
        true => (
            schema.to_string(),
            format!(", or `oldest = {next}` if it was never recorded with schema {schema}"),
        ),
        false => (format!("({from:?}, {schema})"), String::new()),
    };
    let message = format!(
        "nothing lifts {from} from schema {schema} to {next}: write `upcast({step} => …)` with a function of the \
         body, `upcast({step})` where the body stays as it is{otherwise}"
    );
    Error::new(ident.span(), message)
}

/// An old shape leads to one place, and a name that is recorded now is no old one.
pub(crate) fn no_two<'a>(
    steps: impl Iterator<Item = &'a Step>,
    recorded: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for Step { from, to, span, .. } in steps {
        let (name, schema) = from;
        if *name != to.0 && recorded(name) {
            let message = format!("{name:?} is the name of another variant");
            return Err(Error::new(*span, message));
        }
        if !seen.insert(from) {
            let message = format!("{name:?} of schema {schema} is lifted to another variant too");
            return Err(Error::new(*span, message));
        }
    }
    Ok(())
}

/// `None` without steps: the trait's default has none.
pub(crate) fn list<'a>(
    steps: impl Iterator<Item = &'a Step>,
    kronika: &TokenStream,
) -> Option<TokenStream> {
    let kind = |(name, schema): &(String, u32)| quote!(#kronika::EventKind { name: #name, schema: #schema });
    let steps: Vec<_> = steps
        .map(|Step { from, to, lift, .. }| {
            let (from, to) = (kind(from), kind(to));
            let lift = match lift {
                Some(path) => quote!(::std::option::Option::Some(#path)),
                None => quote!(::std::option::Option::None),
            };
            quote!(#kronika::Upcast { from: #from, to: #to, lift: #lift })
        })
        .collect();
    (!steps.is_empty())
        .then(|| quote!(const UPCASTS: &'static [#kronika::Upcast] = &[#(#steps),*];))
}
