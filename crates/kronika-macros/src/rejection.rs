//! `#[derive(Rejection)]`: which refusals mean that the command itself is wrong.

use crate::{attributes, crate_path::core_path};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    attributes::no_generics(&input.generics, "a rejection")?;
    let kronika = core_path()?;
    let kind = match &input.data {
        Data::Enum(data) => {
            attributes::none(&input.attrs, "rejection", "the variants that it is true of")?;
            kind_by_variant(data, &kronika)?
        }
        Data::Struct(_) if is_invalid(&input.attrs)? => {
            Some(quote!(#kronika::RejectionKind::Invalid))
        }
        Data::Struct(_) => None,
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span, "a rejection is an enum or a struct"));
        }
    };
    let kind = kind.map(|kind| {
        quote! {
            fn kind(&self) -> #kronika::RejectionKind {
                #kind
            }
        }
    });
    let ident = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #kronika::Rejection for #ident {
            #kind
        }
    })
}

/// `None` where the trait's default says it all.
fn kind_by_variant(data: &DataEnum, kronika: &TokenStream) -> Result<Option<TokenStream>, Error> {
    let mut invalid = Vec::new();
    for variant in &data.variants {
        if is_invalid(&variant.attrs)? {
            invalid.push(&variant.ident);
        }
    }
    if invalid.is_empty() {
        return Ok(None);
    }
    let others = (invalid.len() < data.variants.len())
        .then(|| quote!(_ => #kronika::RejectionKind::Conflict,));
    Ok(Some(quote! {
        match self {
            #(Self::#invalid { .. })|* => #kronika::RejectionKind::Invalid,
            #others
        }
    }))
}

fn is_invalid(attributes: &[Attribute]) -> Result<bool, Error> {
    let mut invalid = None;
    attributes::each(attributes, "rejection", |item| {
        if item.path.is_ident("invalid") {
            return attributes::set(item, &mut invalid, ());
        }
        Err(item.error("expected `invalid`"))
    })?;
    Ok(invalid.is_some())
}
