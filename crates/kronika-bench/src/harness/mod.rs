//! What drives a store, ours or another: the same callers, bodies and measures for all of them.
//!
//! The program `kronika-peers`, outside the workspace, includes this very folder, so that nothing is measured by
//! two stopwatches. Nothing here knows a store but for [`LogStore`], which is Kronika's log by its public interface.

mod bodies;
mod callers;
mod files;
mod latencies;
mod log_store;
mod process;
mod store;

pub use bodies::Bodies;
pub use callers::{Caller, Measured, Style, closed_loop};
pub use files::{bytes_in, drop_page_cache};
pub use latencies::{Latencies, histogram};
pub use log_store::{LogCaller, LogStore, group_of};
pub use process::{cpu_time, resident_bytes};
pub use store::{Reads, Store, fill, read_some};
