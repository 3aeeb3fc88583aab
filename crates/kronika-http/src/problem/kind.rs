//! Every kind of problem that a service tells: its name, its title, and what a client should do about it.
//!
//! Names are relied upon by clients: they are added to, never changed. The advice is what
//! `GET /problems/NAME` answers with.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $title:literal, $advice:literal;)*) => {
        /// A kind of problem, by what the client should do about it. Its type is `/problems/NAME`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind { $($(#[$doc])* $variant),* }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, the last segment of its type.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it is, in a few words, the same each time.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What a client should do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),* }
            }
        }
    };
}

kinds! {
    /// The aggregate refused the command.
    Rejected = "rejected", "the aggregate rejected the command",
        "Nothing was recorded. The member `rejection` says why, in the form that the command declares. \
         With status 409 the state stood against it: another time it may be accepted. With status 422 the \
         command itself is wrong: change it.";
    /// The body is not the command's.
    BadBody = "bad-body", "the body is not a body of this command",
        "Nothing was recorded. Send JSON with the content type `application/json`, as `/openapi.json` \
         describes it. With status 422 the member `pointer` names the place that does not fit; with 413 \
         the body is too large; with 415 the content type is another one.";
    /// The id cannot be an aggregate's.
    BadId = "bad-id", "the id cannot be an aggregate's",
        "An id has 1 to 255 bytes of UTF-8 without control characters, percent-encoded in the path, and \
         must be one that the aggregate type reads.";
    /// A parameter or header is not valid.
    BadParameter = "bad-parameter", "a parameter or header is not valid",
        "The member `parameter` names it, and `detail` says what is expected of it.";
    /// There is no such thing.
    NotFound = "not-found", "there is no such thing",
        "The path names an aggregate type, a command or a page that this service does not have, an \
         aggregate without events, or a version beyond its newest. `/openapi.json` lists the paths.";
    /// The path does not take the method.
    MethodNotAllowed = "method-not-allowed", "the path does not take this method",
        "The header `Allow` lists the methods that it takes.";
    /// The aggregate has another version than expected.
    VersionConflict = "version-conflict", "the aggregate has another version",
        "Nothing was recorded. Somebody else was faster, or the aggregate exists already. Get it anew, \
         decide again, and send the command with its newest `ETag`, which this answer carries too.";
    /// The idempotency key belongs to another command.
    KeyReused = "key-reused", "the idempotency key was used for another command",
        "Nothing was recorded for this request. A key belongs to one command with one body, byte by byte. \
         Make a new key for a new command.";
    /// Too much is waiting.
    Overloaded = "overloaded", "too much is waiting",
        "Nothing was recorded. Send it again after the time in `Retry-After`, and later each time.";
    /// The service cannot do it now.
    Unavailable = "unavailable", "the service cannot do this now",
        "Nothing was recorded. Send it again after the time in `Retry-After`.";
    /// The read model or the journal has not yet what the token names.
    NotYet = "not-yet", "what the token names is not there yet",
        "Ask again after the time in `Retry-After`, or wait longer by `Prefer: wait=SECONDS`, at most 60.";
    /// The deadline passed before the decision.
    Deadline = "deadline", "the deadline passed before the command was decided",
        "Nothing was recorded. Send it again after the time in `Retry-After`.";
    /// It may have been recorded.
    UnknownOutcome = "unknown-outcome", "whether it was recorded is not known",
        "It may have been recorded. Send the same command with the same `Idempotency-Key`: it is then \
         recorded once, and you get its receipt. Without a key, get the aggregate and look.";
    /// The row's key is parked.
    Parked = "parked", "the key is parked",
        "An event of this key could not be handled. The key waits for an operator with all its later \
         events; other keys are not affected. Waiting does not help until it is put right.";
    /// The token is of another history.
    HistoryDiverged = "history-diverged", "the token is of another history",
        "The service was restored to an earlier state or lost events that you have seen. Drop the token \
         and what you derived from it, and read anew.";
    /// The aggregate cannot be loaded.
    NotLoadable = "not-loadable", "the aggregate cannot be loaded",
        "An event of it is damaged, newer than this build, or cannot be applied. `detail` names the \
         stream and the version. Trying again does not help; an operator has to look.";
    /// Code of the application panicked.
    Panicked = "panicked", "the application's code panicked",
        "Nothing was recorded. This is a fault in the application; its log says more.";
    /// The journal failed.
    JournalFailed = "journal-failed", "the journal has failed",
        "A write could not be made durable, so nothing more is acknowledged until the service was started \
         anew. With status 504 the command may have been recorded: the same `Idempotency-Key` tells, \
         once the service is back. With status 503 nothing was recorded.";
    /// The decision is beyond a limit.
    TooLarge = "too-large", "the decision is beyond a limit",
        "Nothing was recorded. The command would record more, or larger events, than the journal takes.";
    /// The recorded reply cannot be read by this build.
    UnreadableReply = "unreadable-reply", "the recorded reply cannot be read by this build",
        "The command was recorded when it was first sent, but this build does not understand the reply \
         that was kept with it. Get the aggregate to see what came of it.";
    /// An operator's act cannot be done as things stand.
    Refused = "refused", "this cannot be done as things stand",
        "Nothing was changed. `detail` says what stands against it, and what to do first.";
    /// The application could not answer.
    Failed = "failed", "the service could not answer",
        "This is a fault in the service or in what it stands on; its log says more.";
}

impl ProblemKind {
    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_found() {
        for kind in ProblemKind::ALL {
            assert_eq!(ProblemKind::by_name(kind.name()), Some(*kind));
        }
        assert_eq!(ProblemKind::by_name("x"), None);
    }
}
