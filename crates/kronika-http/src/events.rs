//! Events over HTTP: of one aggregate, of the whole journal, and as a live feed.

mod feed;
mod form;
mod journal;
mod place;
mod stream;

pub(crate) use feed::feed;
pub(crate) use form::Time;
pub(crate) use journal::list;
pub(crate) use stream::EventsRoute;
