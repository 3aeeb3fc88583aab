//! Where the deriving crate finds the names of `kronika-core`.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Ident};

/// Path of the crate whose root has every name of the core: the facade where the deriving crate depends on
/// it, else `kronika-core`, also under another name.
///
/// Inside these two crates it is their own name, as their doc tests, tests and examples see it.
pub(crate) fn core_path() -> Result<TokenStream, Error> {
    let path = |name: &str| {
        let name = Ident::new(name, Span::call_site());
        quote!(::#name)
    };
    for (package, name) in [("kronika", "kronika"), ("kronika-core", "kronika_core")] {
        match crate_name(package) {
            Ok(FoundCrate::Itself) => return Ok(path(name)),
            Ok(FoundCrate::Name(renamed)) => return Ok(path(&renamed)),
            Err(_) => {}
        }
    }
    Err(Error::new(Span::call_site(), "add `kronika` or `kronika-core` to the dependencies"))
}
