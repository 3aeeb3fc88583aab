//! `#[derive(Event)]`: names, schema numbers, tags, and a body without the variant's name.

use crate::{
    attributes::{self, both},
    crate_path::core_path,
    names::Rule,
    upcasts::{self, Step},
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashMap;
use syn::{
    Data, DeriveInput, Error, Field, Fields, GenericArgument, Ident, LitStr, PathArguments, Type,
    Variant, spanned::Spanned,
};

pub(crate) const NAME: Rule = Rule { of: "an event", joint: '-', bytes_max: 255 };

const BODY: &str = "its body holds its fields, without a name among them";
const CONVERTED: &str = "its variants are what is recorded, not those of another type";
const BY_NUMBER: &str = "each variant must be written and read by its place in the enum";

const REFUSED_ON_ENUM: &[(&str, &str)] = &[
    ("tag", BODY),
    ("content", BODY),
    ("untagged", BODY),
    ("from", CONVERTED),
    ("try_from", CONVERTED),
    ("into", CONVERTED),
    ("remote", CONVERTED),
    ("deny_unknown_fields", "older builds must be able to read additions"),
];
const REFUSED_ON_VARIANT: &[(&str, &str)] = &[
    ("skip", BY_NUMBER),
    ("skip_serializing", BY_NUMBER),
    ("skip_deserializing", BY_NUMBER),
    ("untagged", BY_NUMBER),
    ("other", "an event that this build does not know is an error of its own"),
];

/// One variant as declared. Its place among the variants is the number that serde's derive gives it.
struct Declared<'a> {
    ident: &'a Ident,
    name: String,
    schema: u32,
    steps: Vec<Step>,
    tags: Vec<&'a Field>,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream, Error> {
    let variants = declared(input)?;
    let (kronika, ident) = (core_path()?, &input.ident);
    let (idents, names, schemas) = (
        variants.iter().map(|variant| variant.ident).collect::<Vec<_>>(),
        variants.iter().map(|variant| &variant.name).collect::<Vec<_>>(),
        variants.iter().map(|variant| variant.schema).collect::<Vec<_>>(),
    );
    let places = 0..variants.len();
    let numbers = (0..).take(variants.len()).collect::<Vec<u32>>();
    let tags = tags(&variants);
    let upcasts = upcasts::list(variants.iter().flat_map(|variant| &variant.steps), &kronika);
    Ok(quote! {
        #[automatically_derived]
        impl #kronika::Event for #ident {
            const KINDS: &'static [#kronika::EventKind] =
                &[#(#kronika::EventKind { name: #names, schema: #schemas }),*];

            #upcasts

            fn kind(&self) -> &'static #kronika::EventKind {
                match self {
                    #(Self::#idents { .. } => &<Self as #kronika::Event>::KINDS[#places],)*
                }
            }

            #tags

            fn encode(
                &self,
                into: &mut ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<(), #kronika::CodecError> {
                #kronika::encode_variant(self, into)
            }

            fn decode(
                name: &str,
                schema: u32,
                body: &[u8],
            ) -> ::std::result::Result<Self, #kronika::CodecError> {
                match name {
                    #(#names if schema == #schemas => #kronika::decode_variant(#numbers, body),)*
                    _ => #kronika::decode_lifted(name, schema, body),
                }
            }
        }
    })
}

fn declared(input: &DeriveInput) -> Result<Vec<Declared<'_>>, Error> {
    let Data::Enum(data) = &input.data else {
        let message = "events are the variants of an enum, each kind of event one of them";
        return Err(Error::new(input.ident.span(), message));
    };
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "an aggregate has at least one kind of event"));
    }
    let mut result = attributes::no_generics(&input.generics, "an event");
    result = both(result, attributes::none(&input.attrs, "event", "a variant, or on its fields"));
    result = both(result, attributes::refuse_serde(&input.attrs, REFUSED_ON_ENUM));
    let mut variants: Vec<Declared<'_>> = Vec::new();
    let mut seen: HashMap<String, &Ident> = HashMap::new();
    for variant in &data.variants {
        let declared = match declare(variant) {
            Ok(declared) => declared,
            Err(error) => {
                result = both(result, Err(error));
                continue;
            }
        };
        if let Some(first) = seen.insert(declared.name.clone(), declared.ident) {
            let message =
                format!("{first} and {} have one name, {:?}", variant.ident, declared.name);
            result = both(result, Err(Error::new(variant.ident.span(), message)));
        }
        variants.push(declared);
    }
    let old = variants.iter().flat_map(|variant| variant.steps.iter());
    result = both(result, upcasts::no_two(old, |name| seen.contains_key(name)));
    result.map(|()| variants)
}

