//! The operator's API on a Unix socket that only its owner may connect to.

use super::admin;
use crate::serve::{ServeLimits, Served, serve_on};
use kronika_runtime::Kronika;
use std::{
    fs::{self, DirBuilder, Metadata, Permissions},
    future::Future,
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// A Unix socket of mode 0600 for operators. Its file is removed when it is dropped, and when serving ends.
///
/// ```no_run
/// # async fn example(kronika: kronika_runtime::Kronika) -> Result<(), Box<dyn std::error::Error>> {
/// use kronika_http::{AdminSocket, ServeLimits};
///
/// let socket = AdminSocket::bind("data/admin.sock").await?;
/// socket.serve(&kronika, ServeLimits::default(), std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Why there is no socket. What was at its path is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminSocketError {
    /// Another process serves there.
    #[error("somebody answers on {}: end that process first", .0.display())]
    InUse(PathBuf),
    /// It is not a socket, so it is somebody's file.
    #[error("{} is there and is no socket: move it away", .0.display())]
    NoSocket(PathBuf),
    /// The system's own. A path may have about 100 bytes.
    #[error("{} cannot be listened on: {source}", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl AdminSocket {
    /// Listens at a path. A socket that a killed process has left there is replaced, but only if nobody answers on
    /// it. Two that bind one path at the same time may both succeed, and the later one is found: keep others out
    /// by other means, as a data directory's lock does.
    ///
    /// # Errors
    /// If somebody answers there, or something else is in the way.
    pub async fn bind(path: impl AsRef<Path>) -> Result<Self, AdminSocketError> {
        let path = path.as_ref();
        let failed = |source| AdminSocketError::System { path: path.to_owned(), source };
        if let Some(found) = metadata(path).map_err(failed)? {
            if !found.file_type().is_socket() {
                return Err(AdminSocketError::NoSocket(path.to_owned()));
            }
            if is_answered(path).await.map_err(failed)? {
                return Err(AdminSocketError::InUse(path.to_owned()));
            }
        }
        let (listener, file) = bind_privately(path).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Serves the operator's routes until `shutdown` is ready, then lets what runs finish, as [`crate::serve`] does.
    pub async fn serve(
        self,
        kronika: &Kronika,
        limits: ServeLimits,
        shutdown: impl Future<Output = ()>,
    ) -> Served {
        let Self { listener, file } = self;
        let gone = async {
            shutdown.await;
            // Nobody finds it any more, before it is closed.
            drop(file);
        };
        serve_on(listener, admin(kronika), limits, gone).await
    }
}

/// A refused connection means that whoever bound it is gone. Anything else may be somebody who is busy.
async fn is_answered(path: &Path) -> io::Result<bool> {
    match UnixStream::connect(path).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(false),
            ErrorKind::WouldBlock => Ok(true),
            _ => Err(error),
        },
    }
}

/// A new socket has the rights that the process gives to its files, until they are changed. So it is bound where
/// nobody else can enter, and gets its name when it is private.
fn bind_privately(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let private = path.with_file_name(name);
    remove_private(&private)?; // of a process that was killed in here
    DirBuilder::new().mode(0o700).create(&private)?;
    let bound = bind_in(&private, path);
    remove_private(&private)?;
    bound
}

fn bind_in(private: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let inside = private.join(INSIDE);
    let listener = UnixListener::bind(&inside)?;
    fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
    let made = identity(&fs::symlink_metadata(&inside)?);
    fs::rename(&inside, path)?;
    Ok((listener, SocketFile { path: path.to_owned(), made }))
}

/// Short: paths of sockets are.
const INSIDE: &str = "s";

fn remove_private(private: &Path) -> io::Result<()> {
    let absent = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    fs::remove_file(private.join(INSIDE)).or_else(absent)?;
    fs::remove_dir(private).or_else(absent)
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The file of a socket, as long as it is that socket's.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    made: (u64, u64),
}

/// Device and inode: what tells a file from another one at its path.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = metadata(&self.path).map(|found| found.map(|it| identity(&it)));
        if !matches!(is_ours, Ok(Some(found)) if found == self.made) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the socket of operators could not be removed");
        }
    }
}
