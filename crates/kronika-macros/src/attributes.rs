//! Reading attributes: our own strictly, serde's only as far as events must know them.

use syn::{
    Attribute, Error, Generics, LitInt, LitStr, Meta, Token, meta::ParseNestedMeta,
    punctuated::Punctuated, spanned::Spanned,
};

/// Reads every `#[name(…)]`, one item after the other.
pub(crate) fn each(
    attributes: &[Attribute],
    name: &str,
    mut read: impl FnMut(&ParseNestedMeta<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident(name));
    ours.map(|attribute| attribute.parse_nested_meta(|item| read(&item))).fold(Ok(()), both)
}

/// There is no `#[name(…)]` here.
pub(crate) fn none(attributes: &[Attribute], name: &str, place: &str) -> Result<(), Error> {
    each(attributes, name, |item| Err(item.error(format!("`#[{name}(…)]` belongs on {place}"))))
}

/// Sets a value once.
pub(crate) fn set<T>(
    item: &ParseNestedMeta<'_>,
    place: &mut Option<T>,
    value: T,
) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(item.error("given twice")),
    }
}

/// Reads `= "…"`.
pub(crate) fn text(item: &ParseNestedMeta<'_>) -> Result<LitStr, Error> {
    item.value()?.parse()
}

/// Reads `= 2`, from 1.
pub(crate) fn number(item: &ParseNestedMeta<'_>) -> Result<u32, Error> {
    let literal: LitInt = item.value()?.parse()?;
    match literal.base10_parse() {
        Ok(0) | Err(_) => {
            Err(Error::new(literal.span(), "a schema is a number from 1 to 2^32 - 1"))
        }
        Ok(number) => Ok(number),
    }
}

/// The `#[serde(…)]` items of these names are refused, each with its reason.
pub(crate) fn refuse_serde(
    attributes: &[Attribute],
    refused: &[(&str, &str)],
) -> Result<(), Error> {
    let mut result = Ok(());
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        // What serde itself cannot read, serde reports.
        let items = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
        for item in items.iter().flatten() {
            let found = refused.iter().find(|(name, _)| item.path().is_ident(name));
            if let Some((name, reason)) = found {
                let message = format!("an event cannot have `#[serde({name})]`: {reason}");
                result = both(result, Err(Error::new(item.span(), message)));
            }
        }
    }
    result
}

/// Names and schemas belong to one type, so it has no parameters.
pub(crate) fn no_generics(generics: &Generics, of: &str) -> Result<(), Error> {
    if generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new(generics.span(), format!("{of} has no type parameters or lifetimes")))
}

/// Both, or the errors of both.
pub(crate) fn both(one: Result<(), Error>, other: Result<(), Error>) -> Result<(), Error> {
    match (one, other) {
        (Err(mut one), Err(other)) => {
            one.combine(other);
            Err(one)
        }
        (one, other) => one.and(other),
    }
}
