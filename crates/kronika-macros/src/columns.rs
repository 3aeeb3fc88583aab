//! `#[derive(Row)]` and `#[derive(Key)]`: a struct's fields as the columns of a table.

use crate::{
    attributes::{self, both},
    crate_path::core_path,
    names::Rule,
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashMap;
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Type, spanned::Spanned};

const NAME: Rule = Rule { of: "a column", joint: '_', bytes_max: 63 };

/// What the columns are for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Row,
    Key,
}

impl Role {
    fn noun(self) -> &'static str {
        match self {
            Self::Row => "a row",
            Self::Key => "a key",
        }
    }
}

struct Declared<'a> {
    ident: &'a Ident,
    name: String,
    kind: &'a Type,
}

pub(crate) fn expand(input: &DeriveInput, role: Role) -> Result<TokenStream, Error> {
    let columns = declared(input, role)?;
    let (kronika, ident) = (core_path()?, &input.ident);
    let name = match role {
        Role::Row => quote!(Row),
        Role::Key => quote!(Key),
    };
    let never_null =
        (role == Role::Key).then(|| columns.iter().map(|one| never_null(one, &kronika)));
    let never_null = never_null.into_iter().flatten();
    let definitions = columns.iter().map(|Declared { name, kind, .. }| {
        let value = quote_spanned!(kind.span()=> <#kind as #kronika::ColumnValue>);
        quote!(#kronika::Column { name: #name, kind: #value::KIND, nullable: #value::NULLABLE })
    });
    let values = columns.iter().map(|Declared { ident, kind, .. }| {
        let value = quote_spanned!(kind.span()=> <#kind as #kronika::ColumnValue>::to_value);
        quote!(#value(&self.#ident))
    });
    let from_values = from_values(&columns, &kronika);
    Ok(quote! {
        #(#never_null)*

        #[automatically_derived]
        impl #kronika::#name for #ident {
            const COLUMNS: &'static [#kronika::Column] = &[#(#definitions),*];

            fn values(&self) -> ::std::vec::Vec<#kronika::Value> {
                ::std::vec![#(#values),*]
            }

            #from_values
        }
    })
}

fn never_null(column: &Declared<'_>, kronika: &TokenStream) -> TokenStream {
    let Declared { name, kind, .. } = column;
    let message = format!("column {name} of a key may not be null");
    quote_spanned! {kind.span()=>
        const _: () = ::std::assert!(!<#kind as #kronika::ColumnValue>::NULLABLE, #message);
    }
}

/// What does not fit is told with the column's name.
fn from_values(columns: &[Declared<'_>], kronika: &TokenStream) -> TokenStream {
    let fields = columns.iter().map(|column| column.ident);
    let kinds = columns.iter().map(|column| column.kind);
    let names = columns.iter().map(|column| format!("/{}", column.name));
    let bound: Vec<_> = (0..columns.len()).map(|n| format_ident!("value_{n}")).collect();
    let count = columns.len();
    quote! {
        fn from_values(
            values: ::std::vec::Vec<#kronika::Value>,
        ) -> ::std::result::Result<Self, #kronika::CodecError> {
            let at = |column: &str, error| match error {
                #kronika::CodecError::Shape { pointer, source } => {
                    let pointer = ::std::format!("{column}{pointer}");
                    #kronika::CodecError::Shape { pointer, source }
                }
                other => other,
            };
            let values: [#kronika::Value; #count] = values.try_into().map_err(
                |values: ::std::vec::Vec<#kronika::Value>| #kronika::CodecError::shape(
                    ::std::format!("{} columns were read, {} are known", values.len(), #count)
                )
            )?;
            let [#(#bound),*] = values;
            ::std::result::Result::Ok(Self {
                #(#fields: <#kinds as #kronika::ColumnValue>::from_value(#bound)
                    .map_err(|error| at(#names, error))?,)*
            })
        }
    }
}

fn declared(input: &DeriveInput, role: Role) -> Result<Vec<Declared<'_>>, Error> {
    let noun = role.noun();
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if !fields.named.is_empty() => &fields.named,
            _ => {
                let message = format!("{noun} has named fields: each is a column");
                return Err(Error::new(input.ident.span(), message));
            }
        },
        _ => return Err(Error::new(input.ident.span(), format!("{noun} is a struct"))),
    };
    let mut result = attributes::no_generics(&input.generics, noun);
    result = both(result, attributes::none(&input.attrs, "column", "a field"));
    let mut columns: Vec<Declared<'_>> = Vec::new();
    let mut seen: HashMap<String, &Ident> = HashMap::new();
    for field in fields {
        let column = match declare(field) {
            Ok(column) => column,
            Err(error) => {
                result = both(result, Err(error));
                continue;
            }
        };
        if let Some(first) = seen.insert(column.name.clone(), column.ident) {
            let message =
                format!("{first} and {} have one column, {:?}", column.ident, column.name);
            result = both(result, Err(Error::new(column.ident.span(), message)));
        }
        columns.push(column);
    }
    result.map(|()| columns)
}

fn declare(field: &Field) -> Result<Declared<'_>, Error> {
    let mut given: Option<LitStr> = None;
    attributes::each(&field.attrs, "column", |item| {
        if item.path.is_ident("name") {
            return attributes::set(item, &mut given, attributes::text(item)?);
        }
        Err(item.error("expected `name = \"…\"`"))
    })?;
    let ident = field.ident.as_ref().expect("the fields were found to be named");
    let name = NAME.name(ident, given.as_ref())?;
    Ok(Declared { ident, name, kind: &field.ty })
}
