//! `#[derive(Command)]`: the stable name.

use crate::{attributes, crate_path::core_path, names::Rule};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, spanned::Spanned};

const NAME: Rule = Rule { of: "a command", joint: '-', bytes_max: 64 };

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    attributes::no_generics(&input.generics, "a command")?;
    check_shape(input)?;
    let mut given: Option<LitStr> = None;
    attributes::each(&input.attrs, "command", |item| {
        if item.path.is_ident("name") {
            return attributes::set(item, &mut given, attributes::text(item)?);
        }
        Err(item.error("expected `name = \"…\"`"))
    })?;
    let name = NAME.name(&input.ident, given.as_ref())?;
    let (kronika, ident) = (core_path()?, &input.ident);
    Ok(quote! {
        #[automatically_derived]
        impl #kronika::Command for #ident {
            const NAME: &'static str = #name;
        }
    })
}

/// The body must be a JSON object: an array or a bare value could never get another field.
fn check_shape(input: &DeriveInput) -> Result<(), Error> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(_) => Ok(()),
            Fields::Unit => {
                let message =
                    format!("a command's body is a JSON object: write `{} {{}}`", input.ident);
                Err(Error::new(input.ident.span(), message))
            }
            Fields::Unnamed(fields) => Err(Error::new(
                fields.span(),
                "a command's body is a JSON object, which can grow: name the fields",
            )),
        },
        Data::Enum(_) => Ok(()),
        Data::Union(data) => Err(Error::new(data.union_token.span, "a command is a struct")),
    }
}