fn declare(variant: &Variant) -> Result<Declared<'_>, Error> {
    attributes::refuse_serde(&variant.attrs, REFUSED_ON_VARIANT)?;
    let (mut name, mut schema, mut oldest, mut written) = (None::<LitStr>, None, None, None);
    attributes::each(&variant.attrs, "event", |item| {
        if item.path.is_ident("name") {
            return attributes::set(item, &mut name, attributes::text(item)?);
        }
        if item.path.is_ident("schema") {
            return attributes::set(item, &mut schema, attributes::number(item)?);
        }
        if item.path.is_ident("oldest") {
            return attributes::set(item, &mut oldest, attributes::number(item)?);
        }
        if item.path.is_ident("upcast") {
            return attributes::set(item, &mut written, upcasts::parse(item)?);
        }
        Err(item.error("expected `name = \"…\"`, `schema = 2`, `upcast(1 => …)` or `oldest = 2`"))
    })?;
    let mut tags = Vec::new();
    for field in &variant.fields {
        if is_tag(field)? {
            tags.push(field);
        }
    }
    if let (Fields::Unnamed(_), Some(tag)) = (&variant.fields, tags.first()) {
        return Err(Error::new(tag.span(), "only a named field can be a tag"));
    }
    let name = NAME.name(&variant.ident, name.as_ref())?;
    let schema = schema.unwrap_or(1);
    let range = upcasts::Schemas { oldest: oldest.unwrap_or(1), newest: schema };
    let steps = upcasts::steps(&variant.ident, &name, range, written.unwrap_or_default())?;
    Ok(Declared { ident: &variant.ident, name, schema, steps, tags })
}

fn is_tag(field: &Field) -> Result<bool, Error> {
    let mut tag = None;
    attributes::each(&field.attrs, "event", |item| {
        if item.path.is_ident("tag") {
            return attributes::set(item, &mut tag, ());
        }
        Err(item.error("expected `tag`"))
    })?;
    Ok(tag.is_some())
}

/// `None` where no field is a tag: the trait's default adds none.
fn tags(variants: &[Declared<'_>]) -> Option<TokenStream> {
    let tagged: Vec<_> = variants.iter().filter(|variant| !variant.tags.is_empty()).collect();
    if tagged.is_empty() {
        return None;
    }
    let arms = tagged.iter().map(|variant| {
        let ident = variant.ident;
        let fields = variant.tags.iter().map(|field| &field.ident);
        let bound: Vec<_> = (0..variant.tags.len()).map(|n| format_ident!("tag_{n}")).collect();
        let adds =
            variant.tags.iter().zip(&bound).map(|(field, tag)| add_tag(&field.ty, quote!(#tag)));
        quote! {
            Self::#ident { #(#fields: #bound,)* .. } => { #(#adds)* }
        }
    });
    let others = (tagged.len() < variants.len()).then(|| quote!(_ => {}));
    Some(quote! {
        fn tags(&self, add: &mut dyn ::std::ops::FnMut(&str)) {
            match self {
                #(#arms)*
                #others
            }
        }
    })
}

/// As `Display` writes it; for `Option` and `Vec`, told by their names, each value that is there.
fn add_tag(field_type: &Type, tag: TokenStream) -> TokenStream {
    match inside(field_type) {
        Some(inside) => {
            let add = add_tag(inside, quote!(tag));
            quote!(for tag in #tag.iter() { #add })
        }
        None => {
            let text = quote_spanned!(field_type.span()=> ::std::string::ToString::to_string(#tag));
            quote!(add(&#text);)
        }
    }
}

/// The `T` of `Option<T>` and `Vec<T>`.
fn inside(field_type: &Type) -> Option<&Type> {
    let Type::Path(path) = field_type else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let named = last.ident == "Option" || last.ident == "Vec";
    match arguments.args.first() {
        Some(GenericArgument::Type(inside)) if named => Some(inside),
        _ => None,
    }
}
