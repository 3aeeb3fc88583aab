//! What the code of a transaction may not do: end it, or touch what is not its own.
//!
//! SQLite rolls a transaction back by itself when a statement in it is interrupted or the disk is full. Code
//! that goes on after such an error would write outside any transaction, statement by statement. So while code
//! of users runs, nothing can be committed at all.

use super::end::End;
use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Pragmas that only look, or end with the transaction. All others may take no value: a setting would outlive
/// the transaction on the one connection that writes, for everybody.
const PRAGMAS: &[&str] = &[
    "defer_foreign_keys",
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Whether code of users runs on the writing connection just now, and when it ends.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    end: Mutex<Option<End>>,
}

impl Gate {
    /// Puts itself between the connection and its database, for good: an authorizer that comes and goes would
    /// have every statement prepared anew.
    pub fn on(connection: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let gate = Arc::new(Self::default());
        let commits = gate.clone();
        connection.commit_hook(Some(move || commits.is_closed()))?;
        let statements = gate.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            match statements.is_closed() && statements.refuses(&context.action) {
                true => Authorization::Deny,
                false => Authorization::Allow,
            }
        }))?;
        Ok(gate)
    }

    /// Runs code of users, which may not panic.
    pub fn closed<T>(&self, end: &End, work: impl FnOnce() -> T) -> T {
        *self.end.lock().expect("nothing panics under it") = Some(end.clone());
        self.closed.store(true, Ordering::Relaxed);
        let done = work();
        self.closed.store(false, Ordering::Relaxed);
        done
    }

    /// Runs code of ours in between.
    pub fn opened<T>(&self, work: impl FnOnce() -> T) -> T {
        self.closed.store(false, Ordering::Relaxed);
        let done = work();
        self.closed.store(true, Ordering::Relaxed);
        done
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Also everything once the time is over: short statements one after another, each prepared anew, take so
    /// few steps that none of them is ever interrupted.
    fn refuses(&self, action: &AuthAction<'_>) -> bool {
        use AuthAction as Does;
        let is_over = |end: &Option<End>| end.as_ref().is_some_and(End::is_over);
        if is_over(&self.end.lock().expect("nothing panics under it")) {
            return true;
        }
        match action {
            Does::Transaction { .. } | Does::Attach { .. } | Does::Detach { .. } => true,
            Does::Pragma { pragma_name, pragma_value: Some(_) } => {
                !PRAGMAS.iter().any(|name| pragma_name.eq_ignore_ascii_case(name))
            }
            Does::Insert { table_name }
            | Does::Update { table_name, .. }
            | Does::Delete { table_name }
            | Does::AlterTable { table_name, .. }
            | Does::CreateTable { table_name }
            | Does::CreateTempTable { table_name }
            | Does::CreateIndex { table_name, .. }
            | Does::CreateTrigger { table_name, .. }
            | Does::CreateTempTrigger { table_name, .. }
            | Does::CreateVtable { table_name, .. }
            | Does::DropTable { table_name } => is_ours(table_name),
            Does::CreateView { view_name } | Does::CreateTempView { view_name } => {
                is_ours(view_name)
            }
            _ => false,
        }
    }
}

/// Names that begin so belong to Kronika.
fn is_ours(name: &str) -> bool {
    name.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case("kronika_"))
}
