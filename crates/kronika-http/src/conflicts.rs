//! Which paths a service may have: found out when it is built, so that no aggregate hides a page, and no
//! query an aggregate.

use crate::service::ServiceError;
use std::fmt;

/// First segments that are the service's own.
const RESERVED: [&str; 5] = ["events", "metrics", "health", "problems", "openapi.json"];

/// The paths that are taken, each with who took it.
#[derive(Default)]
pub(crate) struct Paths {
    taken: Vec<(String, String)>,
    router: matchit::Router<()>,
}

impl Paths {
    /// A path of an aggregate type.
    pub fn aggregate(&mut self, name: &str, path: &str) -> Result<(), ServiceError> {
        if RESERVED.contains(&name) {
            return Err(ServiceError::Reserved { name: name.to_owned() });
        }
        self.take(path, format_args!("aggregate type {name}"))
    }

    /// A path of a query of the application.
    pub fn query(&mut self, path: &str) -> Result<(), ServiceError> {
        self.free(path, format_args!("query {path}"))
    }

    /// The path below which the operator's API is.
    pub fn admin(&mut self, path: &str) -> Result<(), ServiceError> {
        if path.ends_with('/') || path.contains(['{', '}']) {
            let why = "the operator's API has a path without parameters that ends in a name";
            return Err(ServiceError::Path { path: path.to_owned(), why: why.to_owned() });
        }
        self.free(&format!("{path}/{{*rest}}"), format_args!("operator's API"))
    }

    /// A path that the application has chosen: it may be anybody's already.
    fn free(&mut self, path: &str, owner: fmt::Arguments<'_>) -> Result<(), ServiceError> {
        let invalid =
            |why: &str| Err(ServiceError::Path { path: path.to_owned(), why: why.to_owned() });
        let Some(rest) = path.strip_prefix('/') else { return invalid("it begins with a slash") };
        let first = rest.split('/').next().unwrap_or_default();
        if RESERVED.contains(&first) {
            return Err(ServiceError::Reserved { name: first.to_owned() });
        }
        if first.is_empty() {
            return invalid("its first segment is a name");
        }
        if rest.split('/').any(|segment| segment.starts_with([':', '*'])) {
            return invalid("parameters are written {name}, and {*name} for all that follows");
        }
        if let Some((_, owner)) = self.taken.iter().find(|(taken, _)| overlap(taken, path)) {
            let (path, owner) = (path.to_owned(), owner.clone());
            return Err(ServiceError::Collision { path, owner });
        }
        self.take(path, owner)
    }

    fn take(&mut self, path: &str, owner: fmt::Arguments<'_>) -> Result<(), ServiceError> {
        self.router.insert(path, ()).map_err(|error| ServiceError::Path {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        self.taken.push((path.to_owned(), owner.to_string()));
        Ok(())
    }
}

/// Whether some request's path fits both: the more exact one would hide the other.
fn overlap(taken: &str, path: &str) -> bool {
    let is_parameter = |segment: &str| segment.contains('{');
    let (mut taken, mut path) = (taken.split('/'), path.split('/'));
    loop {
        match (taken.next(), path.next()) {
            (None, None) => return true,
            (Some(taken), Some(path)) => {
                if taken.starts_with("{*") || path.starts_with("{*") {
                    return true;
                }
                if taken != path && !is_parameter(taken) && !is_parameter(path) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_found() {
        let check = |taken, path, expected| assert_eq!(overlap(taken, path), expected, "{path}");
        check("/auction/{id}", "/auctions", false);
        check("/auction/{id}", "/auction", false);
        check("/auction/{id}", "/auction/newest", true);
        check("/auction/{id}", "/auction/{name}", true);
        check("/auction/{id}/events", "/auction/{id}/bids", false);
        check("/auction/{id}/events", "/auction/{id}/{what}", true);
        check("/auction/{id}/events", "/{*rest}", true);
        check("/auction/{id}/events", "/{tenant}/auctions/{id}", true);
        check("/auction/{id}", "/bids/{bidder}/all", false);
    }
}
